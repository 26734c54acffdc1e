// Small things that all parts of the page show with.

export const element = (id) => document.getElementById(id);

export function show(id, text) {
  element(id).textContent = text;
}

/** Says something to those who listen to the page. */
export const say = (text) => show('live', text);

export function create(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** A text from elsewhere without control characters and such. */
export const plain = (text) => text.replace(/\p{C}/gu, '');

export function milliseconds(time) {
  if (time < 10) return `${time.toFixed(1)} ms`;
  return time < 1000 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(1)} s`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  const kibibytes = bytes / 1024;
  return kibibytes < 1024 ? `${kibibytes.toFixed(kibibytes < 100 ? 1 : 0)} KiB` : `${(kibibytes / 1024).toFixed(1)} MiB`;
}

/** A whole number with a comma between thousands. */
export const whole = (number) => number.toLocaleString('en');
