// Pictures of ciphertexts: bytes as greys.

import { SIDE } from './digit.js';

/** Pixels of the picture's side: six bytes for each pixel of the digit. */
export const NOISE = 168;
const CELL = NOISE / SIDE;
/** How long a drawing takes to dissolve, in milliseconds. */
const DISSOLVE = 900;

const still = matchMedia('(prefers-reduced-motion: reduce)');

/** Paints bytes, one for each pixel of a square canvas. */
export function paintNoise(canvas, bytes) {
  canvas.width = canvas.height = NOISE;
  const image = new ImageData(NOISE, NOISE);
  for (let i = 0; i < NOISE * NOISE; i++) grey(image, i, bytes[i]);
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Paints the digit's pixels as they are encrypted. */
export function paintDigit(canvas, pixels) {
  canvas.width = canvas.height = SIDE;
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((value, i) => grey(image, i, value));
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Shows how the digit's pixels give way to the ciphertext's bytes, in no order; done when it is. */
export async function dissolve(canvas, pixels, bytes) {
  canvas.width = canvas.height = NOISE;
  const context = canvas.getContext('2d');
  const order = shuffled(SIDE * SIDE);
  const image = new ImageData(NOISE, NOISE);
  for (let cell = 0; cell < SIDE * SIDE; cell++) fill(image, cell, () => pixels[cell]);
  const start = performance.now();
  for (let gone = 0; gone < order.length; ) {
    const now = still.matches ? start + DISSOLVE : await nextFrame();
    const upTo = Math.min(order.length, Math.ceil((order.length * (now - start)) / DISSOLVE));
    for (; gone < upTo; gone++) fill(image, order[gone], (i) => bytes[i]);
    context.putImageData(image, 0, 0);
  }
}

/** Writes the block of the picture that a pixel of the digit covers. */
function fill(image, cell, value) {
  const [left, top] = [(cell % SIDE) * CELL, Math.floor(cell / SIDE) * CELL];
  for (let y = top; y < top + CELL; y++) {
    for (let x = left; x < left + CELL; x++) grey(image, y * NOISE + x, value(y * NOISE + x));
  }
}

function grey({ data }, index, value) {
  data.set([value, value, value, 255], 4 * index);
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
