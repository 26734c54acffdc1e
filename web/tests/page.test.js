// The page in headless Chromium, against a server: what it shows, what it sends, what it keeps.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NAME as COLOURS, LABELS, colours } from './support/colours.js';
import { encode } from './support/png.js';
import { NAME as SUM, sums } from './support/sums.js';
import { Recorder } from './support/recorder.js';
import { serve } from './support/server.js';
import { PHONE, Visitor, launch, plainInference } from './support/visitor.js';

let browser, server, recorder;

before(async () => {
  [browser, server] = await Promise.all([launch(), serve(['cryptonets-mnist'], '--plain-http')]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});
beforeEach(async () => {
  recorder = await Recorder.before(server.port);
});
afterEach(() => recorder.close());

const address = () => `${recorder.origin}/#token=${server.token}`;

async function visit(options) {
  const visitor = await Visitor.at(browser, address(), options);
  await visitor.ready();
  return visitor;
}

/** The answer equals plain inference of the pixels that the page shows as encrypted. */
async function assertTrue(visitor, { label, scores }) {
  const plain = plainInference(await visitor.pixels());
  assert.equal(label, String(plain.best));
  scores.forEach((score, i) => assert.ok(Math.abs(score - plain.scores[i]) < 0.15, `${score} encrypted, ${plain.scores[i]} plain`));
}

test('digits drawn with the mouse get the label of plain inference', async () => {
  const visitor = await visit();
  for (const digit of [7, 2, 0]) {
    if (digit !== 7) await visitor.page.click('#clear');
    await visitor.drawSample(digit);
    const answer = await visitor.ask();
    assert.equal(answer.label, String(digit));
    await assertTrue(visitor, answer);
  }
  assert.deepEqual(visitor.complaints, []);
  await visitor.screenshot('desktop');
  await visitor.leave();
});

test('on a phone, with a finger, nothing overflows', async () => {
  const visitor = await visit(PHONE);
  await visitor.assertNoOverflow();
  await visitor.drawSample(3);
  const answer = await visitor.ask();
  assert.equal(answer.label, '3');
  await assertTrue(visitor, answer);
  await visitor.assertNoOverflow();
  await visitor.screenshot('phone');
  await visitor.leave();
});

test('by keyboard alone a one can be drawn and asked for', async () => {
  const visitor = await visit();
  const { keyboard } = visitor.page;
  await keyboard.press('Tab');
  assert.equal(await visitor.page.evaluate(() => document.activeElement.textContent), 'Skip to the drawing area');
  await keyboard.press('Enter');
  assert.equal(await visitor.page.evaluate(() => document.activeElement.id), 'drawing');
  for (let i = 0; i < 8; i++) await keyboard.press('ArrowUp');
  await keyboard.press('Space');
  for (let i = 0; i < 16; i++) await keyboard.press('ArrowDown');
  await keyboard.press('Space');
  await visitor.page.waitForFunction(() => /^Pen up, column 15, row \d+ of 28$/.test(document.getElementById('live').textContent));
  const answer = await visitor.answer(() => keyboard.press('Enter'));
  assert.equal(answer.label, '1');
  await assertTrue(visitor, answer);
  await visitor.leave();
});

test('a screen reader is told the structure, every control and the answer', async () => {
  const visitor = await visit();
  await visitor.page.getByRole('button', { name: 'Take a drawn 4' }).click();
  const answer = await visitor.answer(() => visitor.page.getByRole('button', { name: 'Encrypt and ask' }).click());
  assert.match(await visitor.page.getByRole('status').textContent(), new RegExp(`^Decrypted in this page: The answer is ${answer.label}\\.`));
  for (const heading of ['Your drawing', 'What it sees', 'The answer']) {
    await visitor.page.getByRole('heading', { level: 2, name: heading }).waitFor();
  }
  await visitor.page.getByRole('img', { name: 'Grey noise' }).waitFor();
  const unnamed = visitor.page.locator('button, input, select, summary').filter({ visible: true });
  for (const control of await unnamed.all()) assert.ok(await control.evaluate((c) => c.ariaLabel || c.textContent || c.labels?.length));
  assert.equal(await visitor.page.getByRole('list', { name: 'The best answers' }).getByRole('listitem').count(), 5);
  await visitor.unfold('rest-box');
  assert.equal(await visitor.page.getByRole('list', { name: 'All other answers' }).getByRole('listitem').count(), 5);
  await visitor.leave();
});

test('no secret leaves, and nothing is asked of anybody else', async () => {
  const visitor = await visit();
  await visitor.unfold('key');
  await visitor.page.check('#remember');
  await visitor.drawSample(5);
  await visitor.ask();
  const pixels = Buffer.from(await visitor.pixels());
  const secret = await secretKey(visitor);
  assert.equal(secret.length, 2148, 'a frame of 8192 ternary coefficients');
  const sent = Buffer.concat(recorder.log.map(({ url, headers, body }) => Buffer.concat([Buffer.from(url + headers), body])));
  assert.ok(sent.length > 7e6, 'keys and ciphertexts were sent');
  // Every piece of the key's payload, and every row of pixels that holds ink.
  for (let at = 68; at + 16 <= secret.length - 32; at += 4) assert.equal(sent.indexOf(secret.subarray(at, at + 16)), -1, `key, byte ${at}`);
  const rows = Array.from({ length: 28 }, (_, y) => pixels.subarray(28 * y, 28 * y + 28)).filter((row) => row.some(Boolean));
  for (const row of rows) assert.equal(sent.indexOf(row), -1, 'pixels');
  for (const { url } of recorder.log) assert.ok(!url.includes(server.token), 'the token stands in no address');
  assert.ok(recorder.log.length > 8);
  for (const url of visitor.asked) assert.equal(new URL(url).origin, recorder.origin);
  assert.ok(visitor.asked.some((url) => url.endsWith('client/worker.js')), 'the worker is watched, too');
  assert.equal(new URL(visitor.page.url()).hash, '', 'the token is out of the address bar');
  await visitor.leave();
});

test('the policy lets nothing in, and the page needs nothing more', async () => {
  const visitor = await visit();
  const response = await visitor.page.reload();
  await visitor.ready();
  const policy = response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|https?:|\*/);
  const outcomes = await visitor.page.evaluate(async () => {
    const elsewhere = await fetch('http://127.0.0.1:1/').catch((error) => error.name);
    document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.inline = true' }));
    setTimeout('window.evaluated = true');
    // Policies are applied at once; a timer that was set later fires later.
    await new Promise((resolve) => setTimeout(resolve, 100));
    return [elsewhere, window.inline, window.evaluated];
  });
  assert.deepEqual(outcomes, ['TypeError', undefined, undefined]);
  for (const kind of [/connect-src 'self'/, /inline script/, /Evaluating a string/]) {
    assert.ok(visitor.complaints.some((text) => kind.test(text)), `${kind}`);
  }
  await visitor.leave();
});

