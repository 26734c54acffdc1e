// The page: wires the drawing area, the package that is the client, and what is shown.

import { connect, indexedDbStore } from './client/index.js';
import { decoded } from './client/picture.js';
import { dissolve, excerptOf, paintNoise, paintPixels } from './noise.js';
import { SAMPLES, sample } from './samples.js';
import { Sketch } from './sketch.js';
import { Subject, readsDigits } from './subject.js';
import { dropToken, keepToken, takeToken } from './token.js';
import { element, milliseconds, say, show, showInvitation, showProblem, showScores, showTimes, size } from './view.js';

/** What is shown of a question, and where. */
const FACTS = ['fact-subject', 'fact-answer', 'fact-in', 'fact-out', 'fact-time'];
/** Evaluation keys of more bytes are made only once the visitor asks, who has seen then what they cost. */
const AHEAD = 64 << 20;
/** Best scores closer than this are a guess. */
const CLOSE = 2;
/** The visitor decides whether a key is kept, sees what keys cost before asking, and does not wait long for a server that is gone. */
const CLIENT = { keep: false, maxKeyBytes: Infinity, patience: 3, onProgress: (event) => heard[event.step]?.(event) };

const sketch = new Sketch(element('drawing'), say);
const subject = new Subject(sketch);
/**
 * The token; the client, and what the server serves; the networks that were opened, by name, each `{ id, network, plan, story }`; the one
 * that is in use and the one that was chosen last; whether a question is under way, and its picture's way to noise.
 */
const state = { token: takeToken(), client: null, models: [], networks: new Map(), opened: null, chosen: null, busy: false, dissolving: null };

function start() {
  showScores(labels());
  for (let digit = 0; digit < SAMPLES; digit++) element('samples').append(sampleButton(digit));
  subject.addEventListener('change', subjectChanged);
  sketch.addEventListener('begin', register);
  sketch.addEventListener('done', ask);
  const clicked = { undo: () => sketch.undo(), clear, ask, forget };
  for (const [id, listener] of Object.entries(clicked)) element(id).addEventListener('click', listener);
  element('model').addEventListener('change', ({ target }) => choose(target.value));
  element('file').addEventListener('change', takeFile);
  element('numbers').addEventListener('input', ({ target }) => writeNumbers(target.value));
  element('remember').addEventListener('change', remember);
  element('token-form').addEventListener('submit', submitToken);
  // A new address for the same page: with a new token.
  addEventListener('hashchange', () => location.hash.startsWith('#token=') && location.reload());
  addEventListener('pagehide', leave);
  begin();
}

function labels() {
  return state.opened?.plan.labels ?? Array.from({ length: SAMPLES }, (_, digit) => String(digit));
}

function sampleButton(digit) {
  const button = document.createElement('button');
  Object.assign(button, { type: 'button', textContent: digit, ariaLabel: `Take a drawn ${digit}` });
  button.addEventListener('click', () => {
    subject.draw(sample(digit));
    register();
    say(`A drawn ${digit} is in the drawing area`);
  });
  return button;
}

async function takeFile({ target }) {
  const [file] = target.files;
  if (!file) return;
  if (!(await attempt(async () => subject.show(await decoded(file))))) return void (target.value = '');
  register();
  say(`${file.name} is ready to be encrypted`);
}

function writeNumbers(text) {
  subject.write(text);
  if (subject.input) register();
}

function clear() {
  element('numbers').value = '';
  subject.clear();
}

// The server and its networks.

/** Connects to the server, and takes its first network: one with a kept key, or else one that reads digits. */
async function begin() {
  element('token-form').hidden = Boolean(state.token);
  if (!state.token) return show('key-status', 'No key yet: this page first needs an access token.');
  show('key-status', 'Starting\u2026');
  const connected = await attempt(async () => {
    state.networks.clear();
    state.client = await connect(new URL('.', location.href), { ...CLIENT, ...ownStore(), token: state.token });
    await state.client.prune().catch(() => {});
    const { models } = state.client;
    if (!models.length) throw new Error('This server has no network.');
    const digits = (model) => readsDigits(shapeOf(model.input), model.labels);
    state.models = models.sort((a, b) => b.kept - a.kept || digits(b) - digits(a));
  });
  if (!connected) return show('key-status', 'No key yet.');
  offerModels();
  await choose(state.models[0].id);
}

/** The visitor's own store in this browser, where there is one. */
const ownStore = () => (globalThis.indexedDB ? { store: indexedDbStore() } : {});

