// A network for colour images that anybody can check by hand, as an ONNX file: its scores are the means of red, green and blue.

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
  const graph = [
    ...nodes.map((bytes) => field(1, bytes)),
    field(2, 'colours'),
    field(5, tensor('shares', [3, 3, QUARTER, QUARTER], shares)),
    field(5, tensor('means', [3, FEATURES], means)),
    field(11, value('image', [1, 3, SIDE, SIDE])),
    field(12, value('scores', [1, 3])),
  ];
  const metadata = { 'blindsight.labels': LABELS.join(','), 'blindsight.score_bound': '2' };
  const entries = Object.entries(metadata).map(([key, text]) => field(14, message(field(1, key), field(2, text))));
  return message(field(1, 8), field(7, message(...graph)), field(8, message(field(2, 17))), ...entries);
}

// Protocol buffers, as far as ONNX needs them (onnx.proto3 has the numbers of the fields).

const message = (...parts) => Buffer.concat(parts);

/** A field: a number, or bytes and text with their length. */
function field(number, content) {
  if (typeof content === 'number') return message(varint(number * 8), varint(content));
  const bytes = Buffer.from(content);
  return message(varint(number * 8 + 2), varint(bytes.length), bytes);
}

function varint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  return Buffer.from([...bytes, number]);
}

const floats = (length, at) => Buffer.from(Float32Array.from({ length }, (_, i) => at(i)).buffer);
const dimensions = (dims) => dims.map((dim) => field(1, dim));
const tensor = (name, dims, data) => message(...dimensions(dims), field(2, 1), field(8, name), field(9, data));
const integer = (name, number) => message(field(1, name), field(3, number), field(20, 2));
const integers = (name, numbers) => message(field(1, name), ...numbers.map((number) => field(8, number)), field(20, 7));

function node(kind, inputs, output, attributes) {
  return message(...inputs.map((input) => field(1, input)), field(2, output), field(4, kind), ...attributes.map((a) => field(5, a)));
}

function value(name, dims) {
  const shape = message(...dims.map((dim) => field(1, message(field(1, dim)))));
  return message(field(1, name), field(2, message(field(1, message(field(1, 1), field(2, shape))))));
}
