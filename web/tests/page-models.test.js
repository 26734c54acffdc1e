// The page for networks of every kind: what it asks for, what it answers, whether it fits.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Host, withModels } from './support/host.js';
import * as hundred from './support/hundred.js';
import { encode } from './support/png.js';
import { TALL_PHONE, launch, plainInference } from './support/visitor.js';

const TABLE = fileURLToPath(new URL('../../crates/cli/tests/tabular/mlp30.onnx', import.meta.url));

let browser;

before(async () => (browser = await launch()));
after(() => browser?.close());

const text = (visitor, selector) => visitor.page.locator(selector).textContent();

/** Nothing of the page lies below or beside a tall phone's screen. */
async function assertFits(visitor, state) {
  await visitor.assertNoOverflow();
  const height = await visitor.page.evaluate(() => document.documentElement.scrollHeight);
  assert.ok(height <= TALL_PHONE.viewport.height, `${state}: ${height} pixels high`);
}

for (const colorScheme of ['light', 'dark']) {
  test(`a hundred classes fit one screen of a phone, ${colorScheme}`, () =>
    withModels({ [hundred.NAME]: hundred.hundred() }, async (file) => {
      const host = await Host.of(browser, file);
      const visitor = await host.visit({ ...TALL_PHONE, colorScheme });
      await assertFits(visitor, 'start');
      await visitor.screenshot(`hundred-start-${colorScheme}`);
      await visitor.page.getByRole('button', { name: 'Take a clear case' }).click();
      await assertFits(visitor, 'entered');
      const { label, scores } = await visitor.ask();
      assert.equal(label, hundred.LABELS[42]);
      hundred.scoresFor(hundred.rowFor(42)).forEach((score, i) => assert.ok(Math.abs(scores[i] - score) < 0.1, `class ${i}`));
      assert.equal(await visitor.page.locator('#best li').count(), 5);
      assert.equal(await text(visitor, '#rest-title'), 'The other 95');
      const names = visitor.page.locator('#best .name');
      assert.ok(await names.evaluateAll((all) => all.every((name) => name.scrollWidth <= name.clientWidth)), 'names are whole');
      await assertFits(visitor, 'answer');
      await visitor.screenshot(`hundred-answer-${colorScheme}`);
      assert.deepEqual(visitor.complaints, []);
      await visitor.leave();
      await host.close();
    }));
}

test('a network brings its own description, names, samples, and probabilities', () =>
  withModels({ [hundred.NAME]: hundred.hundred() }, async (file) => {
    const host = await Host.of(browser, file);
    const visitor = await host.visit();
    assert.match(await text(visitor, '#about'), /^hundred-classes: a dense layer, for tests\. It answers one of 100 classes, such as class 1 of a hundred\.$/);
    assert.doesNotMatch(await text(visitor, 'body'), /digit/i);
    const label = visitor.page.getByLabel(hundred.FEATURES[3], { exact: true });
    await visitor.page.getByRole('button', { name: 'Take a clear case' }).click();
    assert.equal(await label.inputValue(), String(hundred.SAMPLES[0].values[3]));
    const { verdict, scores } = await visitor.ask();
    const weights = scores.map(Math.exp);
    const best = Math.max(...weights) / weights.reduce((sum, weight) => sum + weight, 0);
    assert.equal(verdict, `The answer is ${hundred.LABELS[42]} (${Math.round(100 * best)} %).`);
    assert.equal(await text(visitor, '#best .best .value'), `${Math.round(100 * best)} %`);

    await visitor.page.getByRole('button', { name: 'Take all the same' }).click();
    assert.match((await visitor.ask()).verdict, /^Too close to call: class \d+ of a hundred or class \d+ of a hundred: their scores differ by /);
    await visitor.screenshot('hundred-desktop');
    await visitor.leave();
    await host.close();
  }));

test('a row of a file is classified, another one chosen', () =>
  withModels({ [hundred.NAME]: hundred.hundred() }, async (file) => {
    const host = await Host.of(browser, file);
    const visitor = await host.visit();
    // Columns in another order, and one more.
    const order = [...hundred.FEATURES.keys()].reverse();
    const row = (best) => ['x', ...order.map((i) => hundred.rowFor(best)[i])].join(',');
    const table = [['label', ...order.map((i) => hundred.FEATURES[i])].join(','), row(7), row(99), ''].join('\n');
    await visitor.choose('rows.csv', Buffer.from(table));
    assert.equal((await visitor.ask()).label, hundred.LABELS[7]);
    assert.equal(await text(visitor, '#row-count'), 'of 2');
    await visitor.page.getByLabel('Row of the file').fill('2');
    await visitor.page.getByLabel('Row of the file').press('Enter');
    assert.equal((await visitor.ask()).label, hundred.LABELS[99]);
    await visitor.choose('row.json', Buffer.from(JSON.stringify(hundred.rowFor(30))));
    assert.equal((await visitor.ask()).label, hundred.LABELS[30]);
    assert.ok(await visitor.page.locator('#row-box').isHidden());
    await visitor.leave();
    await host.close();
  }));