const shapeOf = ({ channels, height, width }) => [channels, height, width];

function offerModels() {
  const options = state.models.map(({ id, evaluationKeyBytes: keys }) =>
    Object.assign(document.createElement('option'), { value: id, textContent: `${id} (keys: ${size(keys)})` }),
  );
  element('model').replaceChildren(...options);
  element('chooser').hidden = options.length < 2;
}

/** Puts a network to use, with the key that it has in this page, or one of its own. */
async function choose(id) {
  Object.assign(state, { chosen: id, opened: null });
  show('key-status', 'Making a key\u2026');
  setBusy(false);
  const opened = await attempt(async () => state.networks.get(id) ?? (await open(id)));
  // The visitor may have chosen another one meanwhile.
  if (state.chosen !== id) return;
  if (!opened) return show('key-status', 'No key yet.');
  useNetwork(state.networks.get(id));
}

/** Opens a network, with the key that is kept for it or a new one. */
async function open(id) {
  const network = state.client.model(id);
  const { plan, milliseconds: time, kept, registered } = await network.open();
  const secret = kept ? 'Your kept secret key is in use.' : `A secret key was made in ${milliseconds(time)}.`;
  state.networks.set(id, { id, network, plan, story: { secret, evaluation: registered ? '' : costOfKeys(plan) } });
}

/** What the first question costs besides, before anything of it is made. */
function costOfKeys({ keys, keyBytes: bytes, keyMilliseconds: time }) {
  const ahead = aheadOfTime({ keyBytes: bytes }) ? 'When you draw' : 'When you ask';
  return `${ahead}, this page makes ${keys} evaluation keys for the server (${size(bytes)}, up to about ${milliseconds(time)}) and sends them, once.`;
}

/** Whether evaluation keys are few enough to be made before anybody asks. */
const aheadOfTime = ({ keyBytes: bytes }) => bytes <= AHEAD;

function useNetwork(opened) {
  state.opened = opened;
  element('model').value = opened.id;
  element('remember').checked = opened.network.kept;
  element('upload').hidden = true;
  subject.suit(opened.plan.shape, opened.plan.labels);
  showInvitation(subject);
  showNothing();
  show('label', '?');
  show('verdict', 'No answer yet.');
  show('server-status', subject.kind === 'numbers' ? 'Waiting for numbers.' : 'Waiting for a picture.');
  tellKeys();
  showWeight();
  setBusy(false);
  if (state.models.length > 1) say(`${opened.id} is ready`);
  if (subject.input) register();
}

