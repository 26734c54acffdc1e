// A network for colour images that anybody can check by hand, as an ONNX file: its scores are the means of red, green and blue.

import { floats, integer, integers, model, node, tensor, value } from './onnx.js';

/** What the network is called where it is served: the file's name. */
export const NAME = 'mean-colour';
export const LABELS = ['mostly red', 'mostly green', 'mostly blue'];
const SIDE = 32;
/** Each channel's mean over a quarter of the image, then the mean of the quarters. */
const QUARTER = SIDE / 2;
const FEATURES = 3 * 4;

/** The file: a convolution that averages, and a dense layer that averages. */
export function colours() {
  const shares = floats(3 * 3 * QUARTER ** 2, (i) => {
    const [map, channel] = [Math.floor(i / (3 * QUARTER ** 2)), Math.floor(i / QUARTER ** 2) % 3];
    return map === channel ? QUARTER ** -2 : 0;
  });
  const means = floats(3 * FEATURES, (i) => (Math.floor((i % FEATURES) / 4) === Math.floor(i / FEATURES) ? 1 / 4 : 0));
  const nodes = [
    node('Conv', ['image', 'shares'], 'quarters', [integers('kernel_shape', [QUARTER, QUARTER]), integers('strides', [QUARTER, QUARTER])]),
    node('Flatten', ['quarters'], 'features', []),
    node('Gemm', ['features', 'means'], 'scores', [integer('transB', 1)]),
  ];
  const weights = [tensor('shares', [3, 3, QUARTER, QUARTER], shares), tensor('means', [3, FEATURES], means)];
  const metadata = { 'blindsight.labels': LABELS.join(','), 'blindsight.score_bound': '2' };
  return model(nodes, weights, value('image', [1, 3, SIDE, SIDE]), value('scores', [1, 3]), metadata);
}
