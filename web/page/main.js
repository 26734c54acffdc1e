// The page: wires the input, the package that is the client, and what is shown.

import { closeCamera, openCamera, takePicture } from './camera.js';
import { connect, indexedDbStore } from './client/index.js';
import { decoded } from './client/picture.js';
import { Entry } from './entry.js';
import { offerExamples } from './examples.js';
import { kindOf, showInvitation } from './invitation.js';
import { dissolve, excerptOf, paintNoise, paintPixels } from './noise.js';
import { showScores, verdict } from './scores.js';
import { Sketch } from './sketch.js';
import { SlotsView } from './slots.js';
import { Subject } from './subject.js';
import { readTable } from './table.js';
import { showTimes } from './times.js';
import { dropToken, keepToken, takeToken } from './token.js';
import { element, milliseconds, plain, say, show, size } from './view.js';

/** What is shown of a question, and where. */
const FACTS = ['fact-subject', 'fact-answer', 'fact-in', 'fact-out', 'fact-time'];
/** Evaluation keys of more bytes are made only once the visitor asks, who has seen then what they cost. */
const AHEAD = 64 << 20;
/** The visitor decides whether a key is kept, sees what keys cost before asking, and does not wait long for a server that is gone. */
const CLIENT = { keep: false, maxKeyBytes: Infinity, patience: 3, onProgress: (event) => heard[event.step]?.(event) };

const sketch = new Sketch(element('drawing'), say);
const entry = new Entry();
const subject = new Subject(sketch, entry);
const slots = new SlotsView(subject);
/**
 * The token; the client, and what the server serves; the networks that were opened, by name, each `{ id, network, plan, about, story }`;
 * the one that is in use and the one that was chosen last; whether a question is under way, its picture, and that one's way to noise.
 */
const state = { token: takeToken(), client: null, models: [], networks: new Map(), opened: null, chosen: null, busy: false, picture: null, dissolving: null };

function start() {
  subject.addEventListener('change', subjectChanged);
  entry.addEventListener('change', ({ detail }) => tellMissing(detail));
  entry.addEventListener('row', () => attempt(() => entry.chooseRow()));
  for (const source of [sketch, entry]) source.addEventListener('begin', register);
  for (const source of [sketch, entry]) source.addEventListener('done', ask);
  const camera = { 'camera-on': () => attempt(openCamera), 'camera-off': closeCamera, shoot };
  const clicked = { undo: () => sketch.undo(), clear: () => subject.clear(), ask, forget, ...camera };
  for (const [id, listener] of Object.entries(clicked)) element(id).addEventListener('click', listener);
  element('model').addEventListener('change', ({ target }) => choose(target.value));
  element('file').addEventListener('change', ({ target }) => target.files.length && takeFile(target.files[0]));
  element('remember').addEventListener('change', remember);
  element('token-form').addEventListener('submit', submitToken);
  // A file that is dropped beside the panel must not be opened in the page's place.
  for (const event of ['dragover', 'drop']) addEventListener(event, (dropped) => dropped.preventDefault());
  element('input-panel').addEventListener('drop', ({ dataTransfer: { files } }) => files.length && takeFile(files[0]));
  // A new address for the same page: with a new token.
  addEventListener('hashchange', () => location.hash.startsWith('#token=') && location.reload());
  addEventListener('pagehide', leave);
  begin();
}

const labels = () => state.opened?.plan.labels ?? [];

// What is to be classified.

/** Takes an image file, or a file of numbers. */
async function takeFile(file) {
  if (!state.opened || state.busy) return;
  const read = async () => (subject.isNumbers ? entry.read(await readTable(file, entry.names)) : subject.show(await decoded(file)));
  if (await attempt(read)) taken(file.name);
  else element('file').value = '';
}

/** Takes what the camera sees. */
async function shoot() {
  if (await attempt(async () => subject.show(await takePicture()))) taken('The picture');
  element('ask').focus();
}

function taken(name) {
  register();
  say(`${plain(name)} is ready to be encrypted`);
}

/** Says how many numbers are still missing, once some are there. */
function tellMissing({ missing, begun }) {
  const some = missing === 1 ? 'One number is missing.' : `${missing} numbers are missing.`;
  show('subject-note', begun && missing > 0 ? some : '');
}

function subjectChanged() {
  const { input, drawn } = subject;
  if (drawn) element('file').value = '';
  element('subject-hint').hidden = Boolean(input);
  const preview = element('preview');
  preview.hidden = !input;
  preview.classList.toggle('whole', !drawn);
  if (input) paintPixels(preview, ...subject.picture);
  slots.draw();
  enableControls();
}

// The server and its networks.

/** Connects to the server, and takes its first network: one with a kept key, or else the first in the server's list. */
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
    const drawn = (model) => kindOf({ shape: shapeOf(model.input), labels: model.labels }, model.about) === 'digits';
    state.models = [...models].sort((a, b) => b.kept - a.kept || drawn(b) - drawn(a));
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
  closeCamera();
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
  const { about } = network.info;
  state.networks.set(id, { id, network, plan, about, story: { secret, evaluation: '', cost: registered ? '' : costOfKeys(plan) } });
}