function submitToken(event) {
  event.preventDefault();
  // The whole address will do, too.
  state.token = element('token').value.trim().replace(/^.*#token=/, '');
  keepToken(state.token);
  element('token').value = '';
  begin();
}

// The key.

/** Has evaluation keys made and sent ahead of the first question, while the visitor draws. */
function register() {
  // The question itself will meet the same failure, and tell.
  if (state.opened && aheadOfTime(state.opened.plan)) state.opened.network.ready().catch(() => {});
}

async function remember() {
  const [box, opened] = [element('remember'), state.opened];
  const wanted = box.checked;
  await attempt(() => opened.network.keep(wanted));
  if (opened !== state.opened) return;
  box.checked = opened.network.kept;
  tellKeys();
}

async function forget() {
  const { id, network } = state.opened;
  setBusy(true);
  const forgotten = await attempt(() => network.forget());
  if (await attempt(() => open(id), forgotten)) state.opened = state.networks.get(id);
  element('remember').checked = network.kept;
  tellKeys();
  if (forgotten) say('Your key is deleted, here and at the server. There is a new secret key.');
  setBusy(false);
}

/** A closed page's secret keys are gone, so their evaluation keys are of no use to anybody. */
function leave() {
  state.client?.release();
}

/** Says how things stand with the keys of the network in use. */
function tellKeys() {
  if (!state.opened) return;
  const { network, story } = state.opened;
  const where = network.kept ? 'is kept in this browser, and' : 'lives in this page\u2019s memory alone, and';
  show('key-status', `${story.secret} It ${where} is never sent. ${story.evaluation}`);
}

/** What the client tells while it works, of the network that it works for. */
const heard = {
  keys({ model, bytes, milliseconds: time }) {
    const { story } = state.networks.get(model) ?? { story: {} };
    story.evaluation = `Evaluation keys for the server (${size(bytes)}) were made in ${milliseconds(time)}`;
    tellKeys();
  },
  upload({ model, share }) {
    if (model !== state.opened?.id) return;
    element('upload').hidden = share === 1;
    element('upload').value = share;
  },
  registered({ model, milliseconds: time }) {
    const { story } = state.networks.get(model) ?? { story: {} };
    story.evaluation += ` and sent in ${milliseconds(time)}.`;
    tellKeys();
  },
  encrypted({ bytes, milliseconds: time, request }) {
    show('fact-in', size(bytes));
    state.dissolving = showEncryption(excerptOf(request), time);
  },
};

// A question.

/** Asks the server what is drawn or shown, and shows every step. */
async function ask() {
  const { input, kind } = subject;
  if (!state.opened || state.busy || !input) return;
  setBusy(true);
  showNothing();
  let answer = null;
  await attempt(async () => (answer = await state.opened.network.classify(kind === 'numbers' ? input : { pixels: input })));
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

/** The picture dissolves into the ciphertext's bytes, which then stand at the server. */
async function showEncryption(excerpt, time) {
  const veil = element('veil');
  veil.hidden = false;
  say(`Encrypted in ${milliseconds(time)}. The server is asked.`);
  await dissolve(veil, ...subject.picture, excerpt);
  paintNoise(element('noise'), excerpt);
  element('noise').ariaLabel = 'Grey noise: bytes of the ciphertexts, with nothing of the input in them';
  element('noise-hint').hidden = true;
  show('fact-subject', 'nothing');
  show('server-status', 'Computing on numbers it cannot read.');
  reveal('server-panel');
}

function showAnswer({ label, scores, warnings, timing, bytes }) {
  const { encryption, roundTrip, decryption, server: times } = timing;
  const server = Object.values(times).reduce((sum, time) => sum + time, 0);
  const computing = times.compute ?? server;
  show('server-status', 'Done, without decrypting anything.');
  show('fact-answer', 'nothing');
  show('fact-out', size(bytes.reply));
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
  say(`Decrypted in this page: ${verdict}`);
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
  if (best - second < CLOSE) return `Perhaps ${label}, perhaps ${other}.`;
  return `The answer is ${label}. The next, ${other}, is ${(best - second).toFixed(1)} behind.`;
}

// The page itself.

function subjectChanged() {
  const { input, drawn, kind, problem } = subject;
  if (drawn) element('file').value = '';
  element('subject-hint').hidden = Boolean(input);
  if (kind === 'numbers') showProblem(element('numbers').value && problem);
  const preview = element('preview');
  preview.hidden = !input;
  preview.classList.toggle('whole', !drawn);
  if (input) paintPixels(preview, ...subject.picture);
  enableControls();
}

function setBusy(busy) {
  state.busy = busy;
  document.body.classList.toggle('busy', busy);
  show('ask', busy ? 'Asking\u2026' : 'Encrypt and ask');
  enableControls();
}

function enableControls() {
  const { busy, opened } = state;
  const [nothing, nobody] = [!subject.input, busy || !opened];
  const disabled = { undo: sketch.empty || busy, clear: (nothing && !subject.problem) || busy, ask: nothing || nobody, remember: nobody, forget: nobody };
  for (const [id, off] of Object.entries({ ...disabled, model: busy, file: busy, numbers: busy })) element(id).disabled = off;
}

/** Where panels are stacked, brings one into view. */
function reveal(id) {
  const stacked = element('server-panel').offsetLeft === element('draw-panel').offsetLeft;
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth';
  if (stacked) element(id).scrollIntoView({ behavior, block: 'start' });
}

/** Does something that may fail, and says so where it does; whether it did not. Takes back what was said before, unless told not to. */
async function attempt(action, anew = true) {
  if (anew) element('notice').hidden = true;
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
  state.client?.close();
  Object.assign(state, { token: null, client: null, opened: null });
  state.networks.clear();
  element('token-form').hidden = false;
}

/** What was loaded to show this page. */
function showWeight() {
  const loaded = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  const files = loaded.filter(({ name }) => !name.includes('/v1/'));
  const sum = (some) => some.reduce((total, { encodedBodySize }) => total + encodedBodySize, 0);
  const module = sum(files.filter(({ name }) => name.endsWith('.wasm')));
  show('weight', `This page weighs ${size(sum(files))}, of which ${size(module)} are WebAssembly. It loads nothing from anywhere else.`);
}

start();
