// A network of thirty numbers and a hundred classes, as an ONNX file, whose scores anybody can check by hand: class 10 a + b has four
// times number a and number 10 + b. The last ten numbers have no weight.

import { floats, integer, model, node, tensor, value } from './onnx.js';

/** What the network is called where it is served: the file's name. */
export const NAME = 'hundred-classes';
export const COUNT = 30;
export const CLASSES = 100;
export const LABELS = Array.from({ length: CLASSES }, (_, i) => `class ${i + 1} of a hundred`);
export const FEATURES = Array.from({ length: COUNT }, (_, i) => `feature ${String.fromCharCode(97 + (i % 26))}${i + 1}`);
/** What is subtracted from numbers, and divides them then. */
export const [MEAN, STD] = [2, 4];
export const SAMPLES = [
  { name: 'a clear case', values: rowFor(42) },
  { name: 'all the same', values: Array(COUNT).fill(MEAN) },
];

/** Numbers for which a class is the best one. */
export function rowFor(best) {
  const [a, b] = [Math.floor(best / 10), best % 10];
  return Array.from({ length: COUNT }, (_, i) => (i === a || i === 10 + b ? MEAN + STD : MEAN));
}

/** The scores for numbers as they stand in a table. */
export function scoresFor(numbers) {
  const input = numbers.map((number) => (number - MEAN) / STD);
  return Array.from({ length: CLASSES }, (_, i) => 4 * input[Math.floor(i / 10)] + 4 * input[10 + (i % 10)]);
}

/** The file: a dense layer, then a softmax, which is left to the client. */
export function hundred() {
  const weighed = (row, column) => (column === Math.floor(row / 10) || column === 10 + (row % 10) ? 4 : 0);
  const weights = floats(CLASSES * COUNT, (i) => weighed(Math.floor(i / COUNT), i % COUNT));
  const nodes = [node('Gemm', ['row', 'weights'], 'scores', [integer('transB', 1)]), node('Softmax', ['scores'], 'shares', [])];
  const metadata = {
    'blindsight.labels': LABELS.join(','),
    'blindsight.description': 'a dense layer, for tests',
    'blindsight.features': FEATURES.join(','),
    'blindsight.samples': JSON.stringify(SAMPLES),
    'blindsight.mean': Array(COUNT).fill(MEAN).join(','),
    'blindsight.std': Array(COUNT).fill(STD).join(','),
    'blindsight.input_range': '-3,3',
    'blindsight.score_bound': '40',
  };
  return model(nodes, [tensor('weights', [CLASSES, COUNT], weights)], value('row', [1, COUNT]), value('shares', [1, CLASSES]), metadata);
}

/** Another file: two hundred numbers without names, the mean of which is a quarter of its first score. */
export function wide() {
  const count = 200;
  const weights = floats(2 * count, (i) => (i < count ? 4 : -4) / count);
  const nodes = [node('Gemm', ['row', 'weights'], 'scores', [integer('transB', 1)])];
  const metadata = { 'blindsight.score_bound': '20', 'blindsight.input_range': '-3,3' };
  return model(nodes, [tensor('weights', [2, count], weights)], value('row', [1, count]), value('scores', [1, 2]), metadata);
}