/** What the first question costs besides, before anything of it is made. */
function costOfKeys({ keys, keyBytes: bytes, keyMilliseconds: time }) {
  const when = aheadOfTime({ keyBytes: bytes }) ? 'input' : 'question';
  return `Sent once, with the first ${when}: ${keys} evaluation keys (${size(bytes)}), made in about ${milliseconds(time)}.`;
}

/** Whether evaluation keys are few enough to be made before anybody asks. */
const aheadOfTime = ({ keyBytes: bytes }) => bytes <= AHEAD;

function useNetwork(opened) {
  state.opened = opened;
  const { id, network, plan, about } = opened;
  const kind = kindOf(plan, about);
  element('model').value = id;
  element('remember').checked = network.kept;
  element('upload').hidden = true;
  element('file').value = '';
  document.body.classList.toggle('numbers', kind === 'numbers');
  showInvitation(kind, opened);
  subject.suit(kind, plan, about);
  offerExamples(subject, about, taken);
  slots.suit({ network, plan, names: entry.names });
  showNothing();
  show('label', '?');
  show('verdict', 'No answer yet.');
  show('server-status', 'Waiting for a question.');
  element('time').hidden = true;
  tellKeys();
  showWeight();
  setBusy(false);
  if (state.models.length > 1) say(`${plain(id)} is ready`);
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
  show('cost', story.cost);
}

/** What the client tells while it works, of the network that it works for. */
const heard = {
  keys({ model, bytes, milliseconds: time }) {
    const { story } = state.networks.get(model) ?? { story: {} };
    // The server has forgotten those that it had.
    if (state.busy && !story.cost) say('The server no longer has your evaluation keys: new ones are made and sent.');
    Object.assign(story, { evaluation: `Evaluation keys for the server (${size(bytes)}) were made in ${milliseconds(time)}`, cost: '' });
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

/** Asks the server about the input, and shows every step. */
async function ask() {
  const { input, isNumbers } = subject;
  if (!state.opened || state.busy || !input) return;
  state.picture = subject.picture;
  setBusy(true);
  showNothing();
  let answer = null;
  await attempt(async () => (answer = await state.opened.network.classify(isNumbers ? input : { pixels: input })));
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
  await dissolve(veil, ...state.picture, excerpt);
  paintNoise(element('noise'), excerpt);
  element('noise').ariaLabel = 'Grey noise: bytes of the ciphertexts, with nothing of the input in them';
  element('noise-hint').hidden = true;
  show('fact-subject', 'nothing');
  show('server-status', 'Computing on numbers it cannot read.');
}

function showAnswer(answer) {
  const { encryption, roundTrip, decryption, server: times } = answer.timing;
  const server = Object.values(times).reduce((sum, time) => sum + time, 0);
  const computing = times.compute ?? server;
  show('server-status', 'Done, without decrypting anything.');
  show('fact-answer', 'nothing');
  show('fact-out', size(answer.bytes.reply));
  show('fact-time', milliseconds(server));
  show('label', answer.tooClose ? `${answer.name}?` : answer.name);
  showScores(labels(), answer);
  show('verdict', verdict(answer));
  showTimes([
    ['spent-here', 'Encrypted here', encryption],
    ['spent-between', 'On the way, both ways', Math.max(0, roundTrip - server)],
    ['spent-unpacking', 'Server unpacks', server - computing],
    ['spent-there', 'Server runs the network', computing],
    ['spent-here', 'Decrypted here', decryption],
  ]);
  say(`Decrypted in this page: ${verdict(answer)}`);
  showWeight();
  reveal('answer-panel');
}

function showFailure() {
  show('label', '?');
  show('verdict', 'No answer.');
  show('server-status', 'It gave no answer.');
  element('time').hidden = true;
}

// The page itself.

function setBusy(busy) {
  state.busy = busy;
  document.body.classList.toggle('busy', busy);
  show('ask', busy ? 'Asking\u2026' : 'Encrypt and ask');
  enableControls();
}

function enableControls() {
  const { busy, opened } = state;
  const nobody = busy || !opened;
  const disabled = { undo: sketch.empty || busy, clear: busy, model: busy, ask: !subject.input || !opened };
  for (const id of ['remember', 'forget', 'file', 'camera-on', 'row']) disabled[id] = nobody;
  for (const [id, off] of Object.entries(disabled)) element(id).disabled = off;
  // A button that is disabled loses the keyboard's focus.
  element('ask').ariaDisabled = String(busy);
}

/** Brings a panel into view where it is out of it. */
function reveal(id) {
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth';
  element(id).scrollIntoView({ behavior, block: 'nearest' });
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
    reveal('notice');
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
