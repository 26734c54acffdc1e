// A worker of Node with the face of a browser's.

import { Worker } from 'node:worker_threads';

export function spawn() {
  const worker = new Worker(new URL('./worker.js', import.meta.url));
  const face = {
    onmessage: null,
    onfailure: null,
    postMessage: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    // A worker that waits for work does not keep the process alive.
    busy: (busy) => (busy ? worker.ref() : worker.unref()),
  };
  worker.on('message', (data) => face.onmessage({ data }));
  worker.on('error', (error) => face.onfailure(error));
  worker.on('exit', () => face.onfailure(null));
  return face;
}
