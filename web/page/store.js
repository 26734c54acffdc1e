// The visitor's own store in this browser (IndexedDB): one secret key, where the visitor asked for it.

const DATABASE = 'blindsight';
const KEYS = 'keys';

/** What was kept for a plan: `{ secret, digest }`, the digest being that of its evaluation keys; or nothing. */
export const recall = (plan) => transaction('readonly', (keys) => keys.get(plan));

/** Keeps a key for a plan, in place of any other. */
export const keep = (plan, secret, digest) =>
  transaction('readwrite', (keys) => {
    keys.clear();
    return keys.put({ secret, digest }, plan);
  });

/** Deletes all keys. */
export const wipe = () => transaction('readwrite', (keys) => keys.clear());

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
