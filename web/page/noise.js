// Pictures: pixels as they are encrypted, and bytes of ciphertexts as greys.

/** Pixels of the picture's side, and of the blocks that give way to noise together. */
export const NOISE = 168;
const CELL = 6;
const CELLS = NOISE / CELL;
/** How long a picture takes to dissolve, in milliseconds. */
const DISSOLVE = 900;

const still = matchMedia('(prefers-reduced-motion: reduce)');

/** Bytes from the middle of a request, where its ciphertexts lie, for a picture; over again where they are too few. */
export function excerptOf(request) {
  const bytes = request.subarray(request.length >> 1);
  return Uint8Array.from({ length: NOISE * NOISE }, (_, i) => bytes[i % bytes.length]);
}

/** Paints bytes, one for each pixel of a square canvas. */
export function paintNoise(canvas, bytes) {
  canvas.width = canvas.height = NOISE;
  const image = new ImageData(NOISE, NOISE);
  for (let i = 0; i < NOISE * NOISE; i++) set(image, i, grey(bytes[i]));
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Paints an image of shape `[channels, height, width]`, pixel by pixel. */
export function paintPixels(canvas, pixels, shape) {
  const [, height, width] = shape;
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) set(image, i, colour(pixels, shape, i));
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Shows how an image gives way to the ciphertext's bytes, in no order; done when it has. */
export async function dissolve(canvas, pixels, shape, bytes) {
  canvas.width = canvas.height = NOISE;
  const context = canvas.getContext('2d');
  const order = shuffled(CELLS * CELLS);
  const image = new ImageData(NOISE, NOISE);
  for (let i = 0; i < NOISE * NOISE; i++) set(image, i, enlarged(pixels, shape, i));
  const start = performance.now();
  for (let gone = 0; gone < order.length; ) {
    const now = still.matches ? start + DISSOLVE : await nextFrame();
    const upTo = Math.min(order.length, Math.ceil((order.length * (now - start)) / DISSOLVE));
    for (; gone < upTo; gone++) fill(image, order[gone], (i) => grey(bytes[i]));
    context.putImageData(image, 0, 0);
  }
}

/** Writes one block of the picture. */
function fill(image, cell, value) {
  const [left, top] = [(cell % CELLS) * CELL, Math.floor(cell / CELLS) * CELL];
  for (let y = top; y < top + CELL; y++) {
    for (let x = left; x < left + CELL; x++) set(image, y * NOISE + x, value(y * NOISE + x));
  }
}

/** The image, as large as fits, at a pixel of the picture; black beside it. */
function enlarged(pixels, shape, index) {
  const [, height, width] = shape;
  const scale = Math.max(width, height) / NOISE;
  const x = Math.floor(((index % NOISE) + 0.5 - NOISE / 2) * scale + width / 2);
  const y = Math.floor((Math.floor(index / NOISE) + 0.5 - NOISE / 2) * scale + height / 2);
  return x < 0 || y < 0 || x >= width || y >= height ? grey(0) : colour(pixels, shape, y * width + x);
}

/** Red, green and blue of an image's pixel. */
function colour(pixels, [channels, height, width], index) {
  return channels === 1 ? grey(pixels[index]) : [0, 1, 2].map((channel) => pixels[channel * height * width + index]);
}

const grey = (value) => [value, value, value];

function set({ data }, index, [red, green, blue]) {
  data[4 * index] = red;
  data[4 * index + 1] = green;
  data[4 * index + 2] = blue;
  data[4 * index + 3] = 255;
}

function shuffled(length) {
  const order = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

const nextFrame = () => new Promise(requestAnimationFrame);
