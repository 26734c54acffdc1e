// One network's key, in the worker: the client with the secret key, and where its evaluation keys stand.

import { load } from './client.js';
import * as store from './store.js';

/** Seconds after which the server forgets keys whose secret half lives in a page's memory. */
const LIFETIME = 3600;

export class Session {
  /** What there is to know of the plan. */
  plan;
  /** Whether the secret key is in the visitor's own store. */
  remembered = false;
  #client;
  #server;
  #model;
  #tell;
  /** The evaluation keys' digest, once the server has them; a promise, so that they are sent once however many ask. */
  #registration = null;

  /** A session for a model of a server, without a key yet; `tell` gets events and their details. */
  static async open(server, model, module, tell) {
    const session = new Session();
    [session.#server, session.#model, session.#tell] = [server, model, tell];
    session.#client = await load(module);
    session.plan = session.#client.openPlan(await server.plan(model.id));
    return session;
  }

  /** The digest of the evaluation keys, where the server has them. */
  digest() {
    return this.#registration?.catch(() => null) ?? null;
  }

  /** The kept key, if there is one for this plan, or else a new one; the milliseconds that making it took. */
  async takeKey() {
    const kept = await store.recall(this.#model.plan).catch(() => null);
    if (!kept) return timed(() => this.#client.generateKey())[1];
    this.#client.restoreKey(kept.secret);
    this.remembered = true;
    if (kept.digest && (await this.#server.hasKeys(kept.digest))) this.#registration = Promise.resolve(kept.digest);
    return 0;
  }

  /** Makes evaluation keys and sends them, once; their digest. */
  register() {
    this.#registration ??= this.#sendKeys().catch((error) => {
      this.#registration = null;
      throw error;
    });
    return this.#registration;
  }

  /** Encrypts, asks and decrypts. */
  async classify(input) {
    const warnings = [this.#client.check(input)].filter(Boolean);
    const [request, encryption] = timed(() => this.#client.encrypt(input));
    this.#tell('encrypted', { bytes: request.length, time: encryption, excerpt: excerpt(request) });
    const { reply, times, roundTrip } = await this.#infer(request);
    const [answer, decryption] = timed(() => this.#client.decrypt(reply));
    return { ...answer, warnings: [...warnings, ...answer.warnings], times, bytes: reply.length, encryption, roundTrip, decryption };
  }

  /** Keeps the secret key in the visitor's store, or takes it out again. */
  async remember(wanted) {
    await (wanted ? this.#keepKey(await this.digest()) : store.drop(this.#model.plan));
    this.remembered = wanted;
  }

  /** Deletes the keys, here and at the server, and makes a new secret key; the milliseconds that took. */
  async forget() {
    await store.drop(this.#model.plan);
    const digest = await this.digest();
    [this.#registration, this.remembered] = [null, false];
    const [, time] = timed(() => this.#client.generateKey());
    if (digest) await this.#server.deleteKeys(digest);
    return time;
  }

  #keepKey(digest) {
    return store.keep(this.#model.plan, this.#client.secretKey(), digest);
  }

  async #sendKeys() {
    const [keys, making] = timed(() => this.#client.evaluationKeys());
    this.#tell('keys', { bytes: keys.length, time: making });
    const digest = this.#client.address(keys);
    const start = performance.now();
    const lifetime = this.remembered ? null : LIFETIME;
    await this.#server.register(digest, keys, lifetime, (share) => this.#tell('upload', { share }));
    this.#tell('registered', { digest, time: performance.now() - start });
    if (this.remembered) await this.#keepKey(digest);
    return digest;
  }

  /** The reply; keys that the server no longer holds are made and sent anew. */
  async #infer(request) {
    for (let attempt = 1; ; attempt++) {
      const digest = await this.register();
      const start = performance.now();
      try {
        return { ...(await this.#server.infer(this.#model.id, digest, request)), roundTrip: performance.now() - start };
      } catch (error) {
        if (error.code !== 'unknown_keys' || attempt === 2) throw error;
        this.#registration = null;
      }
    }
  }
}

/** Bytes from the middle of a request, where its ciphertexts lie, for a picture; over again where they are too few. */
function excerpt(request) {
  const bytes = request.subarray(request.length >> 1);
  return Uint8Array.from({ length: 168 * 168 }, (_, i) => bytes[i % bytes.length]);
}

function timed(work) {
  const start = performance.now();
  const result = work();
  return [result, performance.now() - start];
}
