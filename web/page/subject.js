// What the visitor wants classified, as the network that is chosen takes it: a drawing, an image file, or numbers.

import { isImageShape } from './client/input.js';
import { fitted } from './client/picture.js';
import { SIDE, rasterise } from './digit.js';
import { asPicture, read } from './numbers.js';

/** Whether a network reads drawn digits. */
export const readsDigits = (shape, labels) =>
  String(shape) === String([1, SIDE, SIDE]) && labels.length === 10 && labels.every((label, digit) => label === String(digit));

export class Subject extends EventTarget {
  /** What will be encrypted, in the order channel, row, column: bytes of pixels, or numbers; null where there is nothing. */
  input = null;
  shape = [1, SIDE, SIDE];
  /** What the network takes: `digits`, `images` or `numbers`. */
  kind = 'digits';
  /** What is wrong with the numbers, if anything. */
  problem = null;
  #sketch;
  #picture = null;
  #text = '';

  /** Watches a drawing. Sends `change` events. */
  constructor(sketch) {
    super();
    this.#sketch = sketch;
    sketch.addEventListener('begin', () => (this.#picture = null));
    sketch.addEventListener('change', () => this.#changed());
  }

  /** Whether what is shown is a drawing. */
  get drawn() {
    return this.kind === 'digits' && !this.#picture;
  }

  /** What is shown of the input: pixels and their shape. */
  get picture() {
    return this.kind === 'numbers' ? asPicture(this.input) : [this.input, this.shape];
  }

  /** Makes ready for another network. */
  suit(shape, labels) {
    const kind = readsDigits(shape, labels) ? 'digits' : isImageShape(shape) ? 'images' : 'numbers';
    Object.assign(this, { shape, kind });
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

  /** Takes numbers as they are written. */
  write(text) {
    this.#text = text;
    this.#changed();
  }

  clear() {
    this.#text = '';
    this.draw([]);
  }

  #changed() {
    this.problem = null;
    if (this.kind === 'numbers') this.#read();
    else if (this.drawn) this.input = rasterise(this.#sketch.strokes);
    else this.input = this.#picture && fitted(this.#picture, this.shape);
    this.dispatchEvent(new Event('change'));
  }

  #read() {
    const { numbers = null, problem = null } = read(this.#text, this.shape.reduce((product, side) => product * side, 1));
    Object.assign(this, { input: numbers, problem });
  }
}
