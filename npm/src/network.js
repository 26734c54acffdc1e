// One network of a server: its key, where its evaluation keys stand, and questions to it.

import { EngineError, KeyError, UsageError } from './errors.js';
import { Keyholder } from './keyholder.js';
import { nameOf } from './stores.js';

/** Seconds after which the server forgets keys whose secret half lives in memory. */
const LIFETIME = 3600;

export class Network {
  /** What the server says of it. */
  info;
  /** Whether the secret key is in the store. */
  kept = false;
  #context;
  #name;
  #listeners = new Set();
  #holder = null;
  /** What `open` gave; a promise, so that a key is made once however many ask. */
  #opening = null;
  /** The evaluation keys' digest, once the server has them; a promise likewise. */
  #registration = null;
  #digest = null;

  /** `context` is what all networks of a client share: server, store, thread, platform, and options. */
  constructor(info, context) {
    this.info = info;
    this.#context = context;
    this.#name = nameOf(context.server.url, info.plan);
  }

  /** Gets a key, the kept one or else a new one: `{ plan, milliseconds, kept, registered }`. Sends nothing of it. */
  open(options = {}) {
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = null;
      throw error;
    });
    return this.#heard(options, () => this.#opening);
  }

  /** Gets a key, and sees to it that the server has its evaluation keys; their digest. */
  ready(options = {}) {
    return this.#heard(options, async () => {
      await this.open();
      return this.#registered();
    });
  }

  /** Encrypts, asks and decrypts. */
  classify(input, options = {}) {
    return this.#heard(options, () => this.#guarded(() => this.#classify(input)));
  }

  /** What lies in each slot of a request: 0 nothing, 1 a constant one, e + 2 element e of the input. */
  async layout() {
    await this.open();
    return this.#guarded(() => this.#key.layout());
  }

  /** Encrypts: `{ request, warnings, milliseconds }`, for a transport of the caller's own. */
  async encrypt(input) {
    await this.open();
    return this.#guarded(() => this.#key.encrypt(input));
  }

  /** Decrypts a reply to such a request. */
  async decrypt(reply) {
    await this.open();
    return this.#guarded(() => this.#key.decrypt(reply));
  }

  /** Makes evaluation keys: `{ keys, digest, milliseconds }`; they are not sent. */
  async evaluationKeys() {
    const { plan } = await this.open();
    this.#agree(plan);
    return this.#guarded(() => this.#key.evaluationKeys());
  }

  /** Keeps the secret key in the store, or takes it out again. */
  async keep(wanted = true) {
    await this.open();
    const digest = await this.#registration?.catch(() => null);
    await (wanted ? this.#store(digest ?? null) : this.#stored('delete'));
    this.kept = wanted;
  }

  /** Deletes the keys, here and at the server; what comes next makes new ones. */
  async forget() {
    const kept = await this.#stored('get').catch(() => null);
    await this.#stored('delete');
    const digest = (await this.#registration?.catch(() => null)) ?? kept?.digest;
    this.#reset();
    if (digest) await this.#context.server.deleteKeys(digest);
  }

  /**
   * Deletes the evaluation keys at the server where the secret key is in memory alone: for when the page or the process ends. It is
   * asked to at once, also while a page is being left.
   */
  async release() {
    const digest = this.kept ? null : this.#digest;
    if (!digest) return;
    [this.#registration, this.#digest] = [null, null];
    await this.#context.server.deleteKeys(digest, true).catch(() => {});
  }

  /** The key in use; others may have forgotten it while something was done. */
  get #key() {
    if (this.#holder) return this.#holder;
    throw new EngineError('no_key', { what: 'The secret key was forgotten meanwhile.', remedy: 'Call ready() again.' });
  }

  async #open() {
    const { server, thread, platform, keep } = this.#context;
    const holder = await Keyholder.open(await server.plan(this.info.id), thread, platform);
    // Where nothing is to be kept, a store that fails is none.
    const kept = await this.#stored('get').catch((error) => {
      if (keep) throw error;
    });
    const milliseconds = kept ? await this.#restored(holder, kept) : await holder.generateKey();
    this.#holder = holder;
    this.kept = Boolean(kept);
    if (!kept && keep) {
      await this.#store(null);
      this.kept = true;
    }
    this.#tell('key', { milliseconds, kept: Boolean(kept) });
    return { plan: holder.plan, milliseconds, kept: Boolean(kept), registered: Boolean(this.#digest) };
  }

  /** Takes the kept key; whether the server still has its evaluation keys is asked. */
  async #restored(holder, { secret, digest }) {
    await holder.restoreKey(secret);
    if (!digest || !(await this.#context.server.hasKeys(digest))) return 0;
    [this.#registration, this.#digest] = [Promise.resolve(digest), digest];
    return 0;
  }

  /** Makes evaluation keys and sends them, once; their digest. */
  #registered() {
    this.#registration ??= this.#guarded(() => this.#sendKeys()).catch((error) => {
      this.#registration = null;
      throw error;
    });
    return this.#registration;
  }

  async #sendKeys() {
    const { server, store } = this.#context;
    this.#agree(this.#key.plan);
    const { keys, digest, milliseconds } = await this.#key.evaluationKeys();
    this.#tell('keys', { bytes: keys.length, milliseconds });
    const start = performance.now();
    const lifetime = this.kept && store.lasting ? null : LIFETIME;
    await server.register(digest, keys, lifetime, (share) => this.#tell('upload', { share }));
    this.#digest = digest;
    this.#tell('registered', { digest, milliseconds: performance.now() - start });
    if (this.kept) await this.#store(digest);
    return digest;
  }

  /** Refuses keys that cost more than was agreed to, before any is made. */
  #agree({ keys, keyBytes }) {
    const { maxKeyBytes } = this.#context;
    if (keyBytes <= maxKeyBytes) return;
    const [expected, found] = [`at most ${maxKeyBytes} bytes`, `${keyBytes} bytes in ${keys} keys`];
    throw new UsageError('declined', { what: 'The model asks for larger evaluation keys than were agreed to.', expected, found, remedy: 'Agree with { maxKeyBytes }.' });
  }

  async #classify(input) {
    await this.open();
    const { request, warnings, milliseconds: encryption } = await this.#key.encrypt(input);
    this.#tell('encrypted', { bytes: request.length, milliseconds: encryption, request });
    const { reply, times: server, roundTrip } = await this.#infer(request);
    const { milliseconds: decryption, ...answer } = await this.#key.decrypt(reply);
    const timing = { encryption, roundTrip, decryption, server };
    return { ...answer, warnings: [...warnings, ...answer.warnings], timing, bytes: { request: request.length, reply: reply.length } };
  }

  /** The reply; keys that the server no longer holds are made and sent anew. */
  async #infer(request) {
    for (let attempt = 1; ; attempt++) {
      const digest = await this.#registered();
      const start = performance.now();
      try {
        return { ...(await this.#context.server.infer(this.info.id, digest, request)), roundTrip: performance.now() - start };
      } catch (error) {
        if (error.code !== 'unknown_keys' || attempt === 2) throw error;
        // Another question may have seen to it already.
        if (digest === this.#digest) [this.#registration, this.#digest] = [null, null];
      }
    }
  }

  /** Does something with the engine; one that broke down is let go, and its key with it. */
  async #guarded(work) {
    try {
      return await work();
    } catch (error) {
      if (error.code === 'engine_failed') this.#reset();
      throw error;
    }
  }

  #reset() {
    this.#holder?.close().catch(() => {});
    [this.#holder, this.#opening, this.#registration, this.#digest, this.kept] = [null, null, null, null, false];
  }

  async #store(digest) {
    await this.#stored('set', { secret: await this.#key.secretKey(), digest });
  }

  async #stored(method, ...record) {
    try {
      return await this.#context.store[method](this.#name, ...record);
    } catch (cause) {
      const what = `The store of secret keys failed: ${cause?.message ?? cause}.`;
      throw new KeyError('store_failed', { what, remedy: 'Give another one, { store: memoryStore() } for example.', cause });
    }
  }

  /** Has a listener hear what is told while something is done. */
  async #heard({ onProgress }, work) {
    if (onProgress) this.#listeners.add(onProgress);
    try {
      return await work();
    } finally {
      this.#listeners.delete(onProgress);
    }
  }

  #tell(step, detail) {
    const event = { model: this.info.id, step, ...detail };
    for (const listener of [...this.#listeners, this.#context.onProgress]) listener?.(event);
  }
}
