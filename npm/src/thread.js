// The thread that holds secret keys: engines, by number, and what can be asked of them. It runs in a worker, or in the caller's thread.

import { packed } from './carried.js';
import { load } from './engine.js';
import { EngineError } from './errors.js';

export class Thread {
  #engines = new Map();
  #next = 0;

  /** Does what a message asks for; a promise of the result. */
  async call({ engine, method, argument }) {
    if (method === 'open') return this.#open(argument);
    if (method === 'close') return void this.#engines.delete(engine);
    const found = this.#engines.get(engine);
    if (!found) throw new EngineError('engine_failed', { what: 'The thread that held the secret key is gone.', remedy: 'Call ready() again.' });
    return METHODS[method](found, argument);
  }

  async #open({ module, plan }) {
    const engine = await load(module);
    const summary = engine.openPlan(plan);
    this.#engines.set(++this.#next, engine);
    return { engine: this.#next, summary };
  }

  close() {
    this.#engines.clear();
  }
}

/** What an engine can be asked for; times are in milliseconds. */
const METHODS = {
  layout: (engine) => engine.layout(),
  generateKey: (engine) => timed(() => engine.generateKey())[1],
  restoreKey: (engine, secret) => engine.restoreKey(secret),
  secretKey: (engine) => engine.secretKey(),
  evaluationKeys(engine) {
    const [keys, milliseconds] = timed(() => engine.evaluationKeys());
    return { keys, digest: engine.address(keys), milliseconds };
  },
  encrypt(engine, input) {
    const warnings = [engine.check(input)].filter(Boolean);
    const [request, milliseconds] = timed(() => engine.encrypt(input));
    return { request, warnings, milliseconds };
  },
  decrypt(engine, reply) {
    const [answer, milliseconds] = timed(() => engine.decrypt(reply));
    return { answer, milliseconds };
  },
};

function timed(work) {
  const start = performance.now();
  const result = work();
  return [result, performance.now() - start];
}

/** Answers the messages `{ id, ...call }` of a port with `{ id, result }` or `{ id, error }`. */
export function serve(port) {
  const thread = new Thread();
  port.onmessage = async ({ data: { id, ...call } }) => {
    try {
      const result = await thread.call(call);
      port.postMessage({ id, result }, large(result));
    } catch (error) {
      port.postMessage({ id, error: packed(error) });
    }
  };
}

/** What of a result is moved and not copied: evaluation keys and ciphertexts. */
const large = (result) => [result?.keys, result?.request].filter((bytes) => bytes instanceof Uint8Array).map(({ buffer }) => buffer);
