// What goes wrong with inputs: the page says what was expected, what came and what to do, to those who listen, too; and goes on.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Host, withModels } from './support/host.js';
import * as hundred from './support/hundred.js';
import { encode, resized } from './support/png.js';
import { launch } from './support/visitor.js';

let browser, host;

before(async () => {
  browser = await launch('--use-fake-device-for-media-stream');
  host = await Host.of(browser, 'cryptonets-mnist', 'lola-cifar10');
});
after(async () => {
  await host?.close();
  await browser?.close();
});

/** An alert says all of this. */
async function alerted(visitor, ...said) {
  const alert = visitor.page.getByRole('alert').filter({ visible: true, hasText: said[0] });
  await alert.waitFor();
  const text = await alert.textContent();
  for (const part of said) assert.ok(text.includes(part), `${part}: ${text}`);
}

const choose = (visitor, name, buffer, mimeType = 'image/png') => visitor.page.setInputFiles('#file', { name, mimeType, buffer });

async function colours(options) {
  const visitor = await host.visit(options);
  await visitor.use('lola-cifar10');
  return visitor;
}

test('files that are no images, or far too large ones', async () => {
  const visitor = await host.visit();
  await choose(visitor, 'six.txt', Buffer.from('six'), 'text/plain');
  await alerted(visitor, 'cannot read \u201csix.txt\u201d as an image', 'Expected: an image file', 'Found: text/plain', 'Choose a PNG or JPEG file');
  assert.equal(await visitor.page.inputValue('#file'), '', 'the same file can be chosen again');
  // A few bytes that say they are 400 million pixels.
  await choose(visitor, 'bomb.png', resized(encode(new Uint8Array(64), 8), 20000));
  await alerted(visitor, '\u201cbomb.png\u201d is too large', 'at most 64 million pixels', '20000 \u00d7 20000', 'Shrink the image');
  const folder = mkdtempSync(join(tmpdir(), 'blindsight-large-'));
  writeFileSync(join(folder, 'long.png'), '');
  truncateSync(join(folder, 'long.png'), 65 * 2 ** 20);
  await visitor.page.setInputFiles('#file', join(folder, 'long.png'));
  await alerted(visitor, '\u201clong.png\u201d is too large', 'at most 64 MiB', '65 MiB');
  rmSync(folder, { recursive: true });
  await visitor.page.getByRole('button', { name: 'Take a drawn 3' }).click();
  assert.equal((await visitor.ask()).label, '3');
  await visitor.leave();
});

