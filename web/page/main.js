// The page: wires the drawing area, the worker and what is shown.

import { Backend } from './backend.js';
import { rasterise } from './digit.js';
import { dissolve, paintDigit, paintNoise } from './noise.js';
import { SAMPLES, sample } from './samples.js';
import { Sketch } from './sketch.js';
import { dropToken, keepToken, takeToken } from './token.js';
import { element, milliseconds, say, show, showScores, showTimes, size } from './view.js';

/** What is shown of a question, and where. */
const FACTS = ['fact-digit', 'fact-answer', 'fact-in', 'fact-out', 'fact-time'];
/** Best scores closer than this are a guess. */
const CLOSE = 2;

const backend = new Backend();
const sketch = new Sketch(element('drawing'), say);
/** The token, what the worker opened, whether a question is under way, its pixels and its picture's way to noise. */
const state = { token: takeToken(), opened: null, busy: false, pixels: null, dissolving: null, digest: null };
/** Sentences on the key. */
const story = { secret: '', evaluation: '' };

function start() {
  showScores(labels());
  for (let digit = 0; digit < SAMPLES; digit++) element('samples').append(sampleButton(digit));
  sketch.addEventListener('change', drawingChanged);
  sketch.addEventListener('begin', register);
  sketch.addEventListener('done', ask);
  const controls = { undo: () => sketch.undo(), clear: () => sketch.clear(), ask, forget };
  for (const [id, listener] of Object.entries(controls)) element(id).addEventListener('click', listener);
  element('remember').addEventListener('change', remember);
  element('token-form').addEventListener('submit', submitToken);
  for (const [event, listener] of Object.entries(heard)) backend.addEventListener(event, ({ detail }) => listener(detail));
  // A new address for the same page: with a new token.
  addEventListener('hashchange', () => location.hash.startsWith('#token=') && location.reload());
  addEventListener('pagehide', leave);
  open();
}

function labels() {
  return state.opened?.plan.labels ?? Array.from({ length: SAMPLES }, (_, digit) => String(digit));
}

function sampleButton(digit) {
  const button = document.createElement('button');
  Object.assign(button, { type: 'button', textContent: digit, ariaLabel: `Take a drawn ${digit}` });
  button.addEventListener('click', () => {
    sketch.set(sample(digit));
    register();
    say(`A drawn ${digit} is in the drawing area`);
  });
  return button;
}

// The key.

/** Connects to the server and gets a key. */
async function open() {
  element('token-form').hidden = Boolean(state.token);
  if (!state.token) return show('key-status', 'No key yet: this page first needs an access token.');
  await attempt(async () => {
    show('key-status', 'Starting\u2026');
    state.opened = await backend.call('open', { token: state.token });
    state.digest = state.opened.digest;
    element('remember').checked = state.opened.remembered;
    tellSecret(state.opened.milliseconds);
  });
  if (!state.opened) show('key-status', 'No key yet.');
  setBusy(false);
  if (!sketch.empty) register();
}