test('two encryptions of one drawing have nothing in common', async () => {
  const visitor = await visit();
  await visitor.drawSample(6);
  await visitor.ask();
  await visitor.ask();
  const [one, other] = recorder.sent('POST', /infer$/).map(({ body }) => body.subarray(68, -32));
  assert.equal(one.length, other.length);
  let same = 0;
  for (let i = 0; i < one.length; i++) same += one[i] === other[i];
  // Independent bytes agree in one place of 256; top bits of residues are a little uneven.
  assert.ok(same / one.length < 0.006, `${same} of ${one.length} bytes agree`);
  await visitor.leave();
});

test('what evaluation keys cost is said before they are made', async () => {
  const visitor = await visit();
  const cost = visitor.page.locator('#cost');
  const said = /^Sent once, with the first input: \d+ evaluation keys \(7\.4 MiB\), made in about \d+ ms\.$/;
  assert.match(await cost.textContent(), said);
  assert.equal(recorder.sent('PUT', /keys/).length, 0, 'none was sent yet');
  await visitor.drawSample(6);
  await visitor.ask();
  assert.equal(await cost.textContent(), '');
  assert.match(await visitor.page.textContent('#key-status'), /Evaluation keys for the server \(7\.4 MiB\) were made in .* and sent in/);
  await visitor.unfold('key');
  await visitor.page.click('#forget');
  await cost.filter({ hasText: said }).waitFor();
  await visitor.leave();
});

