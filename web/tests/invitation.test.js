// What the page asks for follows from what the server says of a network.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import './support/served.js';

const { kindOf } = await import('../page/invitation.js');

const GREY = [1, 28, 28];
const DIGITS = Array.from('0123456789');
const CLOTHES = ['T-shirt', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot'];
const kind = (shape, labels, about = {}) => kindOf({ shape, labels }, about);

test('digits are asked for where the network was trained on them, and nowhere else', () => {
  assert.equal(kind(GREY, DIGITS, { dataset: 'mnist' }), 'digits');
  assert.equal(kind(GREY, DIGITS), 'drawing', 'numbered classes may be anything');
  assert.equal(kind(GREY, DIGITS, { dataset: 'fashion-mnist' }), 'drawing');
  assert.equal(kind(GREY, CLOTHES, { dataset: 'mnist' }), 'images');
  assert.equal(kind(GREY, CLOTHES), 'images');
});

test('letters can be drawn, other shapes are images or numbers', () => {
  assert.equal(kind(GREY, Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ')), 'drawing');
  assert.equal(kind([1, 32, 32], DIGITS), 'images');
  assert.equal(kind([3, 32, 32], DIGITS), 'images');
  assert.equal(kind([30, 1, 1], DIGITS), 'numbers');
  assert.equal(kind([1, 1, 128], DIGITS), 'numbers');
  assert.equal(kind([12, 8, 8], DIGITS), 'numbers');
});