test('a camera that may not be used, and one that may', async () => {
  const visitor = await colours();
  const camera = visitor.page.getByRole('button', { name: 'Camera' });
  await camera.click();
  await alerted(visitor, 'The camera may not be used here', 'Expected: permission', 'choose an image file instead');
  await visitor.context.grantPermissions(['camera']);
  await camera.click();
  await visitor.page.getByRole('button', { name: 'Stop the camera' }).click();
  assert.ok(await visitor.page.isDisabled('#ask'), 'no picture was taken');
  await camera.click();
  await visitor.page.getByRole('button', { name: 'Take the picture' }).click();
  await visitor.page.locator('#live', { hasText: 'The picture is ready' }).waitFor({ state: 'attached' });
  const pixels = await visitor.pixels(3);
  assert.ok(new Set(pixels).size > 8, 'the picture has colours');
  assert.equal(await visitor.page.evaluate(() => document.getElementById('camera').srcObject), null, 'the camera is off');
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test('no camera, and a browser that gives none', async () => {
  for (const [camera, ...said] of [
    ['NotFoundError', 'There is no camera.', 'Found: none', 'Choose an image file instead'],
    [null, 'gives no camera to this page', 'Expected: HTTPS', 'Choose an image file instead'],
  ]) {
    const visitor = await colours();
    await visitor.page.evaluate((name) => {
      const mediaDevices = name && { getUserMedia: () => Promise.reject(new DOMException('', name)) };
      Object.defineProperty(navigator, 'mediaDevices', { value: mediaDevices });
    }, camera);
    await visitor.page.getByRole('button', { name: 'Camera' }).click();
    await alerted(visitor, ...said);
    await visitor.leave();
  }
});

test('files and fields of numbers that are none', () =>
  withModels({ [hundred.NAME]: hundred.hundred() }, async (file) => {
    const own = await Host.of(browser, file);
    const visitor = await own.visit();
    const csv = (text) => choose(visitor, 'rows.csv', Buffer.from(text), 'text/csv');
    const oops = hundred.rowFor(3).with(4, 'oops');
    await csv(`${hundred.FEATURES.join(',')}\n${oops.join(',')}\n`);
    await alerted(visitor, `Row 2, column 5 (${hundred.FEATURES[4]})`, 'Expected: a number such as 1.5', 'Found: \u201coops\u201d', 'Correct the file');
    await csv('1,2,3');
    await alerted(visitor, 'Expected: 30 columns of numbers', 'Found: 3');
    await csv(hundred.rowFor(3).with(29, 'NaN').join(','));
    await alerted(visitor, 'Row 1, column 30', '\u201cNaN\u201d');
    await choose(visitor, 'row.json', Buffer.from('{'), 'application/json');
    await alerted(visitor, 'not JSON', 'Expected: a list of numbers');
    assert.ok(await visitor.page.isDisabled('#ask'));

    const field = visitor.page.getByLabel(hundred.FEATURES[0], { exact: true });
    await field.fill('NaN');
    await alerted(visitor, `${hundred.FEATURES[0]}: expected a number such as 1.5, found \u201cNaN\u201d.`);
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    await visitor.page.getByRole('button', { name: 'Take a clear case' }).click();
    assert.equal(await field.getAttribute('aria-invalid'), 'false');
    assert.equal((await visitor.ask()).label, hundred.LABELS[42]);

    // A second row that is none leaves nothing that could be asked about.
    await csv(`${hundred.rowFor(3).join(',')}\n${oops.join(',')}`);
    await visitor.page.getByLabel('Row of the file').fill('2');
    await visitor.page.getByLabel('Row of the file').press('Enter');
    await alerted(visitor, 'Row 2, column 5', 'Found: \u201coops\u201d');
    assert.ok(await visitor.page.isDisabled('#ask'));
    await visitor.leave();
    await own.close();
  }));

test('many numbers are one text, and as many as it takes', () =>
  withModels({ many: hundred.wide() }, async (file) => {
    const own = await Host.of(browser, file);
    const visitor = await own.visit();
    const numbers = visitor.page.getByRole('textbox', { name: '200 numbers' });
    await numbers.fill(Array(201).fill(1).join(' '));
    await alerted(visitor, 'Expected 200 numbers, found 201.', 'Take away');
    await numbers.fill('1, 2, oops');
    await alerted(visitor, 'number 3: expected a number such as 1.5, found \u201coops\u201d.');
    await numbers.fill(Array(200).fill(1).join('\n'));
    assert.ok(Math.abs((await visitor.ask()).scores[0] - 4) < 0.06);
    await visitor.leave();
    await own.close();
  }));

test('a server that is gone in the middle of a question, and one that has forgotten the keys', async () => {
  const visitor = await host.visit();
  await visitor.page.getByRole('button', { name: 'Take a drawn 5' }).click();
  await visitor.ask();
  // The server forgets; the page says so, makes new ones and gets its answer.
  const [{ url }] = host.recorder.sent('PUT', /keys/).slice(-1);
  const authorization = `Bearer ${new URL(host.address).hash.replace('#token=', '')}`;
  const forgotten = await fetch(host.recorder.origin + url.replace(/\?.*/, ''), { method: 'DELETE', headers: { authorization } });
  assert.equal(forgotten.status, 204);
  await visitor.page.evaluate(() => {
    window.said = [];
    const live = document.getElementById('live');
    new MutationObserver(() => window.said.push(live.textContent)).observe(live, { childList: true, characterData: true, subtree: true });
  });
  assert.equal((await visitor.ask()).label, '5');
  const said = await visitor.page.evaluate(() => window.said);
  assert.ok(said.some((text) => /no longer has your evaluation keys: new ones/.test(text)), said.join(' | '));
  // The connection breaks off with the ciphertexts under way.
  host.recorder.intervene = async ({ method }) => {
    if (method === 'POST') throw new Error('gone');
    return null;
  };
  await visitor.page.click('#ask');
  await alerted(visitor, 'The server does not answer');
  await visitor.page.locator('#verdict', { hasText: 'No answer.' }).waitFor();
  host.recorder.intervene = async () => null;
  assert.equal((await visitor.ask()).label, '5', 'it is back');
  await visitor.leave();
});
