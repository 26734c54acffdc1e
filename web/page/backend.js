// The worker, as an object whose methods return promises.

export class Backend extends EventTarget {
  #worker = new Worker('worker.js', { type: 'module' });
  #waiting = new Map();
  #next = 0;

  /** Sends an event of its own for each event of the worker, with its `detail`. */
  constructor() {
    super();
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = () => this.#fail(new Error('The part of this page that encrypts has stopped. Please reload the page.'));
  }

  call(method, argument) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, argument });
    });
  }

  #receive({ id, result, error, event, detail }) {
    if (event) return this.dispatchEvent(new CustomEvent(event, { detail }));
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(Object.assign(new Error(error.message), { code: error.code }));
    else resolve(result);
  }

  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
