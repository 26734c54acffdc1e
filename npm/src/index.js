// blindsight-client in a browser.

import { Client, openPlan as open } from './client.js';
import { EngineError, UsageError } from './errors.js';
import { readPicture } from './picture.js';
import { hasVectors } from './simd.js';
import { indexedDbStore, memoryStore } from './stores.js';

export * from './errors.js';
export { indexedDbStore, memoryStore };

const wasm = () => (hasVectors() ? new URL('./blindsight.wasm', import.meta.url) : new URL('./blindsight-scalar.wasm', import.meta.url));

/** The compiled WebAssembly; a promise, so that it is loaded once for all keys of a page. */
let compiled = null;

async function compile() {
  try {
    const response = await fetch(wasm());
    if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
    const streamed = /^application\/wasm/.test(response.headers.get('Content-Type') ?? '');
    return await (streamed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (cause) {
    compiled = null;
    const remedy = 'Is its file beside the scripts, and does the page\u2019s policy allow \u2018wasm-unsafe-eval\u2019?';
    throw new EngineError('unsupported', { what: `The WebAssembly cannot be loaded (${cause.message}).`, remedy, cause });
  }
}

function spawn() {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  worker.onerror = (event) => worker.onfailure(event.message);
  return worker;
}

const platform = {
  compile: () => (compiled ??= compile()),
  spawn,
  store: () => (globalThis.indexedDB ? indexedDbStore() : memoryStore()),
  readPicture,
};

/** Connects to a server. */
export const connect = (address, options) => Client.connect(platform, address, options);

/** Takes a plan without a server, with a new key or a given one. */
export const openPlan = (frame, options) => open(platform, frame, options);

/** Files are Node's alone. */
export function fileStore() {
  throw new UsageError('unsupported', { what: 'There are no files in a browser.', remedy: 'Use indexedDbStore() or memoryStore().' });
}
