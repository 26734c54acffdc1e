// What the visitor wants classified, as the network that is in use takes it: a drawing, an image, or numbers.

import { fitted } from './client/picture.js';
import { SIDE, rasterise } from './digit.js';
import { isDrawn } from './invitation.js';
import { asPicture, normalised } from './numbers.js';

export class Subject extends EventTarget {
  /** What will be encrypted, in the order channel, row, column: bytes of pixels, or numbers; null where there is nothing. */
  input = null;
  /** What the network takes (`kindOf`), and its plan. */
  kind = 'digits';
  plan = { shape: [1, SIDE, SIDE] };
  #sketch;
  #entry;
  #image = null;

  /** Watches a drawing and an entry of numbers. Sends `change` events. */
  constructor(sketch, entry) {
    super();
    [this.#sketch, this.#entry] = [sketch, entry];
    sketch.addEventListener('begin', () => (this.#image = null));
    for (const source of [sketch, entry]) source.addEventListener('change', () => this.#changed());
  }

  /** Whether what is shown is a drawing. */
  get drawn() {
    return isDrawn(this.kind) && !this.#image;
  }

  /** Whether it is, or is to be, numbers. */
  get isNumbers() {
    return this.kind === 'numbers';
  }

  /** What is shown of the input: pixels and their shape. */
  get picture() {
    return this.isNumbers ? asPicture(this.#entry.numbers) : [this.input, this.plan.shape];
  }

  /** Makes ready for another network. */
  suit(kind, plan, { features }) {
    Object.assign(this, { kind, plan });
    if (this.isNumbers) this.#entry.suit(features, plan.shape.reduce((product, side) => product * side, 1));
    else this.#changed();
  }

  /** Takes strokes in place of what there was. */
  draw(strokes) {
    this.#image = null;
    this.#sketch.set(strokes);
  }

  /** Takes an image in place of what there was: something to draw, or `{ pixels, shape }`. */
  show(image) {
    this.#image = image;
    this.#sketch.clear();
  }

  /** Takes numbers as they stand in a table. */
  enter(numbers) {
    this.#entry.enter(numbers);
  }

  clear() {
    if (this.isNumbers) this.#entry.clear();
    else this.draw([]);
  }

  #changed() {
    this.input = this.isNumbers ? this.#numbers() : this.#image ? this.#pixels() : this.drawn ? rasterise(this.#sketch.strokes) : null;
    this.dispatchEvent(new Event('change'));
  }

  #numbers() {
    const { numbers } = this.#entry;
    return numbers && normalised(numbers, this.plan);
  }

  /** The image's pixels for the network; a sample of another network is none. */
  #pixels() {
    const { pixels, shape } = this.#image;
    if (!pixels) return fitted(this.#image, this.plan.shape);
    return String(shape) === String(this.plan.shape) ? pixels : null;
  }
}
