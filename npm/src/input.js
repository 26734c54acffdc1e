// What a model is asked about: an image, brought to the model's shape, or numbers.

import { InputError } from './errors.js';
import { fitted } from './fit.js';

/**
 * The input as the engine takes it, in the order channel, row, column: a Uint8Array of pixels, or a Float64Array of numbers.
 * @param input an array of numbers, `{ pixels }`, `{ data, width, height, channels }`, or what `readPicture` takes
 * @param {number[]} shape channels, height and width
 * @param readPicture the platform's own images: their pixels for a shape, or null
 */
export async function taken(input, shape, readPicture) {
  if (Array.isArray(input) || isNumbers(input)) return numbers(input, shape);
  if (input?.pixels && isBytes(input.pixels)) return pixels(input.pixels, shape);
  if (input && isBytes(input.data) && 'width' in input) return fitted(image(input, shape), shape);
  const picture = input && typeof input === 'object' && !ArrayBuffer.isView(input) && (await readPicture(input, () => takesImages(shape), shape));
  if (picture) return picture;
  throw new InputError('wrong_type', { what: 'The input is of a kind that is not taken.', expected: EXPECTED, found: kindOf(input), remedy: REMEDY });
}

/** The bytes of a file or an answer, as a caller may have them. */
export function bytes(value, what) {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new InputError('wrong_type', { what: `This is not ${what}.`, expected: 'a Uint8Array or an ArrayBuffer', found: kindOf(value) });
}

const EXPECTED = 'an image, { data: Uint8Array, width, height, channels }, or an array of numbers';
const REMEDY = 'Bytes alone could be either: for numbers give Float64Array.from(bytes). Image files have to be decoded first where there is no browser.';

const isBytes = (value) => value instanceof Uint8Array || value instanceof Uint8ClampedArray;
const isNumbers = (value) => ArrayBuffer.isView(value) && !(value instanceof DataView) && !isBytes(value) && typeof value[0] !== 'bigint';
const kindOf = (value) => (value === null || typeof value !== 'object' ? String(typeof value) : (value.constructor?.name ?? 'object'));

/** Whether a model takes images: grey, or red, green and blue. */
export const isImageShape = ([channels, height, width]) => (channels === 1 || channels === 3) && height > 1 && width > 1;

function numbers(values, shape) {
  const expected = shape.reduce((product, side) => product * side, 1);
  if (values.length !== expected) throw wrongCount('numbers', expected, values.length);
  // The place is named, the value is not: messages get passed on.
  const wrong = Array.prototype.findIndex.call(values, (value) => typeof value !== 'number' || !Number.isFinite(value));
  if (wrong >= 0) {
    const found = `something else at index ${wrong} (NaN, an infinity, or no number)`;
    throw new InputError('not_a_number', { what: 'The input is not all numbers.', expected: 'finite numbers', found, remedy: 'Fill what is missing in the data before asking.' });
  }
  return Float64Array.from(values);
}

function pixels(values, shape) {
  const expected = shape.reduce((product, side) => product * side, 1);
  if (values.length !== expected) throw wrongCount('pixels', expected, values.length);
  return Uint8Array.from(values);
}

function wrongCount(kind, expected, found) {
  const what = `The model takes another number of ${kind}.`;
  return new InputError('wrong_shape', { what, expected: `${expected} ${kind}`, found: String(found), remedy: 'Is it the right model?' });
}

/** An image, checked; where it does not say how many channels it has, as ImageData does not, its bytes say it. */
function image({ data, width, height, channels = data.length / (width * height) }, shape) {
  takesImages(shape);
  const known = [1, 3, 4].includes(channels) && [width, height].every((side) => Number.isInteger(side) && side > 0);
  if (!known || data.length !== width * height * channels) {
    const found = `${data.length} bytes for ${width} x ${height} pixels of ${channels} channels`;
    const expected = 'width x height x channels bytes, pixel by pixel, channels 1, 3 or 4';
    throw new InputError('wrong_shape', { what: 'The image\u2019s size does not fit its bytes.', expected, found });
  }
  return { data, width, height, channels };
}

/** Refuses images for a model that takes none. */
function takesImages(shape) {
  if (isImageShape(shape)) return;
  const count = shape.reduce((product, side) => product * side, 1);
  throw new InputError('wrong_shape', { what: 'The model takes numbers, not images.', expected: `${count} numbers`, found: 'an image' });
}
