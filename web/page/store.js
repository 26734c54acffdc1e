// The visitor's own store in this browser (IndexedDB): secret keys, one for a plan, where the visitor asked for it.

const DATABASE = 'blindsight';
const KEYS = 'keys';

/** What was kept for a plan: `{ secret, digest }`, the digest being that of its evaluation keys; or nothing. */
export const recall = (plan) => transaction('readonly', (keys) => keys.get(plan));

/** The plans that a key is kept for. */
export const plans = () => transaction('readonly', (keys) => keys.getAllKeys());

/** Keeps a key for a plan. */
export const keep = (plan, secret, digest) => transaction('readwrite', (keys) => keys.put({ secret, digest }, plan));

/** Deletes the key for a plan. */
export const drop = (plan) => transaction('readwrite', (keys) => keys.delete(plan));

async function transaction(mode, body) {
  const database = await done(opening());
  try {
    return await done(body(database.transaction(KEYS, mode).objectStore(KEYS)));
  } finally {
    database.close();
  }
}

function opening() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(KEYS);
  return request;
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
