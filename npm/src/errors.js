// What can go wrong, as one family: each error says what was expected, what came, and what to do.

export class BlindsightError extends Error {
  /**
   * @param {string} code for programs
   * @param {{ what: string, expected?: string, found?: string, remedy?: string, cause?: unknown }} details in sentences, but for what
   *   was expected and found; whatever else stands there becomes a field of the error
   */
  constructor(code, { what, expected = null, found = null, remedy = null, cause, ...more }) {
    const difference = expected && `Expected: ${expected}. Found: ${found}.`;
    super([what, difference, remedy].filter(Boolean).join(' '), cause === undefined ? {} : { cause });
    Object.assign(this, { code, what, expected, found, remedy, ...more });
  }
}

/** An image or a vector that the network does not take. */
export class InputError extends BlindsightError {}
/** A secret key that cannot be used, or its store. */
export class KeyError extends BlindsightError {}
/** A plan that cannot be used. */
export class PlanError extends BlindsightError {}
/** A reply that cannot be read. */
export class ReplyError extends BlindsightError {}
/** A refusal by the server, with its code and `status`; or none of its answers, with the code `unreachable`. */
export class ServerError extends BlindsightError {}
/** The WebAssembly, or the thread that it runs in, broke down or could not start. */
export class EngineError extends BlindsightError {}
/** Something that this package was asked for and cannot do. */
export class UsageError extends BlindsightError {}

const CLASSES = { BlindsightError, InputError, KeyError, PlanError, ReplyError, ServerError, EngineError, UsageError };
for (const [name, type] of Object.entries(CLASSES)) Object.defineProperty(type.prototype, 'name', { value: name, configurable: true });
