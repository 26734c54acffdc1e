// Errors on their way from one thread to another.

import * as errors from './errors.js';

/** An error as a message can carry it. */
export function packed(error) {
  if (error instanceof errors.BlindsightError) return { type: error.name, ...error, cause: error.cause };
  return { type: 'EngineError', code: 'engine_failed', what: String(error?.message ?? error) };
}

/** The error that was packed. */
export const unpacked = ({ type, code, ...details }) => new errors[type](code, details);
