import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asPicture, read } from '../page/numbers.js';

test('numbers between spaces, commas, semicolons and lines', () => {
  assert.deepEqual(read('1, -2.5;3e-2\n\t4', 4), { numbers: Float64Array.of(1, -2.5, 0.03, 4) });
  assert.deepEqual(read(' \n ', 4), {});
});

test('what is no number, and another count, is named', () => {
  assert.match(read('1 2 x3', 3).problem, /x3.*the 3rd, is no number/);
  assert.match(read('1 Infinity', 2).problem, /Infinity.*the 2nd/);
  assert.match(read('1 2', 30).problem, /takes 30 numbers; 2 are here/);
});

test('a picture has a grey for each number', () => {
  assert.deepEqual(asPicture(Float64Array.of(-1, 0, 1, 3, 3)), [Uint8Array.of(0, 64, 128, 255, 255, 0), [1, 2, 3]]);
  assert.deepEqual(asPicture(Float64Array.of(7)), [Uint8Array.of(0), [1, 1, 1]]);
});