test('a kept key is used again, sent keys are not sent again, and forgetting forgets', async () => {
  const visitor = await visit();
  await visitor.unfold('key');
  await visitor.page.check('#remember');
  await visitor.drawSample(8);
  await visitor.ask();
  const [first, puts] = [await secretKey(visitor), recorder.sent('PUT', /keys/).length];
  await visitor.page.goto('about:blank');
  await visitor.page.goto(address());
  await visitor.ready();
  assert.ok(await visitor.page.isChecked('#remember'));
  assert.deepEqual(await secretKey(visitor), first);
  await visitor.drawSample(1);
  assert.equal((await visitor.ask()).label, '1');
  assert.equal(recorder.sent('PUT', /keys/).length, puts, 'no keys were sent again');
  assert.equal(recorder.sent('DELETE', /keys/).length, 0, 'leaving the page deleted nothing');
  await visitor.unfold('key');
  await visitor.page.click('#forget');
  await visitor.page.locator('#live', { hasText: 'Your key is deleted' }).waitFor({ state: 'attached' });
  assert.equal(await secretKey(visitor), null);
  const [{ url, status }] = recorder.sent('DELETE', /keys/);
  assert.equal(status, 204);
  assert.equal(url, recorder.sent('PUT', /keys/)[0].url.replace(/\?.*/, ''));
  assert.equal((await visitor.ask()).label, '1', 'new keys work');
  await visitor.leave();
});

test('a key in memory goes with the page, and so do its evaluation keys', async () => {
  const visitor = await visit();
  await visitor.drawSample(9);
  await visitor.ask();
  assert.equal(await secretKey(visitor), null);
  const [put] = recorder.sent('PUT', /keys/);
  assert.match(put.url, /\?expires_in=\d+$/);
  await visitor.page.goto('about:blank');
  await until(() => recorder.sent('DELETE', /keys/).some(({ status }) => status === 204));
  await visitor.leave();
});

test('keys that the server has lost are made and sent anew', async () => {
  const visitor = await visit();
  await visitor.drawSample(2);
  await visitor.ask();
  const digest = recorder.sent('PUT', /keys/)[0].url.replace(/\?.*/, '');
  const headers = { Authorization: `Bearer ${server.token}` };
  assert.equal((await fetch(recorder.origin + digest, { method: 'DELETE', headers })).status, 204);
  assert.equal((await visitor.ask()).label, '2');
  await visitor.leave();
});

test('an upload that broke off goes on where it stopped', async () => {
  const unavailable = { status: 503, headers: { 'retry-after': '1' }, body: '' };
  recorder.intervene = async ({ method }, pass) => {
    const parts = method === 'PUT' && recorder.sent('PUT', /keys/).length;
    // The third part is lost; the fifth arrives, but its answer is lost.
    if (parts === 5) await pass();
    return parts === 3 || parts === 5 ? unavailable : null;
  };
  const visitor = await visit();
  await visitor.drawSample(0);
  assert.equal((await visitor.ask()).label, '0');
  const puts = recorder.sent('PUT', /keys/);
  const offsets = puts.map(({ headers }) => Number(/upload-offset\n(\d+)/i.exec(headers)[1]));
  assert.deepEqual([offsets[3], offsets[5]], [offsets[2], offsets[4]], 'both are sent again');
  assert.deepEqual([puts[5].status, puts.at(-1).status], [409, 201]);
  assert.ok(offsets[6] > offsets[5], 'from where the server says it stands');
  await visitor.leave();
});

