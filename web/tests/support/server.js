// `blindsight serve`, as a process with a folder of its own.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Starts a server for models on a free port of this machine; `flags` are further ones of `serve`. */
export async function serve(models, ...flags) {
  const folder = mkdtempSync(join(tmpdir(), 'blindsight-page-'));
  const named = models.flatMap((model) => ['--model', model]);
  const child = spawn(process.env.BLINDSIGHT, ['serve', ...named, '--address', '127.0.0.1:0', '--folder', folder, '--json', ...flags]);
  const { page } = await printed(child);
  const { port, hash } = new URL(page);
  const stop = () =>
    new Promise((resolve) => {
      child.once('exit', () => resolve(rmSync(folder, { recursive: true })));
      child.kill('SIGTERM');
    });
  return { page, port: Number(port), token: hash.replace('#token=', ''), stop };
}

/** The JSON document that the server prints when it stands. */
function printed(child) {
  return new Promise((resolve, reject) => {
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk) => {
      output += chunk;
      try {
        resolve(JSON.parse(output));
      } catch {
        // Not all of it yet.
      }
    });
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${errors}`)));
  });
}
