// Processor time of the client's operations under Node: what `web/bench` measures in Chromium, for a machine that is busy with
// other things. Takes the files of the WebAssembly and of a public plan (`GET /v1/models/{id}`).

import { readFileSync } from 'node:fs';
import { load } from '../../npm/src/engine.js';

const [wasm, plan] = process.argv.slice(2).map((path) => readFileSync(path));
const client = await load(wasm);
client.openPlan(plan);
const pixels = new Uint8Array(784).fill(200, 300, 500);
measure('secret key', 1, () => client.generateKey());
measure('evaluation keys', 5, () => client.evaluationKeys());
measure('encryption', 10, () => client.encrypt(pixels));

/** Prints the first and the least time; the first includes the compiler's own threads. */
function measure(name, times, work) {
  const spent = Array.from({ length: times }, () => {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  });
  console.log(`${name.padEnd(16)} first ${spent[0].toFixed(0)} ms, least ${Math.min(...spent).toFixed(0)} ms`);
}
