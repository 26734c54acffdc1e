// The page with an answer, for the README.

import { serve } from './support/server.js';
import { Visitor, launch } from './support/visitor.js';

const WIDTH = 920;

const server = await serve(['cryptonets-mnist'], '--plain-http');
const browser = await launch();
const visitor = await Visitor.at(browser, server.page, { viewport: { width: WIDTH, height: 800 }, deviceScaleFactor: 0.75 });
await visitor.ready();
await visitor.drawSample(4);
await visitor.ask();
await visitor.page.mouse.move(0, 0);
// Down to the end of the panels.
const { y, height } = await visitor.page.locator('.panels').boundingBox();
await visitor.screenshot('page', { clip: { x: 0, y: 0, width: WIDTH, height: y + height + 8 } });
await browser.close();
await server.stop();
