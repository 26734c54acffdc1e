// The server, as an object: protocol version 1 (docs/server.md) over fetch.

const VERSION = '1';
/** Bytes of a part of an upload: small enough for a progress bar, large enough for a fast line. */
const PART = 512 * 1024;
/** How often a busy server is asked again, and how long at most between two times, in seconds. */
const PATIENCE = { times: 6, seconds: 10 };

/** A refusal by the server, with its code for programs; code `unreachable` where there was no answer at all. */
export class ServerError extends Error {
  constructor(code, message, response) {
    super(message);
    Object.assign(this, { code, response });
  }
}

export class Server {
  #token;

  constructor(token) {
    this.#token = token;
  }

  /** What the server serves. */
  async models() {
    return (await (await this.#ask('v1/models')).json()).models;
  }

  /** The public part of a model's plan, framed. */
  async plan(model) {
    return bytes(await this.#ask(`v1/models/${model}`));
  }

  /** Whether these keys are registered. */
  async hasKeys(digest) {
    const response = await this.#ask(`v1/keys/${digest}`, { method: 'HEAD' });
    return response.headers.get('Upload-Complete') === '?1';
  }

  /** Registers evaluation keys part by part; `progress` is told the share that is there. Forgotten after `seconds`, if given. */
  async register(digest, keys, seconds, progress) {
    const address = `v1/keys/${digest}${seconds ? `?expires_in=${seconds}` : ''}`;
    // Twice as many parts as needed: some may have to be sent again.
    for (let parts = Math.ceil((2 * keys.length) / PART), offset = 0; parts > 0; parts--) {
      progress(offset / keys.length);
      const response = await this.#sendPart(address, keys, offset);
      if (response.ok && response.status !== 202) return progress(1);
      offset = Number(response.headers.get('Upload-Offset'));
    }
    throw new ServerError('unreachable', 'The server does not take the evaluation keys. Please try again later.');
  }

  /** The answer to one part; that the upload stands elsewhere is an answer, too. */
  async #sendPart(address, keys, offset) {
    const headers = { 'Upload-Offset': String(offset), 'Content-Type': 'application/octet-stream' };
    try {
      return await this.#ask(address, { method: 'PUT', headers, body: keys.subarray(offset, offset + PART) });
    } catch (error) {
      if (error.code === 'wrong_offset') return error.response;
      throw error;
    }
  }

  async deleteKeys(digest) {
    await this.#ask(`v1/keys/${digest}`, { method: 'DELETE' });
  }

  /** The reply to a request, and the server's own times in milliseconds. */
  async infer(model, digest, request) {
    const headers = { 'Blindsight-Keys': digest, 'Content-Type': 'application/octet-stream' };
    const response = await this.#ask(`v1/models/${model}/infer`, { method: 'POST', headers, body: request });
    return { reply: await bytes(response), times: timing(response.headers.get('Server-Timing') ?? '') };
  }

  async #ask(path, options = {}) {
    for (let tries = 1; ; tries++) {
      const response = await this.#fetch(path, options);
      if (response.ok) return response;
      const patience = Number(response.headers.get('Retry-After'));
      if (!patience || tries === PATIENCE.times) throw await refusal(response);
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(patience, PATIENCE.seconds)));
    }
  }

  async #fetch(path, options) {
    const headers = { ...options.headers, Authorization: `Bearer ${this.#token}`, 'Blindsight-Version': VERSION };
    try {
      return await fetch(path, { ...options, headers, cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer' });
    } catch {
      throw new ServerError('unreachable', 'The server does not answer. Is it running, and are you online? Then try again.');
    }
  }
}

const bytes = async (response) => new Uint8Array(await response.arrayBuffer());

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail ?? `The server answered ${response.status} ${response.statusText}`;
  return new ServerError(problem.code ?? `http_${response.status}`, message, response);
}

/** `compute;dur=5.9, queue;dur=0` as `{ compute: 5.9, queue: 0 }`. */
function timing(header) {
  const entries = header.split(',').map((entry) => /^\s*([\w-]+)\s*;.*?dur=([\d.]+)/.exec(entry));
  return Object.fromEntries(entries.filter(Boolean).map(([, name, duration]) => [name, Number(duration)]));
}
