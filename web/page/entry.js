// Numbers that are entered: a field for each name, or one text where there are many; or a row of a file.

import { found, numberOf, wordsOf } from './numbers.js';
import { rowOf } from './table.js';
import { create, element, plain, show, whole } from './view.js';

/** So many numbers have a field each. */
const MOST_FIELDS = 64;

export class Entry extends EventTarget {
  /** The numbers; null while they are not all there. */
  numbers = null;
  #names = [];
  #table = null;

  /** Sends `change` events, `begin` when something is entered, and `done` (Enter). */
  constructor() {
    super();
    for (const place of ['fields', 'numbers']) element(place).addEventListener('input', () => this.#typed());
    element('fields').addEventListener('paste', (event) => this.#paste(event));
    element('fields').addEventListener('keydown', ({ key }) => key === 'Enter' && this.dispatchEvent(new Event('done')));
    element('row').addEventListener('change', () => this.dispatchEvent(new Event('row')));
  }

  /** Makes ready for numbers of these names, or so many without names. */
  suit(names, count) {
    this.#names = names?.map(plain) ?? Array.from({ length: count }, (_, i) => `number ${i + 1}`);
    const each = count <= MOST_FIELDS;
    element('fields').replaceChildren(...(each ? this.#names.map(field) : []));
    [element('fields').hidden, element('numbers').hidden] = [!each, each];
    show('entry-title', `${whole(count)} numbers, as in the network\u2019s tables:`);
    this.clear();
  }

  get names() {
    return this.#names;
  }

  clear() {
    this.#take(null);
    this.#write([]);
  }

  /** Takes numbers in place of what was entered. */
  enter(numbers) {
    this.#take(null);
    this.#write(Array.from(numbers, String));
  }

  /** Takes a file's rows, and enters the first one. */
  read(table) {
    const numbers = rowOf(table, 0, this.#names);
    this.#take(table);
    this.#write(Array.from(numbers, String));
  }

  /** Enters the row that was chosen; one that holds no numbers is refused, and what was there is gone. */
  chooseRow() {
    const { rows } = this.#table;
    const row = Math.min(Math.max(1, Math.round(element('row').value) || 1), rows.length);
    element('row').value = row;
    this.#write([]);
    this.#write(Array.from(rowOf(this.#table, row - 1, this.#names), String));
  }

  #take(table) {
    this.#table = table;
    const count = table?.rows.length ?? 0;
    element('row-box').hidden = count < 2;
    Object.assign(element('row'), { value: 1, max: count });
    show('row-count', `of ${whole(count)}`);
  }

  #write(texts) {
    [...this.#inputs].forEach((input, i) => (input.value = texts[i] ?? ''));
    element('numbers').value = texts.join(', ');
    this.#changed();
  }

  #typed() {
    this.#take(null);
    this.dispatchEvent(new Event('begin'));
    this.#changed();
  }

  /** Several numbers at once go into as many fields. */
  #paste(event) {
    const words = wordsOf(event.clipboardData.getData('text'));
    if (words.length < 2) return;
    event.preventDefault();
    const inputs = [...this.#inputs];
    const at = inputs.indexOf(event.target);
    words.slice(0, inputs.length - at).forEach((word, i) => (inputs[at + i].value = word));
    this.#typed();
  }

  get #inputs() {
    return element('fields').querySelectorAll('input');
  }

  #changed() {
    const inputs = [...this.#inputs];
    const texts = inputs.length ? inputs.map(({ value }) => value) : wordsOf(element('numbers').value);
    const numbers = texts.map(numberOf);
    const wrong = numbers.findIndex((number, i) => number === null && texts[i].trim());
    const missing = this.#names.length - numbers.filter((number) => number !== null).length;
    inputs.forEach((input, i) => (input.ariaInvalid = String(numbers[i] === null && input.value.trim() !== '')));
    element('numbers').ariaInvalid = String(wrong >= 0);
    show('entry-problem', this.#problem(wrong, texts));
    this.numbers = wrong < 0 && missing === 0 ? Float64Array.from(numbers) : null;
    this.dispatchEvent(new CustomEvent('change', { detail: { missing, begun: texts.some((text) => text.trim()) } }));
  }

  /** What is wrong with what was entered; nothing where it is only not all there yet. */
  #problem(wrong, texts) {
    if (wrong >= 0) return `${this.#names[wrong] ?? `Number ${wrong + 1}`}: expected a number such as 1.5, found ${found(texts[wrong])}.`;
    const [expected, came] = [this.#names.length, texts.length];
    return came > expected ? `Expected ${whole(expected)} numbers, found ${whole(came)}. Take away what is too much.` : '';
  }
}

function field(name) {
  const input = Object.assign(create('input'), { type: 'text', inputMode: 'decimal', autocomplete: 'off', spellcheck: false });
  return create('label', '', create('span', '', name), input);
}
