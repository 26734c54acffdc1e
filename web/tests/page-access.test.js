// The page for everybody: axe finds nothing in any state, in light and dark, wide and narrow; and a keyboard is enough.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertAccessible } from './support/axe.js';
import { Host, withModels } from './support/host.js';
import * as hundred from './support/hundred.js';
import { DESKTOP, TALL_PHONE, Visitor, launch } from './support/visitor.js';

let browser;

before(async () => (browser = await launch()));
after(() => browser?.close());

const LOOKS = ['light', 'dark'].flatMap((colorScheme) => [
  [`desktop, ${colorScheme}`, { ...DESKTOP, colorScheme }],
  [`phone, ${colorScheme}`, { ...TALL_PHONE, colorScheme }],
]);

/** Holds back whatever matches until it is let go. */
function held(recorder, matches) {
  let letGo;
  const gate = new Promise((resolve) => (letGo = resolve));
  recorder.intervene = async (entry) => (matches(entry) ? (await gate, null) : null);
  return letGo;
}

/** A server's own page in each of its states. */
async function assertStates(host, options, example, look) {
  const visitor = await host.visit(options);
  const { page } = visitor;
  const named = (state) => `${state} ${example} ${look}`.replace(/\W+/g, '-');
  const check = async (state) => {
    await assertAccessible(page, state);
    await visitor.assertNoOverflow();
  };
  await check('start');
  const letKeysGo = held(host.recorder, ({ method }) => method === 'PUT');
  await page.getByRole('button', { name: example }).click();
  await page.locator('#upload').waitFor();
  await check('keys being sent');
  letKeysGo();
  const letAnswerGo = held(host.recorder, ({ method }) => method === 'POST');
  await page.click('#ask');
  await page.locator('#server-status', { hasText: 'Computing' }).waitFor();
  await check('asked');
  await visitor.answer(letAnswerGo);
  await check('answer');
  await visitor.screenshot(named('answer'));
  for (const id of ['slots', 'key', 'time', 'rest-box', 'learnt']) await visitor.unfold(id);
  await page.getByText('each slot holds a number').waitFor();
  await check('all unfolded');
  await visitor.screenshot(named('unfolded'));
  host.recorder.intervene = async () => ({ status: 500, headers: {}, body: '' });
  await page.click('#ask');
  await page.getByRole('alert').filter({ visible: true }).waitFor();
  await check('error');
  await visitor.screenshot(named('error'));
  return visitor;
}

for (const [look, options] of LOOKS) {
  test(`digits: nothing is in anybody's way: ${look}`, async () => {
    const host = await Host.of(browser, 'cryptonets-mnist', 'lola-small-mnist');
    const visitor = await assertStates(host, options, 'Take a drawn 4', look);
    await visitor.leave();
    await host.close();
  });

  test(`numbers: nothing is in anybody's way: ${look}`, () =>
    withModels({ [hundred.NAME]: hundred.hundred() }, async (file) => {
      const host = await Host.of(browser, file);
      const visitor = await assertStates(host, options, 'Take a clear case', look);
      await visitor.page.getByLabel(hundred.FEATURES[0], { exact: true }).fill('oops');
      await visitor.page.getByRole('alert').getByText('oops').waitFor();
      await assertAccessible(visitor.page, 'wrong number');
      await visitor.leave();
      await host.close();
    }));

  test(`a token that is asked for: ${look}`, async () => {
    const host = await Host.of(browser, 'lola-small-mnist');
    const visitor = await Visitor.at(browser, `${host.recorder.origin}/#token=wrong`, options);
    await visitor.page.getByRole('alert').filter({ hasText: /token/i }).waitFor();
    await assertAccessible(visitor.page, 'wrong token');
    await visitor.leave();
    await host.close();
  });
}

test('numbers are entered, asked about and looked into by keyboard alone', () =>
  withModels({ [hundred.NAME]: hundred.hundred() }, async (file) => {
    const host = await Host.of(browser, file);
    const visitor = await host.visit();
    const { keyboard } = visitor.page;
    const focused = () => visitor.page.evaluate(() => document.activeElement.closest('label')?.textContent ?? document.activeElement.textContent);
    const tabTo = async (name) => {
      for (let i = 0; i < 60 && !(await focused()).includes(name); i++) await keyboard.press('Tab');
      assert.ok((await focused()).includes(name), name);
    };
    await keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the numbers');
    await keyboard.press('Enter');
    await keyboard.press('Tab');
    assert.equal(await focused(), hundred.FEATURES[0]);
    for (const [i, number] of hundred.rowFor(56).entries()) {
      if (i > 0) await keyboard.press('Tab');
      await keyboard.type(String(number));
    }
    const answer = await visitor.answer(() => keyboard.press('Enter'));
    assert.equal(answer.label, hundred.LABELS[56]);
    await tabTo('The other 95');
    await keyboard.press('Enter');
    await keyboard.press('Tab');
    assert.equal(await visitor.page.evaluate(() => document.activeElement.id), 'rest', 'the list can be scrolled');
    await tabTo('What lies in the ciphertexts');
    await keyboard.press('Enter');
    await visitor.page.getByText('each slot holds a number').waitFor();
    await keyboard.press('Tab');
    await keyboard.press('Tab');
    assert.equal(await visitor.page.evaluate(() => document.activeElement.id), 'slot');
    const first = await visitor.page.textContent('#slot-text');
    await keyboard.press('ArrowUp');
    assert.notEqual(await visitor.page.textContent('#slot-text'), first);
    await visitor.leave();
    await host.close();
  }));
