// How long a browser takes for keys and encryption: what the worker itself measures, in pages opened anew. Prints a Markdown table.

import { serve } from './support/server.js';
import { Visitor, launch } from './support/visitor.js';

const MODEL = 'cryptonets-mnist';
const pages = Number(process.argv[2]);
/** Questions asked in each page. */
const QUESTIONS = 5;

const server = await serve([MODEL], '--plain-http');
const browser = await launch();
const measured = { 'secret key': [], 'evaluation keys': [], 'first encryption': [], 'later encryptions': [], decryption: [], 'round trip': [] };
for (let i = 0; i < pages; i++) await measure();
await browser.close();
await server.stop();
console.log('| | least, ms | median, ms | largest, ms | measured |\n| --- | --- | --- | --- | --- |');
for (const [name, times] of Object.entries(measured)) {
  times.sort((a, b) => a - b);
  const [least, median, largest] = [times[0], times[times.length >> 1], times.at(-1)].map((time) => time.toFixed(1));
  console.log(`| ${name} | ${least} | ${median} | ${largest} | ${times.length} times |`);
}

async function measure() {
  const visitor = await Visitor.at(browser, `http://127.0.0.1:${server.port}/`);
  const times = await visitor.page.evaluate(inPage, { token: server.token, model: MODEL, questions: QUESTIONS });
  for (const [name, values] of Object.entries(times)) measured[name].push(...values);
  await visitor.leave();
}

/** A worker of the bench's own, driven as the page drives its own. */
async function inPage({ token, model, questions }) {
  const { Backend } = await import('./backend.js');
  const { rasterise } = await import('./digit.js');
  const { sample } = await import('./samples.js');
  const backend = new Backend();
  await backend.call('connect', { token });
  const times = { 'secret key': [(await backend.call('open', { model })).milliseconds] };
  backend.addEventListener('keys', ({ detail }) => (times['evaluation keys'] = [detail.time]));
  await backend.call('register', { model });
  const answers = [];
  for (let i = 0; i < questions; i++) answers.push(await backend.call('classify', { model, pixels: rasterise(sample(i)) }));
  const [first, ...later] = answers.map(({ encryption }) => encryption);
  const [decryption, roundTrip] = ['decryption', 'roundTrip'].map((name) => answers.map((answer) => answer[name]));
  return { ...times, 'first encryption': [first], 'later encryptions': later, decryption, 'round trip': roundTrip };
}
