// A server for some models with a recorder before it, and a browser to visit it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Recorder } from './recorder.js';
import { serve } from './server.js';
import { Visitor } from './visitor.js';

export class Host {
  /** The recorder that all of a visitor's requests pass. */
  recorder;
  #browser;
  #server;

  static async of(browser, ...models) {
    const host = new Host();
    [host.#browser, host.#server] = [browser, await serve(models, '--plain-http')];
    host.recorder = await Recorder.before(host.#server.port);
    return host;
  }

  get address() {
    return `${this.recorder.origin}/#token=${this.#server.token}`;
  }

  /** Opens the page and waits for a key. */
  async visit(options) {
    const visitor = await Visitor.at(this.#browser, this.address, options);
    await visitor.ready();
    return visitor;
  }

  async close() {
    this.recorder.close();
    await this.#server.stop();
  }
}

/** Does something with files of models, `{ name: bytes }`, given as their paths. */
export async function withModels(models, work) {
  const folder = mkdtempSync(join(tmpdir(), 'blindsight-models-'));
  const files = Object.entries(models).map(([name, bytes]) => {
    const file = join(folder, `${name}.onnx`);
    writeFileSync(file, bytes);
    return file;
  });
  try {
    return await work(...files);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
