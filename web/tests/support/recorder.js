// A proxy between the page and the server that keeps every byte the page sends, and can answer in the server's place.

import http from 'node:http';

export class Recorder {
  /** What the page sent: `{ method, url, headers, body, status }` each. */
  log = [];
  /** Answers in the server's place: takes what was sent and a function that passes it on, gives `{ status, headers, body }` or nothing. */
  intervene = async () => null;
  #server;

  static async before(port) {
    const recorder = new Recorder();
    recorder.#server = http.createServer((request, response) => {
      // A page that is left breaks off what it was sending; a server that is gone breaks off the page's request.
      recorder.#pass(port, request, response).catch(() => response.destroy());
    });
    await new Promise((resolve) => recorder.#server.listen(0, '127.0.0.1', resolve));
    return recorder;
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** What was sent with a method to a path that matches. */
  sent(method, pattern) {
    return this.log.filter((entry) => entry.method === method && pattern.test(entry.url));
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #pass(port, request, response) {
    const { method, url, headers, rawHeaders } = request;
    const body = Buffer.concat(await request.toArray());
    const entry = { method, url, headers: rawHeaders.join('\n'), body, status: null };
    this.log.push(entry);
    const pass = () => forward(port, { method, path: url, headers }, body);
    const answer = (await this.intervene(entry, pass)) ?? (await pass());
    entry.status = answer.status;
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body);
  }
}

function forward(port, options, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, ...options }, async (answer) => {
      resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(await answer.toArray()) });
    });
    request.on('error', reject);
    request.end(body);
  });
}
