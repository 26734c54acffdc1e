// The package blindsight-client in Node, against `blindsight serve`: keys, stores, answers, and everything that can go wrong.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import * as client from '../../npm/src/node/index.js';
import { load } from '../../npm/src/engine.js';
import { fitted } from '../../npm/src/fit.js';
import { hasVectors } from '../../npm/src/simd.js';
import { decode } from './support/png.js';
import { Recorder } from './support/recorder.js';
import { serve } from './support/server.js';
import { NAME as SUM, sums } from './support/sums.js';
import { trapping } from './support/trap.js';

const { connect, fileStore, memoryStore, openPlan } = client;
// One whose plan has evaluation keys.
const DIGITS = 'cryptonets-mnist';
const SIX = new URL('../../samples/digit-6.png', import.meta.url);

let folder, server, recorder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'blindsight-client-'));
  writeFileSync(join(folder, `${SUM}.onnx`), sums());
  server = await serve([DIGITS, join(folder, `${SUM}.onnx`)], '--plain-http');
});
after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  recorder = await Recorder.before(server.port);
});
afterEach(() => recorder.close());

const begin = (options) => connect(recorder.origin, { token: server.token, store: memoryStore(), patience: 1, ...options });
const six = () => ({ data: decode(readFileSync(SIX)), width: 28, height: 28, channels: 1 });
const puts = () => recorder.sent('PUT', /keys/).length;

/** What the command line says of a digit or of numbers. */
function commandLine(model, input) {
  return JSON.parse(execFileSync(process.env.BLINDSIGHT, ['classify', model, input, '--json']));
}

function assertNear(answer, scores) {
  const most = 6 * answer.predictedError;
  answer.scores.forEach((score, i) => assert.ok(Math.abs(score - scores[i]) <= most, `${score}, ${scores[i]} plain, ${most} allowed`));
}

/** That a promise is refused with an error of a class and code, whose message has the words. */
async function assertRefused(promise, type, code, words) {
  const error = await promise.then(() => assert.fail('it was not refused'), (error) => error);
  assert.ok(error instanceof type && error instanceof client.BlindsightError, `${error.stack}`);
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return error;
}

for (const worker of [true, false]) {
  test(`a digit has the command line\u2019s scores, ${worker ? 'in a worker' : 'inline'}`, async () => {
    const steps = [];
    const one = await begin({ worker, model: DIGITS, onProgress: ({ step }) => steps.push(step) });
    assert.deepEqual(one.models.map(({ id }) => id).sort(), [DIGITS, SUM].sort());
    await one.ready();
    const answer = await one.classify(six());
    const report = commandLine(DIGITS, SIX.pathname);
    assert.equal(answer.label, report.label);
    assert.equal(answer.name, '6');
    assert.equal(answer.class, 6);
    assertNear(answer, report.plain_scores);
    assert.equal(answer.top(3).length, 3);
    assert.equal(answer.top()[0].label, '6');
    assert.equal(answer.tooClose, report.too_close);
    assert.ok(answer.timing.encryption > 0 && answer.timing.roundTrip > 0 && answer.timing.server.compute > 0);
    assert.deepEqual([...new Set(steps)], ['key', 'keys', 'upload', 'registered', 'encrypted']);
    await one.close();
    await assertRefused(one.classify(six()), client.UsageError, 'closed', /Connect anew/);
  });
}

test('what a model says of itself, and what lies in the slots of a request', async () => {
  const one = await begin({});
  const { about } = one.model(DIGITS).info;
  assert.deepEqual([about.dataset, about.accuracy, about.samples], ['mnist', 0.9932, []]);
  assert.deepEqual(one.model(SUM).info.about, { samples: [] });
  const { plan } = await one.model(SUM).open();
  assert.deepEqual([plan.range, plan.mean.length], [[-3, 3], 5]);
  const places = await one.model(SUM).layout();
  assert.equal(places.length, plan.ciphertexts * plan.slots);
  for (let number = 0; number < 5; number++) assert.ok(places.includes(number + 2), `number ${number} lies somewhere`);
  assert.ok(places.every((place) => place < 7));
  await one.close();
});

