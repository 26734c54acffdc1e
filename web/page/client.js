// The WebAssembly client (crates/web), as an object. Used by the worker, and by tests under Node.

/** A refusal, in the client's own words. */
export class ClientError extends Error {}

/** Compiles the client from a response: once for all of a page's keys. */
export const compile = (response) => WebAssembly.compileStreaming(response);

/** A client without a plan, in memory of its own; `source` is what was compiled, or the module's bytes. */
export async function load(source) {
  let exports = null;
  const host = {
    fill_random: (address, length) => {
      const target = new Uint8Array(exports.memory.buffer, address, length);
      // The browser gives at most 64 KiB at a time.
      for (let i = 0; i < length; i += 65536) crypto.getRandomValues(target.subarray(i, i + 65536));
    },
  };
  const made = await WebAssembly.instantiate(source, { host });
  exports = (made.instance ?? made).exports;
  return new Client(exports);
}

class Client {
  #exports;

  constructor(exports) {
    this.#exports = exports;
  }

  /** Takes the server's plan; what there is to know of it. */
  openPlan(plan) {
    return json(this.#call('open_plan', plan));
  }

  generateKey() {
    this.#call('generate_key');
  }

  restoreKey(secret) {
    this.#call('restore_key', secret);
  }

  /** The secret key: for the visitor's own store, and nobody else. */
  secretKey() {
    return this.#call('secret_key');
  }

  evaluationKeys() {
    return this.#call('evaluation_keys');
  }

  /** Takes pixels as bytes, or numbers. */
  encrypt(input) {
    return input instanceof Float64Array ? this.#call('encrypt_numbers', bytes(input)) : this.#call('encrypt', input);
  }

  /** What is to be said of an input; null where there is nothing. */
  check(input) {
    return input instanceof Float64Array ? json(this.#call('check_numbers', bytes(input))) : null;
  }

  /** Label, scores and warnings. */
  decrypt(reply) {
    return json(this.#call('decrypt', reply));
  }

  /** The address that evaluation keys are registered under. */
  address(keys) {
    return text(this.#call('address', keys));
  }

  #call(operation, argument = new Uint8Array()) {
    const wasm = this.#exports;
    const address = wasm.argument(argument.length);
    // Memory may have moved since: views of it are made anew each time.
    new Uint8Array(wasm.memory.buffer, address, argument.length).set(argument);
    const refused = this.#run(operation) !== 0;
    const result = new Uint8Array(wasm.memory.buffer, wasm.result(), wasm.result_length()).slice();
    wasm.wipe_result();
    if (refused) throw new ClientError(text(result));
    return result;
  }

  #run(operation) {
    try {
      return this.#exports[operation]();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      throw new ClientError('The part of this page that encrypts has broken down. Please reload the page.');
    }
  }
}

const bytes = (numbers) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
const text = (bytes) => new TextDecoder().decode(bytes);
const json = (bytes) => JSON.parse(text(bytes));