test('a busy server is asked again, and one that is gone is said to be', async () => {
  const visitor = await visit();
  let refusals = 1;
  const busy = { status: 429, headers: { 'retry-after': '1' }, body: '' };
  recorder.intervene = ({ method }) => (method === 'POST' && refusals-- > 0 ? busy : null);
  await visitor.drawSample(7);
  assert.equal((await visitor.ask()).label, '7');
  recorder.close();
  await visitor.page.click('#ask');
  await visitor.page.getByRole('alert').getByText('The server does not answer').waitFor();
  await visitor.page.locator('#verdict', { hasText: 'No answer.' }).waitFor();
  await visitor.leave();
});

test('a wrong token is refused in words, and a right one can be given', async () => {
  const visitor = await Visitor.at(browser, `${recorder.origin}/#token=wrong`);
  await visitor.page.getByRole('alert').filter({ hasText: /token/i }).waitFor();
  await visitor.page.getByLabel('Access token').fill(address());
  await visitor.page.getByRole('button', { name: 'Connect' }).click();
  await visitor.ready();
  await visitor.drawSample(4);
  assert.equal((await visitor.ask()).label, '4');
  await visitor.leave();
});

test('a reply that was tampered with is an error, never an answer', async () => {
  const visitor = await visit();
  await visitor.drawSample(3);
  recorder.intervene = ({ method }) => (method === 'POST' ? { status: 200, headers: {}, body: Buffer.alloc(28896, 7) } : null);
  await visitor.page.click('#ask');
  await visitor.page.getByRole('alert').getByText('not a Blindsight file').waitFor();
  await visitor.page.locator('#verdict', { hasText: 'No answer.' }).waitFor();
  await visitor.leave();
});

test('over TLS, at the address that the server prints, all of it works', async () => {
  const secure = await serve(['cryptonets-mnist']);
  assert.match(secure.page, /^https:/);
  const visitor = await Visitor.at(browser, secure.page);
  await visitor.ready();
  await visitor.drawSample(6);
  assert.equal((await visitor.ask()).label, '6');
  assert.deepEqual(visitor.complaints, []);
  for (const url of visitor.asked) assert.equal(new URL(url).origin, new URL(secure.page).origin);
  await visitor.leave();
  await secure.stop();
});

test('an image file is answered like a drawing, and either takes the place of the other', async () => {
  const visitor = await visit();
  await visitor.drawSample(6);
  const six = await visitor.pixels();
  await visitor.page.click('#clear');
  assert.ok(await visitor.page.isDisabled('#ask'));
  // Three times as large, and wider than high: the page takes the middle, and finds the same pixels.
  const [side, left] = [3 * 28, 30];
  const enlarged = Array.from({ length: side * (side + 2 * left) }, (_, i) => {
    const [x, y] = [(i % (side + 2 * left)) - left, Math.floor(i / (side + 2 * left))];
    return x < 0 || x >= side ? 255 : six[Math.floor(y / 3) * 28 + Math.floor(x / 3)];
  });
  await visitor.choose('six.png', encode(enlarged, side + 2 * left, side));
  assert.deepEqual(await visitor.pixels(), six);
  assert.equal((await visitor.ask()).label, '6');
  await visitor.page.getByRole('button', { name: 'Take a drawn 3' }).click();
  assert.equal((await visitor.ask()).label, '3');
  assert.equal(await visitor.page.inputValue('#file'), '');
  await visitor.page.setInputFiles('#file', { name: 'six.txt', mimeType: 'text/plain', buffer: Buffer.from('six') });
  await visitor.page.getByRole('alert').getByText('cannot read \u201csix.txt\u201d as an image').waitFor();
  assert.equal((await visitor.ask()).label, '3', 'what was there is still there');
  await visitor.leave();
});