test('numbers have the right scores, and what is out of range is clamped and said', async () => {
  const one = await begin({ model: SUM });
  const input = [1.5, -0.25, 0, 0, 2];
  writeFileSync(join(folder, 'x.json'), JSON.stringify(input));
  const report = commandLine(join(folder, `${SUM}.onnx`), join(folder, 'x.json'));
  const [answer, same, beyond] = [await one.classify(input), await one.classify(Float64Array.from(input)), await one.classify([9, 0, 0, 0, 0])];
  assert.equal(answer.label, 'positive');
  assertNear(answer, report.plain_scores);
  assertNear(same, report.plain_scores);
  assertNear(beyond, [3, -3]);
  assert.deepEqual(answer.warnings, []);
  assert.match(beyond.warnings.join(), /1 values of the input were outside/);
  const [plain, clamped] = recorder.sent('POST', /infer/).slice(1);
  assert.equal(plain.body.length, clamped.body.length, 'nobody else sees it');
  await one.close();
});

test('a second connection uses the kept key and sends no evaluation keys again', async () => {
  const keys = join(folder, 'keys');
  for (const store of [fileStore(keys), memoryStore()]) {
    const first = await begin({ store, model: DIGITS });
    const digest = await first.ready();
    await first.close();
    const sent = puts();
    const second = await begin({ store, model: DIGITS });
    assert.ok(second.models.find(({ id }) => id === DIGITS).kept);
    assert.equal(await second.ready(), digest);
    assert.equal((await second.classify(six())).label, '6');
    assert.equal(puts(), sent, 'no keys were sent again');
    assert.equal(recorder.sent('DELETE', /keys/).length, 0);
    if (store.lasting) {
      const files = readdirSync(keys);
      assert.equal(files.length, 1);
      assert.equal(statSync(join(keys, files[0])).mode & 0o777, 0o600);
    }
    await second.model().forget();
    assert.equal(recorder.sent('DELETE', /keys/).at(-1).status, 204);
    assert.deepEqual(await store.list(), []);
    recorder.log.length = 0;
    assert.notEqual(await second.ready(), digest, 'there is a new key');
    await second.model().forget();
    recorder.log.length = 0;
    await second.close();
  }
});

test('a key in no store goes with the client', async () => {
  const store = memoryStore();
  const one = await begin({ store, keep: false, model: DIGITS });
  await one.ready();
  assert.match(recorder.sent('PUT', /keys/)[0].url, /\?expires_in=\d+$/);
  await one.close();
  assert.equal(recorder.sent('DELETE', /keys/)[0].status, 204);
  assert.deepEqual(await store.list(), []);
});

test('no secret leaves', async () => {
  const store = memoryStore();
  const one = await begin({ store, model: DIGITS });
  await one.classify(six());
  const [name] = await store.list();
  const secret = Buffer.from((await store.get(name)).secret);
  const sent = Buffer.concat(recorder.log.map(({ url, headers, body }) => Buffer.concat([Buffer.from(url + headers), body])));
  assert.ok(sent.length > 3e6);
  for (let at = 68; at + 16 <= secret.length - 32; at += 4) assert.equal(sent.indexOf(secret.subarray(at, at + 16)), -1);
  await one.close();
});

test('an upload that broke off goes on where it stopped', async () => {
  let broken = 0;
  recorder.intervene = async ({ method }, pass) => {
    if (method !== 'PUT' || ++broken !== 3) return null;
    await pass();
    throw new Error('the answer to a part is lost');
  };
  const one = await begin({ model: DIGITS, patience: 10 });
  await one.ready();
  const offsets = recorder.sent('PUT', /keys/).map(({ headers }) => Number(/upload-offset\n(\d+)/i.exec(headers)[1]));
  assert.ok(recorder.sent('HEAD', /keys/).length > 0, 'it is asked how far the upload came');
  assert.deepEqual(offsets, [...new Set(offsets)].sort((a, b) => a - b), 'no part is sent twice');
  assert.equal((await one.classify(six())).label, '6');
  await one.close();
});

