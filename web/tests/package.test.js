// The package as npm makes it: what is in it, how large it is, whether it installs, whether its example and its types hold.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as browser from '../../npm/src/index.js';
import * as node from '../../npm/src/node/index.js';
import { serve } from './support/server.js';

const PACKAGE = fileURLToPath(new URL('../../npm', import.meta.url));
const TYPESCRIPT = fileURLToPath(new URL('node_modules/typescript/bin/tsc', import.meta.url));
/** The most bytes of the packed package. */
const LIMIT = 600_000;
const MODULES = ['carried', 'client', 'elsewhere', 'engine', 'errors', 'fit', 'index', 'input', 'keyholder', 'network', 'picture', 'server', 'simd', 'stores', 'thread', 'worker'];
const FOR_NODE = ['files', 'index', 'spawn', 'worker'];
const FILES = [
  ...['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'index.d.ts', 'package.json', 'src/blindsight.wasm', 'src/blindsight-scalar.wasm'],
  ...MODULES.map((name) => `src/${name}.js`),
  ...FOR_NODE.map((name) => `src/node/${name}.js`),
];

let folder;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'blindsight-package-'));
  writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}');
  const [{ filename }] = pack('--pack-destination', folder);
  run('npm', 'install', '--offline', '--no-audit', '--no-fund', '--silent', join(folder, filename));
});
after(() => rmSync(folder, { recursive: true }));

function run(program, ...flags) {
  return execFileSync(program, flags, { cwd: folder, encoding: 'utf8' });
}

function pack(...flags) {
  return JSON.parse(run('npm', 'pack', PACKAGE, '--json', '--silent', ...flags));
}

test('the package has these files and no others, and is small', () => {
  const [{ files, size }] = pack('--dry-run');
  assert.deepEqual(files.map(({ path }) => path).sort(), [...FILES].sort());
  assert.ok(size <= LIMIT, `${size} bytes packed`);
  const { dependencies } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  assert.equal(dependencies, undefined);
  const licence = (at, name) => readFileSync(join(PACKAGE, at, name), 'utf8');
  for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) assert.equal(licence('.', name), licence('..', name));
});

test('the example of the README runs as it stands, with the package that was installed', async () => {
  const [, example] = /```js\n([^]*?)```/.exec(readFileSync(join(PACKAGE, 'README.md'), 'utf8'));
  writeFileSync(join(folder, 'example.js'), example);
  const server = await serve(['cryptonets-mnist'], '--plain-http');
  // Not the user's own keys.
  const env = { ...process.env, XDG_CONFIG_HOME: folder, HOME: folder };
  const { stdout, stderr } = await promisify(execFile)('node', ['example.js', server.page], { cwd: folder, env });
  await server.stop();
  assert.equal(stderr, '');
  assert.match(stdout, /^Keys are made; they are sent, once\.\nIt is a 1\./);
});

test('the types hold for a program that uses everything, with and without the types of browsers', () => {
  mkdirSync(join(folder, 'types'));
  writeFileSync(join(folder, 'types', 'use.ts'), USE);
  writeFileSync(join(folder, 'types', 'page.ts'), IN_A_PAGE);
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--typeRoots', join(folder, 'none')];
  for (const [file, libraries] of [['use.ts', 'es2022'], ['page.ts', 'es2022,dom']]) {
    try {
      run('node', TYPESCRIPT, ...flags, '--lib', libraries, join('types', file));
    } catch ({ stdout }) {
      assert.fail(stdout);
    }
  }
});

test('every name that is declared is there, in Node and in browsers', () => {
  const declared = readFileSync(join(PACKAGE, 'index.d.ts'), 'utf8').matchAll(/^export (?:function|class) (\w+)/gm);
  const names = Array.from(declared, ([, name]) => name).sort();
  assert.deepEqual(Object.keys(node).sort(), names);
  assert.deepEqual(Object.keys(browser).sort(), names);
  assert.throws(() => browser.fileStore(), { name: 'UsageError', code: 'unsupported' });
  assert.throws(() => node.indexedDbStore(), { name: 'UsageError', code: 'unsupported' });
});

const USE = `
import { BlindsightError, InputError, ServerError, connect, fileStore, memoryStore, openPlan } from 'blindsight-client';
import type { Answer, Keyholder, Progress, Store } from 'blindsight-client';

const store: Store = fileStore('keys');
const client = await connect('https://localhost:8443/', { token: 't', store, worker: false, onProgress: (event: Progress) => event.model });
await client.ready({ onProgress: (event) => (event.step === 'upload' ? event.share.toFixed() : event.model) });
const answer: Answer = await client.classify([1, 2, 3]);
const margin: number | null = answer.margin;
const pixels = { data: new Uint8Array(4), width: 2, height: 2, channels: 1 } as const;
const names: string[] = (await client.model('m').classify(pixels)).top(2).map(({ name }) => name);
const holder: Keyholder = await openPlan(new ArrayBuffer(8), { secret: new Uint8Array(8) });
const { request } = await holder.encrypt(Float64Array.of(1));
const places: Uint32Array = await holder.layout();
const features: readonly string[] | undefined = client.models[0]?.about.features;
const { scores } = await holder.decrypt(request);
try {
  await client.close();
} catch (error) {
  if (error instanceof InputError && error.code === 'not_a_number') throw error.remedy;
  if (error instanceof ServerError) throw error.status;
  if (error instanceof BlindsightError) throw error.code;
}
// @ts-expect-error: bytes alone are neither image nor numbers
await client.classify(new Uint8Array(4));
// @ts-expect-error: a string is no image
await client.classify('image.png');
export { features, margin, names, places, scores, memoryStore };
`;

const IN_A_PAGE = `
import { connect, indexedDbStore } from 'blindsight-client';

const client = await connect(new URL('.', location.href), { store: indexedDbStore(), fetch: (...request) => fetch(...request) });
await client.classify(document.querySelector('img')!);
await client.classify(new Blob());
await client.classify(new ImageData(2, 2));
await client.classify(await createImageBitmap(new Blob()));
// @ts-expect-error: a paragraph is no image
await client.classify(document.querySelector('p')!);
`;
