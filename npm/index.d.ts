// What blindsight-client offers; README.md shows how to use it.

/** A type of the platform, where the compiler knows it. */
type Of<Name extends string> = typeof globalThis extends { [Key in Name]: { prototype: infer Type } } ? Type : never;

/** Connects to a server: `https://HOST:PORT/`, or the page's address with `#token=TOKEN` at its end. */
export function connect(address: string | Of<'URL'>, options?: ConnectOptions): Promise<Client>;

export interface ConnectOptions {
  /** The access token, unless the address has it. */
  token?: string;
  /** Where secret keys are kept: by default `fileStore()` in Node, `indexedDbStore()` in browsers. */
  store?: Store;
  /** The model that `client.ready` and `client.classify` mean, where the server serves several. */
  model?: string;
  /** In place of the platform's `fetch`: for certificates, proxies, tests. */
  fetch?: typeof globalThis extends { fetch: infer Fetch } ? Fetch : never;
  /** Whether keys are made, and inputs encrypted, in a worker, so that nothing blocks; by default they are. */
  worker?: boolean;
  /** Whether a new secret key is put into the store; by default it is. A kept one is used in any case. */
  keep?: boolean;
  /** The most bytes of evaluation keys to make for a model; by default 2 ** 30. */
  maxKeyBytes?: number;
  /** For how many seconds a server that does not answer is asked again; by default 20. */
  patience?: number;
  /** Told of every step, of every model. */
  onProgress?: (event: Progress) => void;
}

/** A client of one server. */
export interface Client {
  /** What the server serves to this token. */
  readonly models: readonly ModelInfo[];
  /** A model's network: that of the name, or the one given to `connect`, or the only one. The same object each time. */
  model(name?: string): Network;
  /** As `model().ready`. */
  ready(options?: Listening): Promise<string>;
  /** As `model().classify`. */
  classify(input: Input, options?: Listening): Promise<Answer>;
  /** Deletes kept keys of this server whose plans this token is not served any more, here and there. */
  prune(): Promise<void>;
  /** Deletes, at the server, evaluation keys whose secret keys are in no store. May be called while a page is being left. */
  release(): Promise<void>;
  /** Releases, and ends the worker. */
  close(): Promise<void>;
}

export interface ModelInfo {
  readonly id: string;
  /** The plan's digest. */
  readonly plan: string;
  readonly labels: readonly string[];
  readonly input: { readonly channels: number; readonly height: number; readonly width: number };
  readonly about: About;
  readonly securityBits: number;
  readonly evaluationKeyBytes: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  /** Whether a key was kept for it when the client connected. */
  readonly kept: boolean;
}

/** What a model's file says of it for people; no result follows from it. */
export interface About {
  readonly dataset?: string;
  readonly description?: string;
  /** The share of test images that are classified rightly. */
  readonly accuracy?: number;
  /** What each number of an input is called. */
  readonly features?: readonly string[];
  /** Inputs to try it with: pixels from 0 to 255, or numbers before the mean is subtracted, in the order channel, row, column. */
  readonly samples: readonly { readonly name: string; readonly values: readonly number[] }[];
}

/** One model, with a key of its own. */
export interface Network {
  readonly info: ModelInfo;
  /** Whether the secret key is in the store. */
  readonly kept: boolean;
  /** Gets the kept key, or makes one. Nothing of it is sent. */
  open(options?: Listening): Promise<Opened>;
  /** Gets a key and registers its evaluation keys, once; their digest. An upload that broke off goes on where it stopped. */
  ready(options?: Listening): Promise<string>;
  /** Encrypts, asks, decrypts; does what `ready` does, where that was not done. */
  classify(input: Input, options?: Listening): Promise<Answer>;
  /** As `Keyholder.layout`. */
  layout(): Promise<Uint32Array>;
  /** For a transport of one's own. */
  encrypt(input: Input): Promise<Encrypted>;
  decrypt(reply: Uint8Array | ArrayBuffer): Promise<Decrypted>;
  evaluationKeys(): Promise<EvaluationKeys>;
  /** Puts the secret key into the store, or takes it out again. */
  keep(wanted?: boolean): Promise<void>;
  /** Deletes the keys, here and at the server; what is called next makes new ones. */
  forget(): Promise<void>;
  release(): Promise<void>;
}