test('a network of a table, as PyTorch exports it, gives what onnxruntime gives', async () => {
  const host = await Host.of(browser, TABLE);
  const visitor = await host.visit();
  const numbers = Array.from({ length: 30 }, (_, i) => i / 29);
  await visitor.choose('numbers.csv', Buffer.from(numbers.join(';')));
  const { scores, label } = await visitor.ask();
  [-0.1755, -0.3357].forEach((score, i) => assert.ok(Math.abs(scores[i] - score) < 0.02, `${scores[i]} of ${score}`));
  assert.equal(label, '0');
  await visitor.leave();
  await host.close();
});

test('a colour picture that is dropped is named as plain inference names it', async () => {
  const host = await Host.of(browser, 'cifar10-fast');
  const visitor = await host.visit(TALL_PHONE);
  assert.match(await text(visitor, '#about'), /right for 91\.3 % .*airplane, automobile, bird, .* ship or truck\.$/);
  await assertFits(visitor, 'start');
  await drop(visitor, 'picture.png', await picture());
  await visitor.page.locator('#live', { hasText: 'picture.png is ready' }).waitFor({ state: 'attached' });
  const { label, scores } = await visitor.ask();
  const plain = plainInference(await visitor.pixels(3), 'cifar10-fast', 32);
  assert.equal(label, ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'][plain.best]);
  scores.forEach((score, i) => assert.ok(Math.abs(score - plain.scores[i]) < 0.5, `${score}, ${plain.scores[i]} plain`));
  await assertFits(visitor, 'answer');
  await visitor.screenshot('cifar10-phone');
  await visitor.page.setViewportSize({ width: 1280, height: 900 });
  await visitor.screenshot('cifar10-desktop');
  await visitor.leave();
  await host.close();
});

/** A blue sky above a green meadow, with something dark on it. */
function picture() {
  const side = 64;
  const colour = (x, y) => (Math.hypot(x - 32, y - 40) < 12 ? [60, 40, 30] : y < 40 ? [120, 170, 230] : [70, 140, 50]);
  return encode(Array.from({ length: 3 * side * side }, (_, i) => colour(i % side, Math.floor(i / side) % side)[Math.floor(i / side ** 2)]), side);
}

/** Drops a file onto the page's input. */
async function drop(visitor, name, bytes) {
  const transfer = await visitor.page.evaluateHandle(
    ([name, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: 'image/png' }));
      return transfer;
    },
    [name, [...bytes]],
  );
  for (const event of ['dragover', 'drop']) await visitor.page.dispatchEvent('#input-panel', event, { dataTransfer: transfer });
}

test('what lies in the ciphertexts is drawn and told, and follows the input', async () => {
  const host = await Host.of(browser, 'cryptonets-mnist');
  const visitor = await host.visit();
  await visitor.unfold('slots');
  await visitor.page.getByText('slots each, and each slot holds a number').waitFor();
  const map = () => visitor.page.locator('#slots-map').screenshot();
  const empty = await map();
  await visitor.page.getByRole('button', { name: 'Take a drawn 3' }).click();
  assert.ok(!(await map()).equals(empty), 'the drawing is in the slots');
  // What a slot is said to hold is the pixel that the page encrypts.
  const pixels = await visitor.pixels();
  let inked = 0;
  const looked = Array.from({ length: 40 }, (_, i) => [1 + (i % 5), 1 + 97 * i]);
  for (const [ciphertext, slot] of [...looked, [3, 4000]]) {
    await visitor.page.getByLabel('Ciphertext', { exact: true }).fill(String(ciphertext));
    await visitor.page.getByLabel('Slot', { exact: true }).fill(String(slot));
    const told = await text(visitor, '#slot-text');
    const [, row, column, value] = /holds the pixel in row (\d+), column (\d+), (\d+) of 255/.exec(told) ?? [];
    if (row === undefined) assert.match(told, /holds (nothing|a constant one)/);
    else assert.equal(Number(value), pixels[28 * (row - 1) + Number(column) - 1], told);
    inked += Number(value ?? 0);
  }
  assert.ok(inked > 0, 'some of these slots hold ink');
  await visitor.page.locator('#slots-map').hover({ position: { x: 5, y: 5 } });
  assert.notEqual(await visitor.page.inputValue('#slot'), '4000', 'the mouse chooses a slot');
  await visitor.screenshot('slots');
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
  await host.close();
});
