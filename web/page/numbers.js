// Numbers as people write them: one after the other, between spaces, lines, commas or semicolons.

/** So many numbers of a text, or what is wrong with it; neither for an empty text. */
export function read(text, count) {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  if (!words.length) return {};
  const numbers = Float64Array.from(words, Number);
  const wrong = numbers.findIndex((number) => !Number.isFinite(number));
  if (wrong >= 0) return { problem: `\u201c${words[wrong].slice(0, 20)}\u201d, the ${ordinal(wrong + 1)}, is no number.` };
  if (numbers.length !== count) return { problem: `The network takes ${count} numbers; ${numbers.length} are here.` };
  return { numbers };
}

/** Greys for numbers, from the least to the largest, in a square or nearly one: pixels and their shape. */
export function asPicture(numbers) {
  const width = Math.ceil(Math.sqrt(numbers.length));
  const height = Math.ceil(numbers.length / width);
  const [least, largest] = [Math.min(...numbers), Math.max(...numbers)];
  const grey = (number) => Math.round((255 * (number - least)) / (largest - least || 1));
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => (i < numbers.length ? grey(numbers[i]) : 0));
  return [pixels, [1, height, width]];
}

const ENDINGS = { one: 'st', two: 'nd', few: 'rd', other: 'th' };
const ordinal = (n) => `${n}${ENDINGS[new Intl.PluralRules('en', { type: 'ordinal' }).select(n)]}`;
