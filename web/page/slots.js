// What lies in the slots of a request's ciphertexts, drawn: each slot in the colour of the element that it holds, as bright as that is.

import { greys } from './numbers.js';
import { element, show, whole } from './view.js';

/** What a slot may hold beside elements of the input; these are numbered from FIRST on. */
const [NOTHING, ONE, FIRST] = [0, 1, 2];
/** Colours run from red to violet, from the first element to the last. */
const HUES = 300;

export class SlotsView {
  #subject;
  #used = null;
  #places = null;

  constructor(subject) {
    this.#subject = subject;
    element('slots').addEventListener('toggle', () => this.#load());
    for (const id of ['ciphertext', 'slot']) element(id).addEventListener('input', () => this.draw());
    element('slots-map').addEventListener('pointermove', (event) => this.#point(event));
  }

  /** Makes ready for another network, `{ network, plan, names }`. */
  suit(used) {
    [this.#used, this.#places] = [used, null];
    this.#load();
  }

  async #load() {
    const used = this.#used;
    if (!used || this.#places || !element('slots').open) return;
    const places = await used.network.layout().catch(() => null);
    if (used !== this.#used || !places) return;
    this.#places = places;
    Object.assign(element('ciphertext'), { value: 1, max: used.plan.ciphertexts });
    Object.assign(element('slot'), { value: 1, max: used.plan.slots });
    show('slots-text', this.#summary());
    this.draw();
  }

  /** Draws the chosen ciphertext with what is in the input now. */
  draw() {
    if (!this.#places || !element('slots').open) return;
    const places = this.#chosen;
    const values = this.#greys;
    const [width, height] = this.#extent;
    const image = new ImageData(width, height);
    places.forEach((place, slot) => image.data.set(this.#colour(place, values), 4 * slot));
    const canvas = element('slots-map');
    Object.assign(canvas, { width, height });
    canvas.getContext('2d').putImageData(image, 0, 0);
    show('slot-text', this.#told(places));
  }

  /** The slots of the chosen ciphertext. */
  get #chosen() {
    const { slots } = this.#used.plan;
    const first = (numberIn('ciphertext') - 1) * slots;
    return this.#places.subarray(first, first + slots);
  }

  /** A picture of all slots, row by row, about twice as wide as high. */
  get #extent() {
    const { slots } = this.#used.plan;
    const width = 2 ** Math.ceil(Math.log2(slots) / 2);
    return [width, slots / width];
  }

  /** How large each element is, from 0 to 255; nothing where there is no input yet. */
  get #greys() {
    const { input, isNumbers } = this.#subject;
    return input && (isNumbers ? greys(input) : input);
  }

  #colour(place, values) {
    if (place === NOTHING) return [128, 128, 128, 40];
    if (place === ONE) return [255, 255, 255, 255];
    const element = place - FIRST;
    const light = values ? 0.22 + (0.5 * values[element]) / 255 : 0.5;
    return [...rgb((HUES * element) / this.#elements, light), 255];
  }

  get #elements() {
    return this.#used.plan.shape.reduce((product, side) => product * side, 1);
  }

  #summary() {
    const { plan: { ciphertexts, slots } } = this.#used;
    const held = this.#places.filter((place) => place >= FIRST).length;
    const ones = this.#places.filter((place) => place === ONE).length;
    const many = ciphertexts === 1 ? 'One ciphertext has' : `${whole(ciphertexts)} ciphertexts have`;
    const constant = ones ? `, ${whole(ones)} a constant one (white)` : '';
    return `${many} ${whole(slots)} slots${ciphertexts === 1 ? '' : ' each'}, and each slot holds a number: ${whole(held)} slots hold one of the ` +
      `input\u2019s ${whole(this.#elements)} elements, from red for the first to violet for the last, as bright as it is large${constant}, the others nothing.`;
  }

  /** What the chosen slot holds. */
  #told(places) {
    const slot = numberIn('slot');
    const place = places[slot - 1];
    if (place === NOTHING) return `Slot ${whole(slot)} holds nothing.`;
    const others = places.filter((other) => other === place).length - 1;
    const what = place === ONE ? 'a constant one' : this.#named(place - FIRST);
    return `Slot ${whole(slot)} holds ${what}. ${others ? `${whole(others)} other slots` : 'No other slot'} of this ciphertext hold${others ? '' : 's'} the same.`;
  }

  #named(index) {
    const { plan: { shape: [channels, height, width] }, names } = this.#used;
    const { input, isNumbers } = this.#subject;
    if (isNumbers) return names[index];
    const [channel, row, column] = [Math.floor(index / (height * width)), Math.floor(index / width) % height, index % width];
    const colour = channels === 3 ? `${['red', 'green', 'blue'][channel]} of ` : '';
    const value = input ? `, ${input[index]} of 255` : '';
    return `${colour}the pixel in row ${row + 1}, column ${column + 1}${value}`;
  }

  /** Chooses the slot that is pointed at. */
  #point({ offsetX, offsetY, currentTarget }) {
    if (!this.#places) return;
    const [width, height] = this.#extent;
    const [x, y] = [Math.floor((offsetX / currentTarget.clientWidth) * width), Math.floor((offsetY / currentTarget.clientHeight) * height)];
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    element('slot').value = y * width + x + 1;
    show('slot-text', this.#told(this.#chosen));
  }
}

/** The number in a field, within its bounds. */
function numberIn(id) {
  const { value, max } = element(id);
  return Math.min(Math.max(1, Math.round(value) || 1), Number(max));
}

/** Red, green and blue of a hue in degrees and a lightness from 0 to 1 (CSS Color 4, section 7). */
function rgb(hue, light) {
  const reach = 0.75 * Math.min(light, 1 - light);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}
