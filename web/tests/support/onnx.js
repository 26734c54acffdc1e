// ONNX files by hand.

// Protocol buffers, as far as ONNX needs them (onnx.proto3 has the numbers of the fields).

export const message = (...parts) => Buffer.concat(parts);

/** A field: a number, or bytes and text with their length. */
export function field(number, content) {
  if (typeof content === 'number') return message(varint(number * 8), varint(content));
  const bytes = Buffer.from(content);
  return message(varint(number * 8 + 2), varint(bytes.length), bytes);
}

function varint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  return Buffer.from([...bytes, number]);
}

export const floats = (length, at) => Buffer.from(Float32Array.from({ length }, (_, i) => at(i)).buffer);
const dimensions = (dims) => dims.map((dim) => field(1, dim));
export const tensor = (name, dims, data) => message(...dimensions(dims), field(2, 1), field(8, name), field(9, data));
export const integer = (name, number) => message(field(1, name), field(3, number), field(20, 2));
export const integers = (name, numbers) => message(field(1, name), ...numbers.map((number) => field(8, number)), field(20, 7));

export function node(kind, inputs, output, attributes) {
  return message(...inputs.map((input) => field(1, input)), field(2, output), field(4, kind), ...attributes.map((a) => field(5, a)));
}

export function value(name, dims) {
  const shape = message(...dims.map((dim) => field(1, message(field(1, dim)))));
  return message(field(1, name), field(2, message(field(1, message(field(1, 1), field(2, shape))))));
}

/** The file of a graph, from its nodes, weights, input, output and metadata. */
export function model(nodes, tensors, input, output, metadata) {
  const graph = [
    ...nodes.map((bytes) => field(1, bytes)),
    field(2, 'graph'),
    ...tensors.map((bytes) => field(5, bytes)),
    field(11, input),
    field(12, output),
  ];
  const entries = Object.entries(metadata).map(([key, text]) => field(14, message(field(1, key), field(2, text))));
  return message(field(1, 8), field(7, message(...graph)), field(8, message(field(2, 17))), ...entries);
}
