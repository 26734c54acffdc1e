// The thread that holds secret keys, where it is a worker: calls become messages.

import { unpacked } from './carried.js';
import { EngineError, UsageError } from './errors.js';

export class Elsewhere {
  #spawn;
  #worker = null;
  #waiting = new Map();
  #next = 0;

  /** `spawn` starts a worker: what it is told and tells are messages, `onfailure` is called when it ends, `busy` when it has work. */
  constructor(spawn) {
    this.#spawn = spawn;
  }

  call(message) {
    this.#worker ??= this.#start();
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.busy?.(true);
      this.#worker.postMessage({ id, ...message });
    });
  }

  close() {
    this.#worker?.terminate();
    this.#fail(new UsageError('closed', { what: 'This client was closed.', remedy: 'Connect anew.' }));
  }

  #start() {
    const worker = this.#spawn();
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onfailure = (cause) => worker === this.#worker && this.#fail(stopped(cause));
    return worker;
  }

  #receive({ id, result, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!this.#waiting.size) this.#worker.busy?.(false);
    if (error) reject(unpacked(error));
    else resolve(result);
  }

  /** Whoever waits is told; the next call starts another worker, which knows nothing of this one. */
  #fail(error) {
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const stopped = (cause) =>
  new EngineError('engine_failed', {
    what: 'The worker that encrypts has stopped, or could not start.',
    remedy: 'Reload the page, or call ready() again; where workers are forbidden, connect with { worker: false }.',
    cause,
  });
