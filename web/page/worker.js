// The page's other thread: holds the client, with the secret key, and talks to the server. Keys are made and images
// encrypted here, so the page never stops.
//
// The page sends `{ id, method, argument }` and gets `{ id, result }` or `{ id, error }`; in between come `{ event, detail }`.

import { load } from './client.js';
import { Server } from './server.js';
import * as store from './store.js';

/** Seconds after which the server forgets keys whose secret half lives in a page's memory. */
const LIFETIME = 3600;

let client, server, model;
let remembered = false;
/** The evaluation keys' digest, once the server has them; a promise, so that they are sent once however many ask. */
let registration = null;

const methods = {
  /** Connects and makes a key, or takes the one that was kept. */
  async open({ token }) {
    server = new Server(token);
    const [loaded, models] = await Promise.all([load(await fetch('blindsight.wasm')), server.models()]);
    client = loaded;
    model = models.find(({ input }) => input.channels === 1 && input.height === 28 && input.width === 28);
    if (!model) throw new Error('This server has no model for drawn digits (28x28, grey).');
    const plan = client.openPlan(await server.plan(model.id));
    const milliseconds = await takeKey();
    return { plan, milliseconds, remembered, digest: await registration, weight: weight() };
  },

  /** Makes evaluation keys and sends them, once. */
  register,

  /** Encrypts, asks and decrypts. */
  async classify({ pixels }) {
    const [request, encryption] = timed(() => client.encrypt(pixels));
    tell('encrypted', { bytes: request.length, time: encryption, excerpt: excerpt(request) });
    const { reply, times, roundTrip } = await infer(request);
    const [answer, decryption] = timed(() => client.decrypt(reply));
    return { ...answer, times, bytes: reply.length, encryption, roundTrip, decryption };
  },

  /** Keeps the secret key in the visitor's store, or takes it out again. */
  async remember({ wanted }) {
    await (wanted ? keepKey(await registration?.catch(() => null)) : store.wipe());
    remembered = wanted;
  },

  /** Deletes all keys, here and at the server, and makes a new secret key. */
  async forget() {
    await store.wipe();
    const digest = await registration?.catch(() => null);
    [registration, remembered] = [null, false];
    const [, time] = timed(() => client.generateKey());
    if (digest) await server.deleteKeys(digest);
    return { time };
  },
};

/** The kept key, if there is one for this plan, or else a new one; the milliseconds that making it took. */
async function takeKey() {
  const kept = await store.recall(model.plan).catch(() => null);
  if (!kept) return timed(() => client.generateKey())[1];
  client.restoreKey(kept.secret);
  remembered = true;
  if (kept.digest && (await server.hasKeys(kept.digest))) registration = Promise.resolve(kept.digest);
  return 0;
}

const keepKey = (digest) => store.keep(model.plan, client.secretKey(), digest);

/** The digest under which the server holds this client's evaluation keys. */
function register() {
  registration ??= sendKeys().catch((error) => {
    registration = null;
    throw error;
  });
  return registration;
}

async function sendKeys() {
  const [keys, making] = timed(() => client.evaluationKeys());
  tell('keys', { bytes: keys.length, time: making });
  const digest = client.address(keys);
  const start = performance.now();
  await server.register(digest, keys, remembered ? null : LIFETIME, (share) => tell('upload', { share }));
  tell('registered', { digest, time: performance.now() - start });
  if (remembered) await keepKey(digest);
  return digest;
}

/** The reply; keys that the server no longer holds are made and sent anew. */
async function infer(request) {
  for (let attempt = 1; ; attempt++) {
    const digest = await register();
    const start = performance.now();
    try {
      return { ...(await server.infer(model.id, digest, request)), roundTrip: performance.now() - start };
    } catch (error) {
      if (error.code !== 'unknown_keys' || attempt === 2) throw error;
      registration = null;
    }
  }
}

/** Bytes from the middle of a request, where its ciphertexts lie. */
const excerpt = (bytes) => bytes.slice(bytes.length >> 1, (bytes.length >> 1) + 168 * 168);

/** Bytes of what this thread has loaded, as they came: all, and WebAssembly. */
function weight() {
  const files = performance.getEntriesByType('resource').filter(({ name }) => !name.includes('/v1/'));
  const sum = (some) => some.reduce((total, { encodedBodySize }) => total + encodedBodySize, 0);
  return { all: sum(files), module: sum(files.filter(({ name }) => name.endsWith('.wasm'))) };
}

function timed(work) {
  const start = performance.now();
  const result = work();
  return [result, performance.now() - start];
}

const tell = (event, detail) => postMessage({ event, detail });

onmessage = async ({ data: { id, method, argument } }) => {
  try {
    postMessage({ id, result: await methods[method](argument) });
  } catch (error) {
    postMessage({ id, error: { message: error.message, code: error.code } });
  }
};