test('the lower level needs no server', async () => {
  const answers = await connect(recorder.origin, { token: server.token, store: memoryStore() });
  const { plan } = answers.models.find(({ id }) => id === SUM);
  const headers = { Authorization: `Bearer ${server.token}` };
  const ask = (path, options) => fetch(`${recorder.origin}/v1/${path}`, { ...options, headers: { ...headers, ...options?.headers } });
  const frame = await (await ask(`models/${SUM}`)).arrayBuffer();
  const holder = await openPlan(frame);
  assert.equal(holder.plan.digest, plan);
  const { keys, digest } = await holder.evaluationKeys();
  assert.equal((await ask(`keys/${digest}`, { method: 'PUT', body: keys })).status, 201);
  const { request } = await holder.encrypt([1, 1, 1, 0, 0]);
  const reply = await ask(`models/${SUM}/infer`, { method: 'POST', body: request, headers: { 'Blindsight-Keys': digest } });
  const bytes = await reply.arrayBuffer();
  assertNear(await holder.decrypt(bytes), [3, -3]);
  const again = await openPlan(frame, { secret: await holder.secretKey(), worker: false });
  assertNear(await again.decrypt(bytes), [3, -3]);
  const other = await openPlan(frame, { worker: false });
  await assertRefused(other.decrypt(bytes), client.ReplyError, 'reply_for_another_key', /Expected: a reply under this key/);
  await assertRefused(holder.decrypt(bytes.slice(0, 900)), client.ReplyError, 'damaged_reply', /cut off/);
  await Promise.all([holder, again, other, answers].map((one) => one.close()));
});

test('an input that is not taken is refused here, in words, and nothing is sent', async () => {
  const one = await begin({ model: SUM });
  await one.ready();
  const sent = recorder.log.length;
  const { InputError } = client;
  await assertRefused(one.classify([1, NaN, 0, 0, 0]), InputError, 'not_a_number', /finite numbers.*index 1/);
  await assertRefused(one.classify([1, '2', 0, 0, 0]), InputError, 'not_a_number', /index 1/);
  await assertRefused(one.classify([1, 2]), InputError, 'wrong_shape', /Expected: 5 numbers\. Found: 2\./);
  await assertRefused(one.classify(six()), InputError, 'wrong_shape', /takes numbers, not images/);
  await assertRefused(one.classify(Uint8Array.of(1, 2, 3, 4, 5)), InputError, 'wrong_type', /Float64Array\.from/);
  await assertRefused(one.classify('six'), InputError, 'wrong_type', /Found: string/);
  await assertRefused(one.model(DIGITS).encrypt({ pixels: new Uint8Array(5) }), InputError, 'wrong_shape', /784 pixels/);
  await assertRefused(one.model(DIGITS).encrypt({ ...six(), width: 27 }), InputError, 'wrong_shape', /channels/);
  assert.equal(recorder.log.slice(sent).filter(({ method }) => method !== 'GET').length, 0);
  await one.close();
});

test('a wrong token, model or address is refused, and told what to do', async () => {
  const error = await assertRefused(begin({ token: 'wrong' }), client.ServerError, 'unauthorized', /token create/);
  assert.equal(error.status, 401);
  await assertRefused(begin({ token: undefined }), client.ServerError, 'unauthorized', /token/);
  await assertRefused(begin({ token: 'a\nb' }), client.UsageError, 'bad_token', /characters/);
  await assertRefused(begin({ model: 'none' }), client.UsageError, 'unknown_model', new RegExp(DIGITS));
  await assertRefused(connect('http://example.org/#token=x'), client.UsageError, 'insecure_address', /https/);
  await assertRefused(connect('nowhere'), client.UsageError, 'bad_address', /HOST:PORT/);
  const several = await begin();
  await assertRefused(several.ready(), client.UsageError, 'choose_model', /Name one/);
  await several.close();
  const dear = await begin({ model: DIGITS, maxKeyBytes: 1000 });
  await assertRefused(dear.ready(), client.UsageError, 'declined', /at most 1000 bytes/);
  await dear.close();
  recorder.intervene = () => ({ status: 403, headers: {}, body: '' });
  await assertRefused(begin(), client.ServerError, 'http_403', /token/);
});

test('a damaged plan is refused before a key is made', async () => {
  recorder.intervene = async ({ url }, pass) => {
    const answer = await pass();
    if (url.endsWith(DIGITS)) answer.body[answer.body.length >> 1] ^= 1;
    return answer;
  };
  const store = memoryStore();
  const one = await begin({ store, model: DIGITS });
  await assertRefused(one.ready(), client.PlanError, 'damaged_plan', /checksum.*128 bits/);
  assert.deepEqual(await store.list(), []);
  await one.close();
});

