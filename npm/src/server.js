// The server, as an object: protocol version 1 (docs/server.md) over fetch.
//
// What is sent, and sent again, follows from the plan and from the server's own answers, never from what is secret.

import { ServerError, UsageError } from './errors.js';

const VERSION = '1';
/** Bytes of a part of an upload: small enough for a progress bar, large enough for a fast line. */
const PART = 512 * 1024;
/** How often a busy server is asked again, and how long at most between two times, in seconds. */
const BUSY = { times: 6, seconds: 10 };
/** The pauses before a server that does not answer is asked again, in seconds: the first, and the longest. */
const PAUSE = { first: 0.1, longest: 5 };
const BINARY = { 'Content-Type': 'application/octet-stream' };

export class Server {
  /** The address, with a slash at its end. */
  url;
  #token;
  #fetch;
  #patience;

  /** `patience` is for how many seconds a server that does not answer is asked again. */
  constructor(url, token, fetch, patience) {
    [this.url, this.#token, this.#fetch, this.#patience] = [url.href, token, fetch, patience];
  }

  /** What the server serves. */
  async models() {
    const { models } = (await json(await this.#ask('v1/models'))) ?? {};
    if (!Array.isArray(models)) throw notUnderstood('a list of models');
    return models;
  }

  /** The public part of a model's plan, framed. */
  async plan(model) {
    return bytes(await this.#ask(`v1/models/${encodeURIComponent(model)}`));
  }

  /** Whether these keys are registered. */
  async hasKeys(digest) {
    return (await this.#arrived(digest)).complete;
  }

  /**
   * Registers evaluation keys part by part, from wherever an earlier attempt broke off; `progress` is told the share that is there.
   * The server forgets them after `seconds`, if given.
   */
  async register(digest, keys, seconds, progress) {
    const address = `v1/keys/${digest}${seconds ? `?expires_in=${seconds}` : ''}`;
    const retries = new Retries(this.#patience);
    // Twice as many parts as needed: some may have to be sent again.
    for (let parts = Math.ceil((2 * keys.length) / PART), offset = 0; parts > 0; parts--) {
      progress(offset / keys.length);
      try {
        const response = await this.#sendPart(address, keys, offset);
        if (response.ok && response.status !== 202) return progress(1);
        offset = Number(response.headers.get('Upload-Offset'));
        retries.begin();
      } catch (error) {
        await retries.wait(error);
        const { offset: arrived, complete } = await this.#arrived(digest);
        if (complete) return progress(1);
        offset = arrived;
      }
    }
    throw new ServerError('unreachable', { what: 'The server does not take the evaluation keys.', remedy: 'Please try again later.' });
  }

  /** The answer to one part; that the upload stands elsewhere is an answer, too. */
  async #sendPart(address, keys, offset) {
    const headers = { 'Upload-Offset': String(offset), ...BINARY };
    try {
      return await this.#patiently(address, { method: 'PUT', headers, body: keys.subarray(offset, offset + PART) });
    } catch (error) {
      if (error.code === 'wrong_offset') return error.response;
      throw error;
    }
  }

  /** How far an upload came. */
  async #arrived(digest) {
    const { headers } = await this.#ask(`v1/keys/${digest}`, { method: 'HEAD' });
    return { offset: Number(headers.get('Upload-Offset')), complete: headers.get('Upload-Complete') === '?1' };
  }

  /** Deletes evaluation keys; that there are none is as good. `keepalive`: also when the page is being left. */
  async deleteKeys(digest, keepalive = false) {
    const deletion = this.#patiently(`v1/keys/${digest}`, { method: 'DELETE', keepalive });
    await deletion.catch((error) => {
      if (error.status !== 404) throw error;
    });
  }

  /** The reply to a request, and the server's own times in milliseconds. */
  async infer(model, digest, request) {
    const headers = { 'Blindsight-Keys': digest, ...BINARY };
    const response = await this.#ask(`v1/models/${encodeURIComponent(model)}/infer`, { method: 'POST', headers, body: request });
    const times = timing(response.headers.get('Server-Timing') ?? '');
    return { reply: await bytes(response), times };
  }

  /** Asks, and asks again where nothing answers: whatever is sent so may be repeated. */
  async #ask(path, options) {
    for (const retries = new Retries(this.#patience); ; ) {
      try {
        return await this.#patiently(path, options);
      } catch (error) {
        await retries.wait(error);
      }
    }
  }

  /** Asks, and comes again when a busy server says to. */
  async #patiently(path, options = {}) {
    for (let tries = 1; ; tries++) {
      const response = await this.#once(path, options);
      if (response.ok) return response;
      const seconds = Number(response.headers.get('Retry-After'));
      if (!seconds || tries === BUSY.times) throw await refusal(response);
      await pause(Math.min(seconds, BUSY.seconds));
    }
  }

  async #once(path, options) {
    const headers = { ...options.headers, 'Blindsight-Version': VERSION };
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    try {
      const only = { cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer' };
      return await this.#fetch(this.url + path, { ...options, headers, ...only });
    } catch (cause) {
      throw unreachable(this.url, cause);
    }
  }
}

/** Where to find a server, from what a user has: an address, or the page's, with the token behind the `#`. */
export function placeOf(address, token) {
  let url;
  try {
    url = new URL(String(address), globalThis.location?.href);
  } catch {
    throw new UsageError('bad_address', { what: 'The server\u2019s address is none.', expected: 'https://HOST:PORT/', found: String(address) });
  }
  const found = token ?? new URLSearchParams(url.hash.slice(1)).get('token') ?? null;
  Object.assign(url, { hash: '', search: '', pathname: url.pathname.replace(/[^/]*$/, '') });
  if (!isSafe(url)) {
    const remedy = 'Use https, or put a proxy in front of the server that does.';
    throw new UsageError('insecure_address', { what: 'The token would go over the network in the clear.', expected: 'https://HOST:PORT/', found: url.origin, remedy });
  }
  if (found !== null && !/^[\x21-\x7e]+$/.test(found)) {
    throw new UsageError('bad_token', { what: 'The token holds characters that no token has.', remedy: 'Copy it anew.' });
  }
  return { url, token: found };
}

/** TLS, this machine, or where the page itself came from. */
const isSafe = ({ protocol, hostname, origin }) =>
  protocol === 'https:' || (protocol === 'http:' && (/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname) || origin === globalThis.location?.origin));

/** How long what fails for the moment is tried again. */
class Retries {
  #seconds;
  #end;
  #pause;

  constructor(seconds) {
    this.#seconds = seconds;
    this.begin();
  }

  begin() {
    [this.#end, this.#pause] = [performance.now() + 1000 * this.#seconds, PAUSE.first];
  }

  /** Waits before the next attempt; throws the error where it will not pass, or all patience is spent. */
  async wait(error) {
    if (error.code !== 'unreachable' || performance.now() + 1000 * this.#pause > this.#end) throw error;
    await pause(this.#pause);
    this.#pause = Math.min(2 * this.#pause, PAUSE.longest);
  }
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** The bytes of an answer; one that breaks off in the middle is none. */
async function bytes(response) {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw unreachable(response.url, cause);
  }
}

const json = (response) => response.json().catch(() => null);

function notUnderstood(expected) {
  const remedy = 'Is this the address of a Blindsight server, of this version?';
  return new ServerError('bad_answer', { what: 'The server\u2019s answer is not understood.', expected, found: 'something else', remedy });
}

/** Codes with which TLS says that it does not know the server. */
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/;

function unreachable(url, cause) {
  const reason = cause?.cause?.code;
  if (UNTRUSTED.test(reason ?? '')) {
    const remedy = 'In Node, name its certificate.pem in NODE_EXTRA_CA_CERTS, or give a fetch that trusts it.';
    return new ServerError('untrusted_certificate', { what: `The certificate of ${url} is not trusted (${reason}).`, remedy, cause });
  }
  return new ServerError('unreachable', { what: 'The server does not answer.', remedy: 'Is it running, and are you online? Then try again.', cause });
}

const A_TOKEN = 'A token that is valid at this server is needed: whoever runs it makes one with `blindsight token create`.';
const REMEDIES = { unauthorized: A_TOKEN, http_401: A_TOKEN, http_403: A_TOKEN };
/** What to do about a server's own fault. */
const AGAIN = 'Try again; if it comes again, tell whoever runs the server.';

async function refusal(response) {
  const { detail, code, limit, period, remaining } = (await json(response)) ?? {};
  const { status } = response;
  const named = code ?? `http_${status}`;
  const what = typeof detail === 'string' ? detail : `The server answered ${status} ${response.statusText}`;
  const error = new ServerError(named, { what: `${what.replace(/[.\s]+$/, '')}.`, remedy: REMEDIES[named] ?? (status >= 500 ? AGAIN : null), status });
  // For this module alone: an upload's state.
  Object.defineProperty(error, 'response', { value: response, enumerable: false });
  return limit === undefined ? error : Object.assign(error, { limit, period, remaining });
}

/** `compute;dur=5.9, queue;dur=0` as `{ compute: 5.9, queue: 0 }`. */
function timing(header) {
  const entries = header.split(',').map((entry) => /^\s*([\w-]+)\s*;.*?dur=([\d.]+)/.exec(entry));
  return Object.fromEntries(entries.filter(Boolean).map(([, name, duration]) => [name, Number(duration)]));
}
