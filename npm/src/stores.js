// Where secret keys are kept: by name, a name for each plan of each server, `{ secret, digest }` each, the digest being that of the
// evaluation keys at the server.
//
// A store is an object with `get(name)`, `set(name, record)`, `delete(name)` and `list()`, which gives the names; each may return a
// promise. `lasting` says whether it outlives the process: evaluation keys of a key that does not are forgotten by the server, too.

import { UsageError } from './errors.js';

const KEYS = 'keys';

/** The name that a key is kept under: a secret key belongs to one plan of one server. */
export const nameOf = (url, plan) => `${encodeURIComponent(url)}.${plan}`;

/** The plan of such a name, where it is of this server. */
export const planOf = (url, name) => (name.startsWith(nameOf(url, '')) ? name.slice(nameOf(url, '').length) : null);

/** In memory: gone with the page or the process. */
export function memoryStore() {
  const records = new Map();
  return {
    lasting: false,
    get: async (name) => structuredClone(records.get(name)),
    set: async (name, record) => void records.set(name, structuredClone(record)),
    delete: async (name) => void records.delete(name),
    list: async () => [...records.keys()],
  };
}

/** In a browser's IndexedDB, for this origin. Not encrypted: whoever can read the browser's profile can read it. */
export function indexedDbStore(database = 'blindsight') {
  if (!globalThis.indexedDB) {
    throw new UsageError('unsupported', { what: 'There is no IndexedDB here.', remedy: 'In Node use fileStore(), elsewhere memoryStore().' });
  }
  const transaction = (mode, body) => within(database, mode, body);
  return {
    lasting: true,
    get: (name) => transaction('readonly', (keys) => keys.get(name)),
    set: (name, { secret, digest }) => transaction('readwrite', (keys) => keys.put({ secret, digest }, name)),
    delete: (name) => transaction('readwrite', (keys) => keys.delete(name)),
    list: () => transaction('readonly', (keys) => keys.getAllKeys()),
  };
}

async function within(name, mode, body) {
  const database = await done(opening(name));
  try {
    return await done(body(database.transaction(KEYS, mode).objectStore(KEYS)));
  } finally {
    database.close();
  }
}

/** Version 1 held keys by plan alone, of plans that no server has any more. */
function opening(name) {
  const request = indexedDB.open(name, 2);
  request.onupgradeneeded = ({ oldVersion }) => {
    if (oldVersion) request.result.deleteObjectStore(KEYS);
    request.result.createObjectStore(KEYS);
  };
  return request;
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('another page holds an older version of the store open'));
  });
