// Strokes to pixels, against the sample digits that samples/draw.py draws by other means (Pillow: a polygon brush, averaged down).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SIDE, rasterise } from '../page/digit.js';
import { SAMPLES, sample } from '../page/samples.js';
import { decode } from './support/png.js';

for (let digit = 0; digit < SAMPLES; digit++) {
  test(`a drawn ${digit} looks like the sample`, () => {
    const file = new URL(`../../samples/digit-${digit}.png`, import.meta.url);
    const similarity = correlation(rasterise(sample(digit)), decode(readFileSync(file)));
    assert.ok(similarity > 0.98, `correlation ${similarity}`);
  });
}

test('place and size of a drawing do not matter', () => {
  const strokes = sample(5);
  const small = strokes.map((stroke) => stroke.map(([x, y]) => [300 + 40 * x, -7 + 40 * y]));
  const [one, other] = [rasterise(strokes), rasterise(small)];
  assert.ok(one.every((grey, i) => Math.abs(grey - other[i]) <= 1));
});

test('a digit is 20 pixels long and its centre of mass in the middle', () => {
  for (let digit = 0; digit < SAMPLES; digit++) {
    const ink = inked(rasterise(sample(digit)));
    const [xs, ys] = [ink.map(({ x }) => x), ink.map(({ y }) => y)];
    const long = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)) + 1;
    assert.ok(long >= 20 && long <= 22, `${digit} is ${long} pixels long`);
    const weight = ink.reduce((sum, { grey }) => sum + grey, 0);
    for (const axis of ['x', 'y']) {
      const centre = ink.reduce((sum, pixel) => sum + pixel.grey * (pixel[axis] + 0.5), 0) / weight;
      assert.ok(Math.abs(centre - SIDE / 2) < 0.25, `${digit}: ${axis} ${centre}`);
    }
  }
});

test('a dot is a dot, and nothing is nothing', () => {
  assert.equal(rasterise([]), null);
  const ink = inked(rasterise([[[0.3, 0.8]]]));
  assert.ok(ink.length >= 4 && ink.length <= 16, `${ink.length} pixels`);
});

const inked = (pixels) =>
  Array.from(pixels, (grey, i) => ({ grey, x: i % SIDE, y: Math.floor(i / SIDE) })).filter(({ grey }) => grey > 0);

function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean([...a]), mean([...b])];
  const product = (x, y) => a.reduce((sum, _, i) => sum + x(i) * y(i), 0);
  const [da, db] = [(i) => a[i] - ma, (i) => b[i] - mb];
  return product(da, db) / Math.sqrt(product(da, da) * product(db, db));
}
