// blindsight-client in Node.

import { readFile } from 'node:fs/promises';
import { Client, openPlan as open } from '../client.js';
import { hasVectors } from '../simd.js';
import { indexedDbStore, memoryStore } from '../stores.js';
import { fileStore } from './files.js';
import { spawn } from './spawn.js';

export * from '../errors.js';
export { fileStore, indexedDbStore, memoryStore };

/** The compiled WebAssembly; a promise, so that it is loaded once for all keys of a process. */
let compiled = null;

async function compile() {
  const name = hasVectors() ? 'blindsight.wasm' : 'blindsight-scalar.wasm';
  return WebAssembly.compile(await readFile(new URL(`../${name}`, import.meta.url)));
}

const platform = {
  compile: () => (compiled ??= compile()),
  spawn,
  store: () => fileStore(),
  readPicture: async () => null,
};

/** Connects to a server. */
export const connect = (address, options) => Client.connect(platform, address, options);

/** Takes a plan without a server, with a new key or a given one. */
export const openPlan = (frame, options) => open(platform, frame, options);
