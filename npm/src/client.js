// A client of a server: what it serves, and a network object for each model that is used.

import { Elsewhere } from './elsewhere.js';
import { UsageError } from './errors.js';
import { Keyholder } from './keyholder.js';
import { Network } from './network.js';
import { Server, placeOf } from './server.js';
import { planOf } from './stores.js';
import { Thread } from './thread.js';

/** Evaluation keys of more bytes are made only where that was agreed to, as by the command line. */
const AGREED_KEYS = 2 ** 30;
/** For how many seconds a server that does not answer is asked again. */
const PATIENCE = 20;

/** The thread that holds secret keys: a worker, unless that is not wanted. */
const threadOf = (platform, worker = true) => (worker ? new Elsewhere(platform.spawn) : new Thread());

export class Client {
  /** What the server serves, each with whether a key is kept for it. */
  models;
  #context;
  #chosen;
  #networks = new Map();

  static async connect(platform, address, { token, store, model, fetch, worker, keep = true, maxKeyBytes = AGREED_KEYS, patience = PATIENCE, onProgress } = {}) {
    const place = placeOf(address, token);
    const asks = fetch ?? ((...request) => globalThis.fetch(...request));
    const client = new Client();
    const server = new Server(place.url, place.token, asks, patience);
    // Whoever connects will need it; a failure shows when it does.
    platform.compile().catch(() => {});
    const models = await server.models();
    const context = { server, platform, keep, maxKeyBytes, onProgress, store: store ?? (await platform.store()), thread: threadOf(platform, worker) };
    [client.#context, client.#chosen] = [context, model];
    const kept = await client.#keptPlans().catch(() => []);
    client.models = models.map((served) => described(served, kept));
    if (model !== undefined) client.#find(model);
    return client;
  }

  /** A model's network: the one of this name, or else the one that was given to `connect`, or the only one. */
  model(name = this.#chosen) {
    if (!this.#context.thread) throw new UsageError('closed', { what: 'This client was closed.', remedy: 'Connect anew.' });
    const info = this.#find(name);
    if (!this.#networks.has(info.id)) this.#networks.set(info.id, new Network(info, this.#context));
    return this.#networks.get(info.id);
  }

  /** As of the network that was chosen, or the only one. */
  async ready(options) {
    return this.model().ready(options);
  }

  /** As of the network that was chosen, or the only one. */
  async classify(input, options) {
    return this.model().classify(input, options);
  }

  /** Deletes kept keys of this server whose plans it no longer serves, here and there. */
  async prune() {
    const { server, store } = this.#context;
    for (const name of await store.list()) {
      const plan = planOf(server.url, name);
      if (plan === null || this.models.some((model) => model.plan === plan)) continue;
      const { digest } = (await store.get(name)) ?? {};
      await store.delete(name);
      if (digest) await server.deleteKeys(digest).catch(() => {});
    }
  }

  /** Deletes the evaluation keys at the server whose secret keys are in memory alone; asks for it at once. */
  async release() {
    await Promise.all([...this.#networks.values()].map((network) => network.release()));
  }

  /** Releases, and ends the thread that holds secret keys. */
  async close() {
    const { thread } = this.#context;
    const released = this.release();
    this.#context.thread = null;
    thread?.close();
    await released;
  }

  #find(name) {
    const names = this.models.map(({ id }) => id);
    if (name === undefined && names.length === 1) return this.models[0];
    const found = this.models.find(({ id }) => id === name);
    if (found) return found;
    const expected = names.length ? `one of ${names.join(', ')}` : 'a model; the server has none for this token';
    const [code, what] = name === undefined ? ['choose_model', 'The server serves several models.'] : ['unknown_model', 'The server has no such model.'];
    throw new UsageError(code, { what, expected, found: name === undefined ? 'no name' : String(name), remedy: 'Name one: connect(url, { model }).' });
  }

  async #keptPlans() {
    const { server, store } = this.#context;
    return (await store.list()).map((name) => planOf(server.url, name));
  }
}

/** A model as the server describes it, in this language's spelling. */
function described({ id, plan, labels, input, about, security_bits, evaluation_key_bytes, request_bytes, reply_bytes }, kept) {
  const sizes = { evaluationKeyBytes: evaluation_key_bytes, requestBytes: request_bytes, replyBytes: reply_bytes };
  return { id, plan, labels, input, about: { samples: [], ...about }, securityBits: security_bits, ...sizes, kept: kept.includes(plan) };
}

/** A plan and a key without a server, for a transport of the caller's own. */
export async function openPlan(platform, frame, { secret, worker } = {}) {
  const thread = threadOf(platform, worker);
  try {
    const holder = await Keyholder.open(frame, thread, platform);
    await (secret ? holder.restoreKey(secret) : holder.generateKey());
    holder.close = async () => thread.close();
    return holder;
  } catch (error) {
    thread.close();
    throw error;
  }
}
