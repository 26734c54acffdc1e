// A visitor with a browser, as the tests need one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { sample } from '../../page/samples.js';
import { encode } from './png.js';

export const DESKTOP = { viewport: { width: 1280, height: 900 } };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Headless Chromium that asks nobody for anything by itself. */
export function launch() {
  const quiet = ['--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  const nobody = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1';
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu', nobody, ...quiet] });
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
    visitor.context.on('request', (request) => visitor.asked.push(request.url()));
    visitor.page = await visitor.context.newPage();
    visitor.page.on('console', (message) => visitor.complaints.push(message.text()));
    visitor.page.on('pageerror', (error) => visitor.complaints.push(error.message));
    await visitor.page.goto(address);
    return visitor;
  }

  /** Waits until there is a key. */
  async ready() {
    await this.page.waitForSelector('#remember:enabled');
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

  async ask() {
    await this.page.click('#ask');
    return this.answer();
  }

  /** What the page answers: the label and the scores. */
  async answer() {
    await this.page.waitForFunction(() => document.body.classList.contains('busy'));
    await this.page.waitForFunction(() => !document.body.classList.contains('busy'));
    const notice = this.page.locator('#notice');
    assert.ok(await notice.isHidden(), await notice.textContent());
    const values = await this.page.locator('#scores .value').allTextContents();
    return { label: await this.page.textContent('#label'), scores: values.map((value) => Number(value.replace('\u2212', '-'))) };
  }

  /** The pixels that the page says it encrypts, read from its preview. */
  async pixels() {
    const rgba = await this.page.evaluate(() => {
      const preview = document.getElementById('preview');
      const context = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });
      context.drawImage(preview, 0, 0);
      return [...context.getImageData(0, 0, 28, 28).data];
    });
    return Uint8Array.from(rgba.filter((_, i) => i % 4 === 0));
  }

  async screenshot(name) {
    // Bars grow for half a second.
    await this.page.waitForTimeout(700);
    await this.page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
  }

  async leave() {
    await this.context.close();
  }
}

/** What plain inference, outside of the browser and without encryption, gives for pixels: label and scores. */
export function plainInference(pixels) {
  const file = join(mkdtempSync(join(tmpdir(), 'blindsight-digit-')), 'digit.png');
  writeFileSync(file, encode(pixels, 28));
  const { plain_scores: scores } = JSON.parse(execFileSync(process.env.BLINDSIGHT, ['classify', 'cryptonets-mnist', file, '--json']));
  return { label: String(scores.indexOf(Math.max(...scores))), scores };
}
