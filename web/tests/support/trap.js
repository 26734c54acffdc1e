// A WebAssembly module with the exports of the client's, one of which traps.

const text = (name) => [name.length, ...Buffer.from(name)];
const section = (id, content) => [id, content.length, ...content];

/** The bytes of a module with an operation that is `unreachable`. */
export function trapping(operation) {
  const functions = [['argument', 1], ['result', 0], ['result_length', 0], ['wipe_result', 2], [operation, 0]];
  // Types: nothing to i32; i32 to i32; nothing to nothing.
  const types = section(1, [3, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 0, 0]);
  const declared = section(3, [functions.length, ...functions.map(([, type]) => type)]);
  const memory = section(5, [1, 0, 1]);
  const exported = functions.flatMap(([name], i) => [...text(name), 0, i]);
  const exports = section(7, [functions.length + 1, ...text('memory'), 2, 0, ...exported]);
  const zero = [4, 0, 0x41, 0, 0x0b];
  const bodies = functions.map(([name, type]) => (name === operation ? [3, 0, 0x00, 0x0b] : type === 2 ? [2, 0, 0x0b] : zero));
  const code = section(10, [functions.length, ...bodies.flat()]);
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...types, ...declared, ...memory, ...exports, ...code]);
}