test('several networks: one is chosen, each has its own key, and colours stay in their channels', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'blindsight-models-'));
  const file = join(folder, `${COLOURS}.onnx`);
  writeFileSync(file, colours());
  const several = await serve(['lola-small-mnist', 'cryptonets-mnist', file], '--plain-http');
  const own = await Recorder.before(several.port);
  const visitor = await Visitor.at(browser, `${own.origin}/#token=${several.token}`);
  await visitor.ready();
  const inferences = () => own.sent('POST', /infer$/).map(({ url }) => url.split('/').at(-2));

  const chooser = visitor.page.getByLabel('Network');
  assert.equal(await chooser.inputValue(), 'cryptonets-mnist', 'networks for digits come first');
  await visitor.drawSample(2);
  assert.equal((await visitor.ask()).label, '2');
  // By keyboard, and the drawing stays.
  await chooser.focus();
  await visitor.page.keyboard.press('l');
  await visitor.page.locator('#live', { hasText: 'lola-small-mnist is ready' }).waitFor({ state: 'attached' });
  assert.equal((await visitor.ask()).label, '2');

  await visitor.use(COLOURS);
  await visitor.page.getByRole('heading', { level: 1, name: 'Choose a picture' }).waitFor();
  assert.ok(await visitor.page.locator('#drawing').isHidden());
  assert.ok(await visitor.page.isDisabled('#ask'), 'a drawing is nothing for this network');
  assert.ok(await visitor.page.locator('#time').isHidden(), 'the times were those of another network');
  for (const [i, label] of LABELS.entries()) {
    // A gradient, most of it in one channel, in a picture of four times the size.
    const at = (x, y, channel) => (channel === i ? 120 + y : x) & 255;
    const pixels = Array.from({ length: 3 * 128 * 128 }, (_, n) => at(n % 128, Math.floor(n / 128) % 128, Math.floor(n / 128 ** 2)));
    await visitor.choose(`picture-${i}.png`, encode(pixels, 128));
    const answer = await visitor.ask();
    assert.equal(answer.label, label);
    const shown = await visitor.pixels(3);
    assert.equal(shown[0 + 1024 * i], 122, 'the mean of 120, 121, 122, 123 (121.5) is rounded');
    const plain = plainInference(shown, file, 32);
    assert.equal(LABELS[plain.best], label);
    answer.scores.forEach((score, n) => assert.ok(Math.abs(score - plain.scores[n]) < 0.06, `${score}, ${plain.scores[n]} plain`));
  }
  assert.deepEqual(visitor.complaints, []);
  await visitor.screenshot('colours-desktop');
  await visitor.page.setViewportSize(PHONE.viewport);
  await visitor.assertNoOverflow();
  await visitor.screenshot('colours-phone');

  const puts = own.sent('PUT', /keys/).length;
  await visitor.use('cryptonets-mnist');
  await visitor.page.getByRole('button', { name: 'Take a drawn 9' }).click();
  assert.equal((await visitor.ask()).label, '9');
  assert.equal(own.sent('PUT', /keys/).length, puts, 'the first key is used again');
  assert.deepEqual(inferences(), ['cryptonets-mnist', 'lola-small-mnist', COLOURS, COLOURS, COLOURS, 'cryptonets-mnist']);

  await visitor.page.goto('about:blank');
  await until(() => own.sent('DELETE', /keys/).filter(({ status }) => status === 204).length === 3);
  await visitor.leave();
  own.close();
  await several.stop();
  rmSync(folder, { recursive: true });
});

