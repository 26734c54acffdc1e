// Numbers: as people write them, as a network takes them, and as a picture of greys.

/** A decimal number; not what else JavaScript would take for one. */
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The finite number that a text is; null where it is none. */
export function numberOf(text) {
  const number = NUMBER.test(text.trim()) ? Number(text) : NaN;
  return Number.isFinite(number) ? number : null;
}

/** The words of a text: what stands between spaces, lines, commas or semicolons. */
export const wordsOf = (text) => text.split(/[\s,;]+/).filter(Boolean);

/** What was found where a number was expected, for people. */
export const found = (text) => (text.trim() ? `\u201c${text.trim().slice(0, 20)}\u201d` : 'nothing');

/** Numbers as they stand in a table, as the network takes them: the channel's mean less, by its deviation. */
export function normalised(numbers, { shape: [, height, width], mean, std }) {
  return numbers.map((number, i) => (number - mean[channel(i, height * width)]) / std[channel(i, height * width)]);
}

/** The same back again. */
export function denormalised(numbers, { shape: [, height, width], mean, std }) {
  return numbers.map((number, i) => number * std[channel(i, height * width)] + mean[channel(i, height * width)]);
}

const channel = (i, positions) => Math.floor(i / positions);

/** Greys for numbers, from the least to the largest, in a square or nearly one: pixels and their shape. */
export function asPicture(numbers) {
  const width = Math.ceil(Math.sqrt(numbers.length));
  const height = Math.ceil(numbers.length / width);
  const pixels = new Uint8Array(width * height);
  pixels.set(greys(numbers));
  return [pixels, [1, height, width]];
}

/** A grey for each number: black the least, white the largest. */
export function greys(numbers) {
  const [least, largest] = numbers.reduce(([a, b], number) => [Math.min(a, number), Math.max(b, number)], [Infinity, -Infinity]);
  return Uint8Array.from(numbers, (number) => Math.round((255 * (number - least)) / (largest - least || 1)));
}
