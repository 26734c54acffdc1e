// The page's other thread: holds the clients, with their secret keys, and talks to the server. Keys are made and images
// encrypted here, so the page never stops.
//
// The page sends `{ id, method, argument }` and gets `{ id, result }` or `{ id, error }`; in between come `{ event, detail }`.

import { compile } from './client.js';
import { Server } from './server.js';
import { Session } from './session.js';
import * as store from './store.js';

let server, module, models;
/** The networks that were chosen so far, by the model's name: each has a key of its own. */
const sessions = new Map();

const methods = {
  /** Connects; what the server serves, each with whether a key is kept for it. */
  async connect({ token }) {
    server = new Server(token);
    sessions.clear();
    [module, models] = await Promise.all([compile(fetch('blindsight.wasm')), server.models()]);
    const kept = await keptPlans().catch(() => []);
    return models.map((model) => ({ ...model, kept: kept.includes(model.plan) }));
  },

  /** Gets a key for a model: one of this page's or of an earlier visit, or a new one. */
  async open({ model }) {
    const found = models.find(({ id }) => id === model);
    const session = await Session.open(server, found, module, (event, detail) => postMessage({ event, detail: { model, ...detail } }));
    const milliseconds = await session.takeKey();
    sessions.set(model, session);
    return { plan: session.plan, milliseconds, remembered: session.remembered, digest: await session.digest(), weight: weight() };
  },

  register: ({ model }) => sessions.get(model).register(),
  classify: ({ model, input }) => sessions.get(model).classify(input),
  remember: ({ model, wanted }) => sessions.get(model).remember(wanted),
  forget: ({ model }) => sessions.get(model).forget(),
};

/** The plans that keys are kept for. Those of plans that are no longer served are of no use: they are deleted, here and at the server. */
async function keptPlans() {
  const [kept, served] = [await store.plans(), models.map(({ plan }) => plan)];
  for (const plan of kept.filter((plan) => !served.includes(plan))) {
    const { digest } = await store.recall(plan);
    await store.drop(plan);
    if (digest) await server.deleteKeys(digest).catch(() => {});
  }
  return kept.filter((plan) => served.includes(plan));
}

/** Bytes of what this thread has loaded, as they came: all, and WebAssembly. */
function weight() {
  const files = performance.getEntriesByType('resource').filter(({ name }) => !name.includes('/v1/'));
  const sum = (some) => some.reduce((total, { encodedBodySize }) => total + encodedBodySize, 0);
  return { all: sum(files), module: sum(files.filter(({ name }) => name.endsWith('.wasm'))) };
}

onmessage = async ({ data: { id, method, argument } }) => {
  try {
    postMessage({ id, result: await methods[method](argument) });
  } catch (error) {
    postMessage({ id, error: { message: error.message, code: error.code } });
  }
};