function submitToken(event) {
  event.preventDefault();
  // The whole address will do, too.
  state.token = element('token').value.trim().replace(/^.*#token=/, '');
  keepToken(state.token);
  element('token').value = '';
  open();
}

/** Has evaluation keys made and sent ahead of the first question, while the visitor draws. */
function register() {
  // The question itself will meet the same failure, and tell.
  if (state.opened) backend.call('register').catch(() => {});
}

async function remember() {
  const box = element('remember');
  if (await attempt(() => backend.call('remember', { wanted: box.checked }))) state.opened.remembered = box.checked;
  else box.checked = state.opened.remembered;
  tellSecret();
}

async function forget() {
  setBusy(true);
  await attempt(async () => {
    const { time } = await backend.call('forget');
    Object.assign(state.opened, { remembered: false });
    Object.assign(state, { digest: null });
    element('remember').checked = false;
    story.evaluation = '';
    tellSecret(time);
    say('Your keys are deleted, here and at the server. There is a new secret key.');
  });
  setBusy(false);
}

/** A closed page's secret key is gone, so its evaluation keys are of no use to anybody. */
function leave() {
  if (!state.digest || state.opened.remembered) return;
  const headers = { Authorization: `Bearer ${state.token}` };
  fetch(`v1/keys/${state.digest}`, { method: 'DELETE', headers, keepalive: true }).catch(() => {});
}

function tellSecret(time) {
  if (time !== undefined) story.secret = time ? `A secret key was made in ${milliseconds(time)}.` : 'Your kept secret key is in use.';
  const where = state.opened.remembered ? 'is kept in this browser, and' : 'lives in this page\u2019s memory alone, and';
  show('key-status', `${story.secret} It ${where} is never sent. ${story.evaluation}`);
  showWeight();
}

/** What the worker tells while it works. */
const heard = {
  keys({ bytes, time }) {
    story.evaluation = `Evaluation keys for the server (${size(bytes)}) were made in ${milliseconds(time)}`;
    tellSecret();
  },
  upload({ share }) {
    element('upload').hidden = share === 1;
    element('upload').value = share;
  },
  registered({ digest, time }) {
    state.digest = digest;
    story.evaluation += ` and sent in ${milliseconds(time)}.`;
    tellSecret();
  },
  encrypted({ bytes, time, excerpt }) {
    show('fact-in', size(bytes));
    state.dissolving = showEncryption(excerpt, time);
  },
};

// A question.

/** Asks the server what was drawn, and shows every step. */
async function ask() {
  if (!state.opened || state.busy || sketch.empty) return;
  state.pixels = rasterise(sketch.strokes);
  setBusy(true);
  showNothing();
  let answer = null;
  await attempt(async () => (answer = await backend.call('classify', { pixels: state.pixels })));
  await state.dissolving;
  if (answer) showAnswer(answer);
  else showFailure();
  element('veil').hidden = true;
  setBusy(false);
}

function showNothing() {
  state.dissolving = null;
  showScores(labels());
  show('label', '\u2026');
  show('verdict', 'Not yet.');
  show('server-status', 'Waiting for ciphertexts.');
  for (const fact of FACTS) show(fact, '\u2013');
}

/** The drawing dissolves into the ciphertext's bytes, which then stand at the server. */
async function showEncryption(excerpt, time) {
  const veil = element('veil');
  veil.hidden = false;
  say(`Encrypted in ${milliseconds(time)}. The server is asked.`);
  await dissolve(veil, state.pixels, excerpt);
  paintNoise(element('noise'), excerpt);
  element('noise').ariaLabel = 'Grey noise: bytes of the ciphertexts, with nothing of the drawing in them';
  element('noise-hint').hidden = true;
  show('fact-digit', 'nothing');
  show('server-status', 'Computing on numbers it cannot read.');
  reveal('server-panel');
}

function showAnswer({ label, scores, warnings, times, bytes, encryption, roundTrip, decryption }) {
  const server = Object.values(times).reduce((sum, time) => sum + time, 0);
  const computing = times.compute ?? server;
  show('server-status', 'Done, without decrypting anything.');
  show('fact-answer', 'nothing');
  show('fact-out', size(bytes));
  show('fact-time', milliseconds(server));
  show('label', label);
  showScores(labels(), scores);
  const verdict = [judge(label, scores), ...warnings].join(' ');
  show('verdict', verdict);
  showTimes([
    ['spent-here', 'Encrypted here', encryption],
    ['spent-between', 'On the way, both ways', Math.max(0, roundTrip - server)],
    ['spent-unpacking', 'Server unpacks', server - computing],
    ['spent-there', 'Server runs the network', computing],
    ['spent-here', 'Decrypted here', decryption],
  ]);
  say(`The answer, decrypted in this page: ${verdict}`);
  showWeight();
}

function showFailure() {
  show('label', '?');
  show('verdict', 'No answer.');
  show('server-status', 'It gave no answer.');
}

function judge(label, scores) {
  const [best, second] = [...scores].sort((a, b) => b - a);
  const other = labels()[scores.indexOf(second)];
  if (best - second < CLOSE) return `Perhaps a ${label}, perhaps a ${other}.`;
  return `This is a ${label}. The next, ${other}, is ${(best - second).toFixed(1)} behind.`;
}

// The page itself.

function drawingChanged() {
  const { empty } = sketch;
  element('drawing-hint').hidden = !empty;
  for (const id of ['undo', 'clear']) element(id).disabled = empty || state.busy;
  element('ask').disabled = empty || state.busy || !state.opened;
  const preview = element('preview');
  preview.hidden = empty;
  if (!empty) paintDigit(preview, rasterise(sketch.strokes));
}

function setBusy(busy) {
  state.busy = busy;
  document.body.classList.toggle('busy', busy);
  show('ask', busy ? 'Asking\u2026' : 'Encrypt and ask');
  for (const id of ['remember', 'forget']) element(id).disabled = busy || !state.opened;
  drawingChanged();
}

/** Where panels are stacked, brings one into view. */
function reveal(id) {
  const stacked = element('server-panel').offsetLeft === element('draw-panel').offsetLeft;
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth';
  if (stacked) element(id).scrollIntoView({ behavior, block: 'start' });
}

/** Does something that may fail, and says so where it does; whether it did not. */
async function attempt(action) {
  element('notice').hidden = true;
  try {
    await action();
    return true;
  } catch (error) {
    element('notice').hidden = false;
    show('notice', error.message);
    if (error.code === 'unauthorized') refuseToken();
    return false;
  }
}

function refuseToken() {
  dropToken();
  Object.assign(state, { token: null, opened: null });
  element('token-form').hidden = false;
}

/** What was loaded to show this page. */
function showWeight() {
  const files = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  const page = files.filter(({ name }) => !name.includes('/v1/')).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  const { all, module } = state.opened.weight;
  show('weight', `This page weighs ${size(page + all)}, of which ${size(module)} are WebAssembly. It loads nothing from anywhere else.`);
}

start();
