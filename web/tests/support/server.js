// `blindsight serve`, as a process with a store of its own.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Starts a server for a model; `arguments_` are further arguments of `serve`. */
export async function serve(...arguments_) {
  if (process.env.MOCK) return { port: 8099, token: 'secret-token', stop() {} };
  const folder = mkdtempSync(join(tmpdir(), 'blindsight-page-'));
  const process_ = spawn(process.env.BLINDSIGHT, ['serve', '--data', folder, ...arguments_]);
  const address = await printed(process_, /(https?):\/\/127\.0\.0\.1:(\d+)\/#token=([\w.-]+)/);
  const [page, scheme, port, token] = address;
  const stop = () => new Promise((resolve) => {
    process_.once('exit', () => resolve(rmSync(folder, { recursive: true })));
    process_.kill('SIGTERM');
  });
  return { page, scheme, port: Number(port), token, stop };
}

/** The first match in what a process prints. */
function printed(process_, pattern) {
  return new Promise((resolve, reject) => {
    let text = '';
    const read = (chunk) => {
      text += chunk;
      const match = pattern.exec(text);
      if (match) resolve(match);
    };
    process_.stdout.on('data', read);
    process_.stderr.on('data', read);
    process_.once('exit', (code) => reject(new Error(`the server ended with ${code} and printed:\n${text}`)));
  });
}
