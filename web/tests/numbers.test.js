import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asPicture, denormalised, normalised, numberOf, wordsOf } from '../page/numbers.js';

test('decimal numbers are numbers, and nothing else is', () => {
  for (const [text, number] of [['1', 1], [' -2.5 ', -2.5], ['+3e-2', 0.03], ['.5', 0.5], ['7.', 7]]) assert.equal(numberOf(text), number);
  for (const text of ['', ' ', 'x', 'NaN', 'Infinity', '1e999', '0x10', '1,5', '1 2', '--1']) assert.equal(numberOf(text), null, text);
});

test('words stand between spaces, commas, semicolons and lines', () => {
  assert.deepEqual(wordsOf('1, -2.5;3e-2\n\t4 '), ['1', '-2.5', '3e-2', '4']);
  assert.deepEqual(wordsOf(' \n '), []);
});

test('numbers of a table lose the mean of their channel, and get it back', () => {
  const plan = { shape: [2, 1, 2], mean: [1, -1], std: [2, 4] };
  assert.deepEqual(normalised(Float64Array.of(1, 3, -1, 3), plan), Float64Array.of(0, 1, 0, 1));
  assert.deepEqual(denormalised([0, 1, 0, 1], plan), [1, 3, -1, 3]);
});

test('a picture has a grey for each number', () => {
  assert.deepEqual(asPicture(Float64Array.of(-1, 0, 1, 3, 3)), [Uint8Array.of(0, 64, 128, 255, 255, 0), [1, 2, 3]]);
  assert.deepEqual(asPicture(Float64Array.of(7)), [Uint8Array.of(0), [1, 1, 1]]);
});
