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

/** A client of the bench's own, as the page has one. */
async function inPage({ token, model, questions }) {
  const { connect, memoryStore } = await import('./client/index.js');
  const { rasterise } = await import('./digit.js');
  const { sample } = await import('./samples.js');
  const times = {};
  const onProgress = ({ step, milliseconds }) => (times[step] = milliseconds);
  const client = await connect(location.href, { token, model, store: memoryStore(), keep: false, onProgress });
  await client.ready();
  const answers = [];
  for (let i = 0; i < questions; i++) answers.push(await client.classify({ pixels: rasterise(sample(i)) }));
  await client.close();
  const [first, ...later] = answers.map(({ timing }) => timing.encryption);
  const [decryption, roundTrip] = ['decryption', 'roundTrip'].map((name) => answers.map(({ timing }) => timing[name]));
  const made = { 'secret key': [times.key], 'evaluation keys': [times.keys] };
  return { ...made, 'first encryption': [first], 'later encryptions': later, decryption, 'round trip': roundTrip };
}