/** Takes a plan (the answer to `GET /v1/models/{id}`) without a server: with a new key, or the one that is given. */
export function openPlan(frame: Uint8Array | ArrayBuffer, options?: { secret?: Uint8Array; worker?: boolean }): Promise<Keyholder>;

/** A plan and a secret key, for a transport of one's own. */
export interface Keyholder {
  readonly plan: Plan;
  /** What lies in each slot of a request, one ciphertext after the other: 0 nothing, 1 a constant one, e + 2 element e of the input. */
  layout(): Promise<Uint32Array>;
  /** The secret key: for its owner's store, and nobody else. */
  secretKey(): Promise<Uint8Array>;
  evaluationKeys(): Promise<EvaluationKeys>;
  encrypt(input: Input): Promise<Encrypted>;
  decrypt(reply: Uint8Array | ArrayBuffer): Promise<Decrypted>;
  close(): Promise<void>;
}

export interface Plan {
  readonly model: string;
  readonly digest: string;
  readonly labels: readonly string[];
  /** Channels, height, width. */
  readonly shape: readonly [number, number, number];
  readonly ciphertexts: number;
  /** How many evaluation keys it asks for, their bytes, and about how many milliseconds they take at most. */
  readonly keys: number;
  readonly keyBytes: number;
  readonly keyMilliseconds: number;
  /** What is subtracted from each channel, of pixels as a share of 255, and what divides it then. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** The least and the largest number that is not clamped, after that. */
  readonly range: readonly [number, number];
  /** Slots of a ciphertext. */
  readonly slots: number;
}

export interface Opened {
  readonly plan: Plan;
  /** How long making the secret key took; 0 for a kept one. */
  readonly milliseconds: number;
  readonly kept: boolean;
  /** Whether the server has its evaluation keys already. */
  readonly registered: boolean;
}

/** What is classified. Numbers are the network's input, in the order channel, row, column. */
export type Input = readonly number[] | Float64Array | Float32Array | Int8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | ImageInput;

/** An image: its middle is shrunk to the network's shape, where it has another. */
export type ImageInput = RawImage | Pixels | BrowserImage;

/** Pixel after pixel, row after row: 1 channel for grey, 3 for RGB, 4 for RGBA. `ImageData` is one. */
export interface RawImage {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  channels?: 1 | 3 | 4;
}

/** Exactly the network's pixels, in the order channel, row, column. */
export interface Pixels {
  pixels: Uint8Array | Uint8ClampedArray;
}

/** What a browser has images in. */
export type BrowserImage =
  | Of<'Blob'>
  | Of<'ImageBitmap'>
  | Of<'ImageData'>
  | Of<'HTMLImageElement'>
  | Of<'SVGImageElement'>
  | Of<'HTMLCanvasElement'>
  | Of<'OffscreenCanvas'>
  | Of<'HTMLVideoElement'>
  | Of<'VideoFrame'>;

/** What a reply says. Scores are rounded to the error that the plan predicts. */
export interface Scores {
  /** The class with the largest score, its name as the plan has it, and that name fit for a terminal. */
  readonly class: number;
  readonly label: string;
  readonly name: string;
  /** In the order of the plan's labels. */
  readonly scores: readonly number[];
  /** How far the best score is above the next; null where there is one score. */
  readonly margin: number | null;
  /** The error of a score that the plan predicts. */
  readonly predictedError: number;
  /** Whether the margin is too small for the label to be sure. */
  readonly tooClose: boolean;
  /** Null where the network ends in scores. */
  readonly probabilities: readonly number[] | null;
  /** The best classes, the best first; 5 unless it is said how many. */
  top(count?: number): Ranked[];
  /** What to keep in mind, in sentences: for this user alone. */
  readonly warnings: readonly string[];
}