test('numbers are entered, checked and classified', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'blindsight-models-'));
  const file = join(folder, `${SUM}.onnx`);
  writeFileSync(file, sums());
  const own = await serve([file], '--plain-http');
  const visitor = await Visitor.at(browser, `http://127.0.0.1:${own.port}/#token=${own.token}`);
  await visitor.ready();
  await visitor.page.getByRole('heading', { level: 1, name: 'Enter numbers' }).waitFor();
  assert.ok(await visitor.page.locator('#drawing').isHidden());
  const fields = visitor.page.locator('#fields input');
  assert.equal(await fields.count(), 5);
  const enter = async (numbers) => {
    for (const [i, number] of numbers.entries()) await visitor.page.getByLabel(`number ${i + 1}`, { exact: true }).fill(String(number));
  };
  await enter([1, 2, 'oops']);
  await visitor.page.getByRole('alert').getByText('number 3: expected a number such as 1.5, found \u201coops\u201d.').waitFor();
  await enter([1, 2, 3]);
  await visitor.page.getByText('2 numbers are missing.').waitFor();
  assert.ok(await visitor.page.isDisabled('#ask'));
  for (const [numbers, label, sum] of [[[1.5, -0.25, 0, 0, 2], 'positive', 3.25], [[-1, -1, -1, '5e-1', 0], 'negative', -2.5]]) {
    await enter(numbers);
    const answer = await visitor.ask();
    assert.equal(answer.label, label);
    answer.scores.forEach((score, n) => assert.ok(Math.abs(score - [sum, -sum][n]) < 0.06, `${score} of ${sum}`));
  }
  // What is out of range is clamped, and said here alone.
  await enter([9, 0, 0, 0, 0]);
  const clamped = await visitor.ask();
  assert.ok(Math.abs(clamped.scores[0] - 3) < 0.06);
  assert.match(clamped.verdict, /outside of -3 to 3/);
  await visitor.page.click('#clear');
  assert.equal(await fields.first().inputValue(), '');
  // Where the file brings no samples, there are numbers to try all the same.
  await visitor.page.getByRole('button', { name: 'Take made-up numbers' }).click();
  const made = (await fields.evaluateAll((all) => all.map(({ value }) => Number(value)))).reduce((sum, number) => sum + number);
  assert.ok(Math.abs((await visitor.ask()).scores[0] - made) < 0.06);
  assert.deepEqual(visitor.complaints, []);
  await visitor.page.setViewportSize(PHONE.viewport);
  await visitor.assertNoOverflow();
  await visitor.screenshot('numbers-phone');
  await visitor.leave();
  await own.stop();
  rmSync(folder, { recursive: true });
});

test('a kept key chooses its network at the next visit, and goes when its plan is no longer served', async () => {
  const several = await serve(['cryptonets-mnist', 'lola-small-mnist'], '--plain-http');
  const visitor = await Visitor.at(browser, `http://127.0.0.1:${several.port}/#token=${several.token}`);
  await visitor.ready();
  await visitor.use('lola-small-mnist');
  await visitor.unfold('key');
  await visitor.page.check('#remember');
  await visitor.page.getByText('is kept in this browser').waitFor();
  await visitor.page.reload();
  await visitor.ready();
  assert.equal(await visitor.page.inputValue('#model'), 'lola-small-mnist');
  assert.ok(await visitor.page.isChecked('#remember'));
  await visitor.page.route('**/v1/models', async (route) => {
    const response = await route.fetch();
    const { models } = await response.json();
    await route.fulfill({ response, json: { models: models.filter(({ id }) => id === 'cryptonets-mnist') } });
  });
  await visitor.page.reload();
  await visitor.ready();
  assert.ok(!(await visitor.page.isChecked('#remember')));
  assert.equal(await secretKey(visitor), null);
  await visitor.leave();
  await several.stop();
});

/** The secret key in the page's store, or null. */
async function secretKey(visitor) {
  const bytes = await visitor.page.evaluate(async () => {
    const { indexedDbStore } = await import('./client/index.js');
    const store = indexedDbStore();
    const [name] = await store.list();
    return name ? [...(await store.get(name)).secret] : null;
  });
  return bytes && Buffer.from(bytes);
}

async function until(condition) {
  for (let i = 0; i < 6000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(condition());
}
