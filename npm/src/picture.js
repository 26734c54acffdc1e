// A browser's own images: cropped in the middle to the network's shape, and averaged down.

import { InputError } from './errors.js';
import { inChannels } from './fit.js';

/** Pixels of the crop that are averaged for one of the network's, along each side, at the most. */
const FINEST = 16;

/** What can be drawn on a canvas as it stands. */
const DRAWABLE = ['ImageBitmap', 'HTMLImageElement', 'SVGImageElement', 'HTMLCanvasElement', 'OffscreenCanvas', 'HTMLVideoElement', 'VideoFrame'];
const isOf = (value, name) => typeof globalThis[name] === 'function' && value instanceof globalThis[name];

/** The pixels of an image of this platform for a shape, once `check` let images pass; nothing where it is none. */
export async function readPicture(input, check, shape) {
  const file = isOf(input, 'Blob');
  if (!file && !DRAWABLE.some((name) => isOf(input, name))) return null;
  check();
  const picture = file ? await decoded(input) : sized(input);
  try {
    return fitted(picture, shape);
  } catch (cause) {
    const remedy = 'An image from elsewhere has to be loaded with crossOrigin = "anonymous".';
    throw new InputError('unreadable_image', { what: 'The browser does not give the image\u2019s pixels.', remedy, cause });
  }
}

/** The largest image that is decoded, as by the command line: bytes of its file, and pixels. */
const LARGEST_FILE = 64 * 2 ** 20;
const MOST_PIXELS = 64e6;

/** Reads an image file; a refusal says what came. */
export async function decoded(file) {
  const name = `\u201c${file.name ?? file.type}\u201d`;
  if (file.size > LARGEST_FILE) throw tooLarge(name, '64 MiB', `${Math.ceil(file.size / 2 ** 20)} MiB`);
  try {
    const { width, height } = await measured(file);
    if (width * height > MOST_PIXELS) throw tooLarge(name, '64 million pixels', `${width} \u00d7 ${height}`);
    // Numbers as they stand in the file: the network was trained on such.
    return await createImageBitmap(file, { colorSpaceConversion: 'none' });
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const what = `This browser cannot read ${name} as an image.`;
    const found = file.type || 'a file of unknown kind';
    throw new InputError('unreadable_image', { what, expected: 'an image file', found, remedy: 'Choose a PNG or JPEG file.', cause });
  }
}

/** An image's size, before memory is taken for its pixels; zero where nobody tells it. */
async function measured(file) {
  if (typeof Image !== 'function') return { width: 0, height: 0 };
  const image = new Image();
  image.src = URL.createObjectURL(file);
  await new Promise((resolve) => (image.onload = image.onerror = resolve));
  URL.revokeObjectURL(image.src);
  return { width: image.naturalWidth, height: image.naturalHeight };
}

function tooLarge(name, most, found) {
  const what = `${name} is too large to be read here.`;
  return new InputError('unreadable_image', { what, expected: `at most ${most}`, found, remedy: 'Shrink the image and choose it again.' });
}

/** Something to draw, and its own size. */
function sized(source) {
  const width = source.naturalWidth ?? source.videoWidth ?? source.displayWidth ?? source.width;
  const height = source.naturalHeight ?? source.videoHeight ?? source.displayHeight ?? source.height;
  if (!(width > 0 && height > 0)) {
    throw new InputError('unreadable_image', { what: 'The image has no pixels yet.', remedy: 'Wait until it is loaded: await image.decode().' });
  }
  return { source, width, height };
}

/** The pixels for a network that takes `[channels, height, width]`, in the order channel, row, column: grey, or red, green and blue. */
export function fitted(picture, [channels, height, width]) {
  const scale = Math.min(picture.width / width, picture.height / height);
  const fine = Math.min(FINEST, Math.max(1, Math.floor(scale)));
  const rgba = cropped(picture, scale, width, height, fine);
  const pixels = new Uint8Array(channels * height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const colour = average(rgba, width * fine, x * fine, y * fine, fine);
      inChannels(colour, channels).forEach((value, channel) => (pixels[(channel * height + y) * width + x] = Math.round(value)));
    }
  }
  return pixels;
}

/** The middle of a picture, `fine` pixels for each of the network's, on black. */
function cropped(picture, scale, width, height, fine) {
  const context = new OffscreenCanvas(width * fine, height * fine).getContext('2d', { willReadFrequently: true });
  const { canvas } = context;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  const [left, top] = [(picture.width - width * scale) / 2, (picture.height - height * scale) / 2];
  context.drawImage(picture.source ?? picture, left, top, width * scale, height * scale, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** Mean red, green and blue of a square. */
function average(rgba, stride, left, top, side) {
  const sum = [0, 0, 0];
  for (let y = top; y < top + side; y++) {
    for (let x = left; x < left + side; x++) for (let c = 0; c < 3; c++) sum[c] += rgba[4 * (y * stride + x) + c];
  }
  return sum.map((value) => value / side ** 2);
}
