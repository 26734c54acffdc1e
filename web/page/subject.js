// What the visitor wants classified, as pixels for the network that is chosen: a drawing, or an image file.

import { SIDE, rasterise } from './digit.js';
import { fitted } from './picture.js';

/** Whether a network reads drawn digits; it takes image files otherwise. */
export const readsDigits = (shape, labels) =>
  String(shape) === String([1, SIDE, SIDE]) && labels.length === 10 && labels.every((label, digit) => label === String(digit));

/** Whether a network takes images at all: grey, or red, green and blue. */
export const takesImages = ([channels]) => channels === 1 || channels === 3;

export class Subject extends EventTarget {
  /** What will be encrypted, in the order channel, row, column; null where there is nothing. */
  pixels = null;
  shape = [1, SIDE, SIDE];
  drawable = true;
  #sketch;
  #picture = null;

  /** Watches a drawing. Sends `change` events. */
  constructor(sketch) {
    super();
    this.#sketch = sketch;
    sketch.addEventListener('begin', () => (this.#picture = null));
    sketch.addEventListener('change', () => this.#changed());
  }

  /** Whether the subject is an image file. */
  get file() {
    return this.#picture !== null;
  }

  /** Makes ready for another network. */
  suit(shape, labels) {
    Object.assign(this, { shape, drawable: readsDigits(shape, labels) });
    this.#changed();
  }

  /** Takes strokes in place of what there was. */
  draw(strokes) {
    this.#picture = null;
    this.#sketch.set(strokes);
  }

  /** Takes an image in place of what there was. */
  show(picture) {
    this.#picture = picture;
    this.#sketch.clear();
  }

  clear() {
    this.draw([]);
  }

  #changed() {
    const drawn = this.drawable && !this.#picture;
    if (drawn) this.pixels = rasterise(this.#sketch.strokes);
    else this.pixels = this.#picture && fitted(this.#picture, this.shape);
    this.dispatchEvent(new Event('change'));
  }
}
