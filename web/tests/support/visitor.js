// A visitor with a browser, as the tests need one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { sample } from '../../page/samples.js';
import { encode } from './png.js';

/** How long anything may take, in milliseconds: far more than it does, as the machine may be busy with other things. */
const PATIENCE = 300_000;

export const DESKTOP = { viewport: { width: 1280, height: 900 } };
/** A phone whose page of a hundred classes has to fit. */
export const TALL_PHONE = { viewport: { width: 390, height: 1200 }, isMobile: true, hasTouch: true };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Headless Chromium that asks nobody for anything by itself. */
export function launch(...flags) {
  const quiet = ['--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const nobody = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
  return chromium.launch({ timeout: PATIENCE, executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu', nobody, ...quiet, ...flags] });
}

/** Counts the questions that the page has done with, in the page: `window.questions`. */
function countQuestions() {
  window.questions = 0;
  const busy = (classes) => /\bbusy\b/.test(classes ?? '');
  const watch = () =>
    new MutationObserver((changes) => {
      // Each change knows what was there before it; the last one led to what is there now.
      const states = [...changes.map(({ oldValue }) => oldValue), document.body.className].map(busy);
      states.slice(1).forEach((now, i) => (window.questions += states[i] && !now));
    }).observe(document.body, { attributeFilter: ['class'], attributeOldValue: true });
  addEventListener('DOMContentLoaded', watch);
}

export class Visitor {
  /** Everything that went wrong in the page, and every address that it asked for. */
  complaints = [];
  asked = [];

  /** Opens the page in a profile of its own. */
  static async at(browser, address, options = DESKTOP) {
    const visitor = new Visitor();
    visitor.touches = Boolean(options.hasTouch);
    visitor.context = await browser.newContext({ ...options, ignoreHTTPSErrors: true });
    visitor.context.setDefaultTimeout(PATIENCE);
    await visitor.context.addInitScript(countQuestions);
    visitor.context.on('request', (request) => visitor.asked.push(request.url()));
    visitor.page = await visitor.context.newPage();
    visitor.page.on('console', (message) => visitor.complaints.push(message.text()));
    visitor.page.on('pageerror', (error) => visitor.complaints.push(error.message));
    await visitor.page.goto(address);
    return visitor;
  }

  /** Waits until there is a key. */
  async ready() {
    await this.page.waitForSelector('#remember:enabled', { state: 'attached' });
  }

  async drawSample(digit) {
    await this.draw(sample(digit));
  }

  /** Draws with the mouse; a touch screen's finger where there is one. */
  async draw(strokes) {
    const canvas = this.page.locator('#drawing');
    await canvas.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await canvas.boundingBox();
    for (const stroke of strokes) {
      const points = stroke.map(([a, b]) => ({ x: x + a * width, y: y + b * height }));
      await (this.touches ? this.#touch(points) : this.#mouse(points));
    }
  }

  async #mouse([first, ...others]) {
    await this.page.mouse.move(first.x, first.y);
    await this.page.mouse.down();
    for (const { x, y } of others) await this.page.mouse.move(x, y);
    await this.page.mouse.up();
  }

  async #touch([first, ...others]) {
    const session = await this.context.newCDPSession(this.page);
    const send = (type, touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
    await send('touchStart', [first]);
    for (const point of others) await send('touchMove', [point]);
    await send('touchEnd', []);
  }

  /** Opens what is folded. */
  async unfold(id) {
    await this.page.locator(`#${id} > summary`).click();
  }

  /** Whether nothing of the page is wider than the window. */
  async assertNoOverflow() {
    assert.equal(await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
  }

  /** Shows a file to the page. */
  async choose(name, buffer) {
    await this.page.setInputFiles('#file', { name, mimeType: 'image/png', buffer });
    await this.page.locator('#live', { hasText: `${name} is ready` }).waitFor({ state: 'attached' });
  }

  /** Chooses a network and waits for its key. */
  async use(model) {
    await this.page.selectOption('#model', model);
    await this.ready();
  }

  ask() {
    return this.answer(() => this.page.click('#ask'));
  }

  /** What the page answers to a question that is put like this: the label and the scores. */
  async answer(question) {
    const before = await this.page.evaluate(() => window.questions);
    await question();
    await this.page.waitForFunction((before) => window.questions > before, before);
    const notice = this.page.locator('#notice');
    assert.ok(await notice.isHidden(), await notice.textContent());
    const rows = await this.page.locator('.scores li').evaluateAll((all) => all.map(({ dataset }) => [dataset.class, dataset.score].map(Number)));
    const scores = rows.sort(([a], [b]) => a - b).map(([, score]) => score);
    return { label: await this.page.textContent('#best .best .name'), scores, verdict: await this.page.textContent('#verdict') };
  }

  /** The pixels that the page says it encrypts, read from its preview, in the order channel, row, column. */
  async pixels(channels = 1) {
    const { rgba, area } = await this.page.evaluate(() => {
      const preview = document.getElementById('preview');
      const { width, height } = preview;
      const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
      context.drawImage(preview, 0, 0);
      return { rgba: [...context.getImageData(0, 0, width, height).data], area: width * height };
    });
    return Uint8Array.from({ length: channels * area }, (_, i) => rgba[4 * (i % area) + Math.floor(i / area)]);
  }

  /** Takes a picture of all of the page, or of a part of it. */
  async screenshot(name, part = {}) {
    await this.page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true, ...part });
  }

  async leave() {
    await this.context.close();
  }
}

/** What plain inference, outside of the browser and without encryption, gives for pixels of a square image: best score and scores. */
export function plainInference(pixels, model = 'cryptonets-mnist', side = 28) {
  const file = join(mkdtempSync(join(tmpdir(), 'blindsight-image-')), 'image.png');
  writeFileSync(file, encode(pixels, side));
  const { plain_scores: scores } = JSON.parse(execFileSync(process.env.BLINDSIGHT, ['classify', model, file, '--json']));
  return { best: scores.indexOf(Math.max(...scores)), scores };
}
