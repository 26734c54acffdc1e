// One plan and one secret key, in the thread that holds secret keys: all that needs no server.

import { bytes, taken } from './input.js';

export class Keyholder {
  /** What there is to know of the plan. */
  plan;
  #thread;
  #engine;
  #readPicture;

  /** Takes a plan, as the server frames it; `thread` holds secret keys, `module` is the compiled WebAssembly. */
  static async open(frame, thread, { compile, readPicture }) {
    const holder = new Keyholder();
    const { engine, summary } = await thread.call({ method: 'open', argument: { module: await compile(), plan: bytes(frame, 'a plan\u2019s frame') } });
    [holder.#thread, holder.#engine, holder.#readPicture, holder.plan] = [thread, engine, readPicture, described(summary)];
    return holder;
  }

  /** What lies in each slot of a request: 0 nothing, 1 a constant one, e + 2 element e of the input. */
  layout() {
    return this.#call('layout');
  }

  /** Makes a new secret key; the milliseconds that took. */
  generateKey() {
    return this.#call('generateKey');
  }

  /** Takes a secret key that `secretKey` gave. */
  async restoreKey(secret) {
    await this.#call('restoreKey', bytes(secret, 'a secret key'));
  }

  /** The secret key: for its owner's store, and nobody else. */
  secretKey() {
    return this.#call('secretKey');
  }

  /** Evaluation keys, for the server: `{ keys, digest, milliseconds }`. */
  evaluationKeys() {
    return this.#call('evaluationKeys');
  }

  /** Encrypts: `{ request, warnings, milliseconds }`. What is out of range is clamped, and a warning says so, here alone. */
  async encrypt(input) {
    return this.#call('encrypt', await taken(input, this.plan.shape, this.#readPicture));
  }

  /** Decrypts a reply. */
  async decrypt(reply) {
    const { answer, milliseconds } = await this.#call('decrypt', bytes(reply, 'a reply'));
    return { ...answered(answer), milliseconds };
  }

  /** Forgets the secret key. */
  close() {
    return this.#call('close');
  }

  #call(method, argument) {
    return this.#thread.call({ engine: this.#engine, method, argument });
  }
}

const described = ({ key_bytes: keyBytes, key_milliseconds: keyMilliseconds, ...plan }) => ({ ...plan, keyBytes, keyMilliseconds });

/** An answer with its best classes at hand. */
function answered({ ranking, predicted_error: predictedError, too_close: tooClose, ...answer }) {
  return { ...answer, predictedError, tooClose, top: (count = 5) => ranking.slice(0, count) };
}