export interface Decrypted extends Scores {
  readonly milliseconds: number;
}

export interface Answer extends Scores {
  /** Milliseconds; `server` has the server's own steps, as it says. */
  readonly timing: { readonly encryption: number; readonly roundTrip: number; readonly decryption: number; readonly server: Record<string, number> };
  readonly bytes: { readonly request: number; readonly reply: number };
}

export interface Ranked {
  readonly class: number;
  readonly label: string;
  readonly name: string;
  readonly score: number;
  readonly probability: number | null;
}

export interface Encrypted {
  readonly request: Uint8Array;
  /** What is out of range is clamped, and said here alone. */
  readonly warnings: readonly string[];
  readonly milliseconds: number;
}

export interface EvaluationKeys {
  readonly keys: Uint8Array;
  /** The address that they are registered under. */
  readonly digest: string;
  readonly milliseconds: number;
}

export interface Listening {
  onProgress?: (event: Progress) => void;
}

export type Progress = { readonly model: string } & (
  | { readonly step: 'key'; readonly milliseconds: number; readonly kept: boolean }
  | { readonly step: 'keys'; readonly bytes: number; readonly milliseconds: number }
  | { readonly step: 'upload'; readonly share: number }
  | { readonly step: 'registered'; readonly digest: string; readonly milliseconds: number }
  | { readonly step: 'encrypted'; readonly bytes: number; readonly milliseconds: number; readonly request: Uint8Array }
);

/** Where secret keys are kept. Whoever can read a store can decrypt. */
export interface Store {
  /** Whether it outlives the process. */
  readonly lasting: boolean;
  get(name: string): Promise<StoredKey | undefined>;
  set(name: string, record: StoredKey): Promise<void>;
  delete(name: string): Promise<void>;
  list(): Promise<string[]>;
}

export interface StoredKey {
  secret: Uint8Array;
  /** That of the evaluation keys at the server, once they are there. */
  digest: string | null;
}

export function memoryStore(): Store;
/** In this origin's IndexedDB; throws where there is none. */
export function indexedDbStore(database?: string): Store;
/** In files that only their owner can read, by default in this user's configuration; Node alone, throws elsewhere. */
export function fileStore(folder?: string): Store;

/** All errors of this package: what happened, what was expected, what came, what to do; the message has it all. */
export class BlindsightError extends Error {
  readonly code: string;
  readonly what: string;
  readonly expected: string | null;
  readonly found: string | null;
  readonly remedy: string | null;
}

export class InputError extends BlindsightError {
  readonly code: 'wrong_type' | 'wrong_shape' | 'not_a_number' | 'unreadable_image';
}
export class KeyError extends BlindsightError {
  readonly code: 'key_of_another_plan' | 'damaged_key' | 'store_failed';
}
export class PlanError extends BlindsightError {
  readonly code: 'damaged_plan';
}
export class ReplyError extends BlindsightError {
  readonly code: 'reply_of_another_plan' | 'reply_for_another_key' | 'damaged_reply' | 'meaningless_reply';
}
/** The code is the server's own (docs/server.md), or `unreachable`, `untrusted_certificate`, `bad_answer`, `http_STATUS`. */
export class ServerError extends BlindsightError {
  /** Of HTTP, where there was an answer. */
  readonly status?: number;
  /** Of a rate or budget that is used up. */
  readonly limit?: number;
  readonly period?: number;
  readonly remaining?: number;
}
/** After `engine_failed` a secret key that was in memory alone is gone; `ready` begins anew. */
export class EngineError extends BlindsightError {}
export class UsageError extends BlindsightError {
  readonly code: 'choose_model' | 'unknown_model' | 'closed' | 'declined' | 'bad_address' | 'insecure_address' | 'bad_token' | 'unsupported';
}
