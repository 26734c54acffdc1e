// Secret keys in files, one each, that only their owner can read. They are not encrypted.

import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, platform } from 'node:os';
import { join } from 'node:path';

const ENDING = '.secret.json';

/** A store in a folder; by default one in this user's own configuration. */
export function fileStore(folder = defaultFolder()) {
  const path = (name) => join(folder, name + ENDING);
  return {
    lasting: true,
    get: async (name) => read(path(name)),
    set: async (name, record) => write(folder, path(name), record),
    delete: async (name) => rm(path(name), { force: true }),
    list: async () => (await files(folder)).filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length)),
  };
}

function defaultFolder() {
  if (platform() === 'win32') return join(process.env.APPDATA ?? join(homedir(), 'AppData', 'Roaming'), 'blindsight', 'client');
  if (platform() === 'darwin') return join(homedir(), 'Library', 'Application Support', 'blindsight', 'client');
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'blindsight', 'client');
}

const files = (folder) => readdir(folder).catch(unlessMissing([]));

/** A file that is damaged holds no key: the empty secret is refused as one. */
async function read(path) {
  const text = await readFile(path, 'utf8').catch(unlessMissing(null));
  if (text === null) return undefined;
  try {
    const { secret, digest } = JSON.parse(text);
    return { secret: new Uint8Array(Buffer.from(secret, 'base64')), digest };
  } catch {
    return { secret: new Uint8Array(), digest: null };
  }
}

/** Written aside and then renamed, so that a key is there whole or not at all. */
async function write(folder, path, { secret, digest }) {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const aside = `${path}.${process.pid}`;
  await writeFile(aside, JSON.stringify({ secret: Buffer.from(secret).toString('base64'), digest }), { mode: 0o600 });
  await chmod(aside, 0o600);
  await rename(aside, path);
}

const unlessMissing = (instead) => (error) => {
  if (error.code !== 'ENOENT') throw error;
  return instead;
};
