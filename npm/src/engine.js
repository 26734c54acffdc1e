// The WebAssembly client (crates/web), as an object: one plan, one secret key, memory of its own.

import { EngineError, InputError, KeyError, PlanError, ReplyError } from './errors.js';

/** An engine without a plan; `source` is what was compiled, or the module's bytes. */
export async function load(source) {
  let exports = null;
  const host = {
    fill_random: (address, length) => {
      const target = new Uint8Array(exports.memory.buffer, address, length);
      // The system gives at most 64 KiB at a time.
      for (let i = 0; i < length; i += 65536) crypto.getRandomValues(target.subarray(i, i + 65536));
    },
  };
  const made = await WebAssembly.instantiate(source, { host });
  exports = (made.instance ?? made).exports;
  return new Engine(exports);
}

class Engine {
  /** What the WebAssembly exports; nothing once it has broken down: what is in its memory then is not to be trusted. */
  #exports;

  constructor(exports) {
    this.#exports = exports;
  }

  /** Takes the server's plan; what there is to know of it. */
  openPlan(plan) {
    return json(this.#call('open_plan', plan));
  }

  /** What lies in each slot of a request, one ciphertext after the other. */
  layout() {
    const bytes = this.#call('layout');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
  }

  generateKey() {
    this.#call('generate_key');
  }

  restoreKey(secret) {
    this.#call('restore_key', secret);
  }

  /** The secret key: for its owner's store, and nobody else. */
  secretKey() {
    return this.#call('secret_key');
  }

  evaluationKeys() {
    return this.#call('evaluation_keys');
  }

  /** Takes pixels as bytes, or numbers. */
  encrypt(input) {
    return input instanceof Float64Array ? this.#call('encrypt_numbers', littleEndian(input)) : this.#call('encrypt', input);
  }

  /** What is to be said of an input; null where there is nothing. */
  check(input) {
    return input instanceof Float64Array ? json(this.#call('check_numbers', littleEndian(input))) : null;
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
    const [refused, result] = this.#run(operation, argument);
    if (refused) throw refusal(operation, json(result));
    return result;
  }

  /** Runs an operation. Whatever is thrown here comes from inside: a trap, or no memory or randomness left. */
  #run(operation, argument) {
    const wasm = this.#exports;
    if (!wasm) throw brokenDown();
    try {
      const address = wasm.argument(argument.length);
      // Memory may have moved since: views of it are made anew each time.
      new Uint8Array(wasm.memory.buffer, address, argument.length).set(argument);
      const refused = wasm[operation]() !== 0;
      const result = new Uint8Array(wasm.memory.buffer, wasm.result(), wasm.result_length()).slice();
      wasm.wipe_result();
      return [refused, result];
    } catch (error) {
      this.#exports = null;
      throw brokenDown(error);
    }
  }
}

function brokenDown(cause) {
  return new EngineError('engine_failed', {
    what: 'The part that encrypts has broken down, and what it held is thrown away.',
    remedy: 'Begin anew: reload the page, or call ready() again.',
    ...(cause && { cause: String(cause) }),
  });
}

/** What an operation's refusal is for whoever called it. */
function refusal(operation, { code, message }) {
  const about = REFUSALS[operation] ?? {};
  const [Type, name, expected, remedy] = about[code] ?? about.any ?? [EngineError, code, null, null];
  return new Type(name, { what: sentence(message), expected, found: expected && FOUND[code], remedy });
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

const FOUND = {
  damaged_plan: 'bytes that are none',
  damaged: 'bytes that are none',
  other_plan: 'one of another plan',
  other_key: 'one of another key',
  wrong_shape: 'another number of them',
  meaningless: 'noise',
};

const NEW_KEY = 'Forget this key, and let a new one be made.';
const SAME = 'Make keys, request and reply with one client, and try again.';
const REFUSALS = {
  open_plan: {
    any: [PlanError, 'damaged_plan', 'the public part of a plan, of this version and 128 bits of security', 'Try again; if it comes again, tell whoever runs the server.'],
  },
  restore_key: {
    other_plan: [KeyError, 'key_of_another_plan', 'a secret key of this model\u2019s plan', NEW_KEY],
    any: [KeyError, 'damaged_key', 'a secret key as this package writes it', NEW_KEY],
  },
  encrypt: { wrong_shape: [InputError, 'wrong_shape', 'the pixels that the model takes', null] },
  encrypt_numbers: { wrong_shape: [InputError, 'wrong_shape', 'the numbers that the model takes', null] },
  check_numbers: { wrong_shape: [InputError, 'wrong_shape', 'the numbers that the model takes', null] },
  decrypt: {
    other_plan: [ReplyError, 'reply_of_another_plan', 'a reply under this plan', SAME],
    other_key: [ReplyError, 'reply_for_another_key', 'a reply under this key', SAME],
    meaningless: [ReplyError, 'meaningless_reply', 'scores', 'Nothing is known of the answer. Try again, or forget the key and make a new one.'],
    damaged: [ReplyError, 'damaged_reply', 'a server\u2019s reply', 'Nothing is known of the answer. Try again; if it comes again, tell whoever runs the server.'],
  },
};

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bytes of 64-bit floats, the lowest first. */
function littleEndian(numbers) {
  if (LITTLE_ENDIAN) return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  const view = new DataView(new ArrayBuffer(numbers.byteLength));
  numbers.forEach((number, i) => view.setFloat64(8 * i, number, true));
  return new Uint8Array(view.buffer);
}

const text = (bytes) => new TextDecoder().decode(bytes);
const json = (bytes) => JSON.parse(text(bytes));
