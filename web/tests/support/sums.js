// A network for numbers that anybody can check by hand, as an ONNX file: its scores are the sum of its numbers, and less.

import { floats, integer, model, node, tensor, value } from './onnx.js';

/** What the network is called where it is served: the file's name. */
export const NAME = 'sum-of-five';
export const LABELS = ['positive', 'negative'];
export const COUNT = 5;

/** The file: a dense layer of ones, and of minus ones. */
export function sums() {
  const signs = floats(2 * COUNT, (i) => (i < COUNT ? 1 : -1));
  const nodes = [node('Gemm', ['row', 'signs'], 'scores', [integer('transB', 1)])];
  const metadata = { 'blindsight.labels': LABELS.join(','), 'blindsight.score_bound': '20', 'blindsight.input_range': '-3,3' };
  return model(nodes, [tensor('signs', [2, COUNT], signs)], value('row', [1, COUNT]), value('scores', [1, 2]), metadata);
}