test('a kept key of another plan, or a damaged one, is refused, and forgetting it helps', async () => {
  const store = memoryStore();
  const one = await begin({ store, model: DIGITS });
  await Promise.all([one.ready(), one.model(SUM).ready()]);
  await one.close();
  const names = await store.list();
  const [digits, other] = one.models.map(({ plan }) => names.find((name) => name.endsWith(plan)));
  const record = await store.get(other);
  await store.set(digits, record);
  const two = await begin({ store, model: one.models[0].id });
  await assertRefused(two.ready(), client.KeyError, 'key_of_another_plan', /Forget this key/);
  await store.set(digits, { ...record, secret: record.secret.subarray(0, 50) });
  await assertRefused(two.ready(), client.KeyError, 'damaged_key', /cut off/);
  await two.model().forget();
  await two.ready();
  await two.close();
});

test('a server that goes away is said to be gone, also in the middle of an upload', async () => {
  const one = await begin({ model: DIGITS });
  await one.ready();
  recorder.intervene = () => {
    throw new Error('gone');
  };
  await assertRefused(one.classify(six()), client.ServerError, 'unreachable', /does not answer\. Is it running/);
  recorder.intervene = () => null;
  assert.equal((await one.classify(six())).label, '6', 'and can come back');
  await one.close();

  const own = await serve([join(folder, `${SUM}.onnx`)], '--plain-http');
  const before = await Recorder.before(own.port);
  const two = await connect(`${before.origin}/#token=${own.token}`, { store: memoryStore(), patience: 1 });
  await two.model().open();
  before.intervene = async ({ method }) => void (method === 'PUT' && (await own.stop()));
  await assertRefused(two.ready(), client.ServerError, 'unreachable', /does not answer/);
  before.close();
  await two.close();
});

test('keys that the server has lost are made and sent anew', async () => {
  const one = await begin({ model: DIGITS });
  const digest = await one.ready();
  const headers = { Authorization: `Bearer ${server.token}` };
  assert.equal((await fetch(`${recorder.origin}/v1/keys/${digest}`, { method: 'DELETE', headers })).status, 204);
  assert.equal((await one.classify(six())).label, '6');
  assert.notEqual(await one.ready(), digest);
  await one.close();
});

test('a trap is an error, and the instance is thrown away', async () => {
  const engine = await load(trapping('open_plan'));
  const first = await Promise.resolve().then(() => engine.openPlan(new Uint8Array(8))).catch((error) => error);
  assert.ok(first instanceof client.EngineError && first.code === 'engine_failed', `${first}`);
  assert.match(first.cause, /unreachable/);
  assert.throws(() => engine.generateKey(), { code: 'engine_failed' }, 'it is not used again');
});

test('engines without vectors have a file of their own, which answers alike', async () => {
  assert.ok(hasVectors());
  const frame = Buffer.from(await (await fetch(`${recorder.origin}/v1/models/${SUM}`, { headers: { Authorization: `Bearer ${server.token}` } })).arrayBuffer());
  const [scalar, vectors] = await Promise.all(['-scalar', ''].map((kind) => load(readFileSync(new URL(`../../npm/src/blindsight${kind}.wasm`, import.meta.url)))));
  assert.deepEqual(scalar.openPlan(frame), { ...vectors.openPlan(frame), key_milliseconds: scalar.openPlan(frame).key_milliseconds });
  scalar.generateKey();
  vectors.restoreKey(scalar.secretKey());
  assert.equal(scalar.encrypt(Float64Array.of(1, 2, 3, 0, 0)).length, vectors.encrypt(Float64Array.of(1, 2, 3, 0, 0)).length);
  assert.equal(scalar.evaluationKeys().length, vectors.evaluationKeys().length);
});

test('images of other sizes and colours are brought to the model\u2019s', () => {
  const grey = (width, height, at) => ({ data: Uint8Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width))), width, height, channels: 1 });
  assert.deepEqual(fitted(grey(4, 2, (x) => 10 * x), [1, 2, 2]), Uint8Array.of(10, 20, 10, 20), 'the middle');
  assert.deepEqual(fitted(grey(4, 4, (x, y) => 8 * x + y), [1, 2, 2]), Uint8Array.of(5, 21, 7, 23), 'means');
  assert.deepEqual(fitted(grey(1, 1, () => 7), [3, 2, 2]), new Uint8Array(12).fill(7));
  const red = { data: Uint8Array.of(200, 0, 0, 255, 200, 100, 50, 0), width: 2, height: 1, channels: 4 };
  assert.deepEqual(fitted(red, [3, 1, 2]), Uint8Array.of(200, 0, 0, 0, 0, 0));
  assert.deepEqual(fitted(red, [1, 1, 2]), Uint8Array.of(60, 0));
});
