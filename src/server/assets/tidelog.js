/**
 * The JavaScript client of a Tidelog server: one file, no dependencies, for browsers and for node 18 or later.
 *
 *     import { Tidelog } from './tidelog.js';
 *     const tidelog = new Tidelog({ base: 'https://sync.example', token: '..' });
 *     const notes = tidelog.copy('notes/ann');
 *     notes.on('change', () => show([...notes.values()]));
 *     notes.start();
 *     await notes.update('note-1', (note) => ({ ...note, done: true }));
 *
 * Keys are decimal strings, for they may exceed 2^53: compare them with `compareKeys`. A name is a string, or a
 * Uint8Array if it is not UTF-8. A payload is a JSON value, or a Uint8Array if its bytes are not JSON.
 */

/** What a merge function returns to delete the entity. */
export const REMOVE = Symbol('remove');

// Node 18 has it as a module only.
const random = globalThis.crypto ?? (await import('node:crypto')).webcrypto;
const utf8 = new TextEncoder();
const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));

/** Compares two keys: negative, zero or positive. */
export function compareKeys(a, b) {
  const [x, y] = [BigInt(a), BigInt(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** A name's bytes, percent-encoded for a path. Equal bytes give equal text. */
export function encodeName(name) {
  const bytes = typeof name === 'string' ? utf8.encode(name) : name;
  const one = (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9_.~-]/.test(char) ? char : '%' + byte.toString(16).toUpperCase().padStart(2, '0');
  };
  return Array.from(bytes, one).join('');
}

/** The name that an answer holds under `field` or `field_base64`: a string, a Uint8Array, or undefined. */
export function nameOf(object, field) {
  const base64 = object[`${field}_base64`];
  return base64 === undefined ? object[field] : fromBase64(base64);
}

/** A fresh idempotency key. Keep it with the commit until that is answered. */
export function newId() {
  const bytes = random.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function pathOf(dataset, entity) {
  const names = entity === undefined ? [dataset] : [dataset, entity];
  const [d, e] = names.map((name) => {
    const text = encodeName(name);
    // A URL drops these two, percent-encoded or not. A commit can name them.
    if (/^\.\.?$/.test(text)) throw new RangeError(`"${text}" cannot be named in a URL`);
    return text;
  });
  return `/v1/datasets/${d}${e === undefined ? '' : `/entities/${e}`}`;
}

function query(params) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

/** What the server refused. `kind` says what for (docs/http.md has the table), `problem` is the whole answer. */
export class TidelogError extends Error {
  constructor(status, problem, headers) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.name = 'TidelogError';
    this.status = status;
    this.problem = problem;
    this.kind = problem.kind ?? String(problem.type ?? '').split(':').pop();
    const seconds = Number.parseFloat(headers.get('retry-after') ?? '');
    /** How long the server asks to wait, in milliseconds; undefined if it does not. */
    this.retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
    const link = /<([^>]*)>\s*;[^,]*\brel="?restart\b/.exec(headers.get('link') ?? '');
    /** With 410, from where to begin again; undefined if the server does not say. */
    this.restart = (link && new URL(link[1], 'http://localhost').searchParams.get('since')) ?? undefined;
  }
}

// Whatever is no answer of the server (no network, an answer cut short, none in time) may be better the next time.
const mayPass = (error) =>
  !(error instanceof TidelogError) || [408, 429].includes(error.status) || (error.status >= 500 && error.status !== 507);

class NoStream extends Error {}

/** An abort signal that follows another one, and a timer that can be set again. */
function guard(signal) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  let timer;
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort);
  return {
    signal: controller.signal,
    within(ms, error) {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(error), ms);
    },
    end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}

/** The events of a Server-Sent Events body, however its bytes are cut. `heard` is called for every piece. */
export async function* readEvents(body, heard = () => {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let [rest, afterReturn, event] = ['', false, { event: 'message', data: [] }];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const piece = decoder.decode(value, { stream: true });
      rest += piece;
      if (!afterReturn && !/[\r\n]/.test(piece)) continue;
      afterReturn = rest.endsWith('\r');
      // A carriage return at the end may be the first half of a line's end.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        const [, field, text] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
        if (line === '') {
          if (event.data.length) yield { ...event, data: event.data.join('\n') };
          event = { event: 'message', data: [] };
        } else if (field === 'data') event.data.push(text);
        else if (field === 'event' || field === 'id') event[field] = text;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A server, as one client speaks to it. */
export class Tidelog {
  #base; #token; #fetch; #random; #parse;

  /**
   * @param {object} [options]
   * @param {string} [options.base] the server's address; by default that of the page
   * @param {string | (() => string | Promise<string>)} [options.token] the bearer token, or what gives it
   * @param {number} [options.minDelayMs] the least pause after a failure; pauses grow from there, with chance in them
   * @param {number} [options.maxDelayMs] the longest pause
   * @param {number} [options.timeoutMs] how long an answer may take, or the first page of a stream
   * @param {number} [options.idleMs] how long a stream may be silent; more than the server's heartbeat
   * @param {number} [options.waitSeconds] how long a long-poll waits
   * @param {(text: string) => any} [options.parse] reads JSON; JSON.parse loses digits of numbers beyond 2^53
   * @param {typeof fetch} [options.fetch] for tests
   * @param {() => number} [options.random] for tests
   */
  constructor(options = {}) {
    this.#base = String(options.base ?? globalThis.location?.origin ?? '').replace(/\/$/, '');
    this.#token = options.token;
    this.#fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
    this.#random = options.random ?? Math.random;
    this.#parse = options.parse ?? JSON.parse;
    const { minDelayMs = 250, maxDelayMs = 30_000, timeoutMs = 30_000, idleMs = 60_000, waitSeconds = 25 } = options;
    Object.assign(this, { minDelayMs, maxDelayMs, timeoutMs, idleMs, waitSeconds });
  }

  async #open(method, path, { headers, body } = {}, signal) {
    const token = typeof this.#token === 'function' ? await this.#token() : this.#token;
    const bearer = token ? { authorization: `Bearer ${token}` } : {};
    const init = { method, headers: { ...headers, ...bearer }, body, signal, cache: 'no-store' };
    const response = await this.#fetch(this.#base + path, init);
    if (response.ok || response.status === 304) return response;
    const text = await response.text();
    let problem = {};
    try {
      problem = Object(JSON.parse(text));
    } catch {
      // A proxy answered, not the server: its status has to do.
    }
    throw new TidelogError(response.status, problem, response.headers);
  }

  /** One request: its `headers`, and `bytes` or the `json` in them. Throws a `TidelogError` if it is refused. */
  async request(method, path, { signal, waitMs = 0, ...rest } = {}) {
    const guarded = guard(signal);
    guarded.within(this.timeoutMs + waitMs, new Error('no answer in time'));
    try {
      const response = await this.#open(method, path, rest, guarded.signal);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const json = /^application\/json\b/.test(response.headers.get('content-type') ?? '');
      const value = json ? this.#parse(new TextDecoder().decode(bytes)) : undefined;
      return { status: response.status, headers: response.headers, bytes, json: value };
    } finally {
      guarded.end();
    }
  }

  /** Waits before the next attempt: what the server asked for, else longer with every failure, and never in step. */
  async #pause(failures, signal, askedMs) {
    const most = Math.min(this.maxDelayMs, this.minDelayMs * 2 ** (failures + 1));
    const ms = askedMs ?? Math.max(this.minDelayMs, this.#random() * most);
    await new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        globalThis.removeEventListener?.('online', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
      if (askedMs === undefined) globalThis.addEventListener?.('online', done);
      if (signal?.aborted) done();
    });
  }

  async #persist(method, path, { attempts = 8, ...rest }) {
    for (let failures = 0; ; failures++) {
      try {
        return await this.request(method, path, rest);
      } catch (error) {
        if (rest.signal?.aborted || !mayPass(error) || failures + 1 >= attempts) throw error;
        await this.#pause(failures, rest.signal, error.retryAfterMs);
      }
    }
  }

  /** One page of dataset names. @param {{prefix?: string, after?: string, limit?: number}} [params] */
  async datasets(params = {}, signal) {
    return (await this.request('GET', `/v1/datasets${query(params)}`, { signal })).json;
  }

  /** What a dataset holds: head, floors, counts, retention. */
  async stat(dataset, signal) {
    const { json } = await this.request('GET', pathOf(dataset), { signal });
    return json.stat ?? json;
  }

  /** What the store holds, and the engine's counters: `{stat, metrics}`. */
  async store(signal) {
    return (await this.request('GET', '/v1/store', { signal })).json;
  }

  /** A page of changes; with `wait` (seconds) the answer is held until there is something. */
  async changes(dataset, params = {}, signal) {
    const path = `${pathOf(dataset)}/changes${query(params)}`;
    return (await this.request('GET', path, { signal, waitMs: (params.wait ?? 0) * 1000 })).json;
  }

  /** One entity, `{entity, key, payload, time, origin}`, or null. */
  async get(dataset, entity, options = {}) {
    try {
      const { headers, bytes, json } = await this.#persist('GET', pathOf(dataset, entity), options);
      const key = /"(\d+)"/.exec(headers.get('etag') ?? '')?.[1];
      const origin = headers.get('tidelog-origin') ?? undefined;
      return { entity, key, payload: json === undefined ? bytes : json, time: Number(headers.get('tidelog-time')), origin };
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  /**
   * Commits changes of one or several datasets, all or none: `{first, last, time, repeated}`. It is tried again under
   * the same idempotency key when the answer is lost, so that it is never done twice; after `attempts` (8) it throws.
   * @param {{dataset, op: string, entity, payload?: any, expect?: string}[]} changes as an import line has them
   * @param {{id?: string, origin?: string, durability?: string, attempts?: number, signal?: AbortSignal}} [options]
   */
  async commit(changes, { id = newId(), origin, durability, ...rest } = {}) {
    const named = (object, field, value) => {
      if (value instanceof Uint8Array) object[`${field}_base64`] = toBase64(value);
      else if (value !== undefined) object[field] = value;
      return object;
    };
    const one = ({ dataset, op, entity, payload, expect }) =>
      named(named(named(named({ op }, 'dataset', dataset), 'entity', entity), 'payload', payload), 'expect', expect);
    const body = JSON.stringify(named({ changes: changes.map(one) }, 'origin', origin));
    const headers = { 'content-type': 'application/json', 'idempotency-key': id };
    return (await this.#persist('POST', `/v1/commits${query({ durability })}`, { headers, body, ...rest })).json;
  }

  async #write(method, dataset, entity, { id = newId(), origin, ifMatch, ifNoneMatch, ...rest } = {}, sent = {}) {
    const tag = (value) => (value === undefined || value === '*' ? value : `"${value}"`);
    const all = { 'idempotency-key': id, 'if-match': tag(ifMatch), 'if-none-match': tag(ifNoneMatch), 'tidelog-origin': origin };
    const headers = Object.fromEntries(Object.entries({ ...all, ...sent.headers }).filter(([, value]) => value !== undefined));
    return (await this.#persist(method, pathOf(dataset, entity), { headers, body: sent.body, ...rest })).json;
  }

  /**
   * Writes an entity, and repeats itself as `commit` does. 412 if the condition does not hold.
   * @param {{ifMatch?: string, ifNoneMatch?: '*', id?: string, origin?: string, attempts?: number, signal?: AbortSignal}} [options]
   */
  async put(dataset, entity, payload, options) {
    const binary = payload instanceof Uint8Array;
    const type = binary ? 'application/octet-stream' : 'application/json';
    const body = binary ? payload : JSON.stringify(payload);
    return this.#write('PUT', dataset, entity, options, { body, headers: { 'content-type': type } });
  }

  /** Deletes an entity; 404 if there is none. Options as for `put`. */
  async remove(dataset, entity, options) {
    return this.#write('DELETE', dataset, entity, options);
  }

  /**
   * Changes an entity as `merge` says, whatever others write meanwhile: on a conflict it is called again with what is
   * there now. It is given the payload (undefined if there is none) and the attempt's number; it returns the new
   * payload, `REMOVE`, or undefined to leave it. Answers as `put`, or undefined if nothing was written.
   * @param {(payload: any, attempt: number) => any} merge
   * @param {{current?: object | null, conflicts?: number, origin?: string, attempts?: number, signal?: AbortSignal}} [options]
   *   `current` is what is there as far as is known, null for nothing; `conflicts` is how many of them are borne
   */
  async update(dataset, entity, merge, { current, conflicts = 20, signal, attempts, origin } = {}) {
    let item = current === undefined ? await this.get(dataset, entity, { signal, attempts }) : current;
    for (let attempt = 1; ; attempt++) {
      const payload = await merge(item?.payload, attempt);
      if (payload === undefined || (payload === REMOVE && !item)) return undefined;
      const options = { ...(item ? { ifMatch: item.key } : { ifNoneMatch: '*' }), signal, attempts, origin };
      try {
        return await (payload === REMOVE ? this.remove(dataset, entity, options) : this.put(dataset, entity, payload, options));
      } catch (error) {
        if ((error.status !== 412 && error.status !== 404) || attempt > conflicts) throw error;
        if (attempt > 1) await this.#pause(0, signal);
        item = await this.get(dataset, entity, { signal, attempts });
      }
    }
  }

  async *#events(path, signal) {
    const guarded = guard(signal);
    guarded.within(this.timeoutMs, new NoStream('nothing came through'));
    try {
      const response = await this.#open('GET', path, { headers: { accept: 'text/event-stream' } }, guarded.signal);
      if (!/^text\/event-stream\b/.test(response.headers.get('content-type') ?? '')) throw new NoStream('no stream');
      let first = true;
      const heard = () => first || guarded.within(this.idleMs, new Error('the stream went silent'));
      for await (const { event, data } of readEvents(response.body, heard)) {
        first = false;
        heard();
        yield { event, data: this.#parse(data) };
      }
    } catch (error) {
      throw guarded.signal.aborted ? guarded.signal.reason : error;
    } finally {
      guarded.end();
    }
  }

  /**
   * Follows a dataset until `signal` is aborted: page by page up to its head, then as a stream, or by long-polls where
   * none comes through. Yields `{type: 'page', entries, page}`, `{type: 'stale', problem}` (forget what you hold: the
   * pages that follow begin anew), `{type: 'missing'}` (there is no such dataset now), `{type: 'offline', error}` and
   * `{type: 'online'}`. Throws what no repetition mends, such as 401.
   * @param {{since?: string, view?: string, payloads?: boolean, limit?: number, transport?: 'auto' | 'sse' | 'poll',
   *   signal?: AbortSignal}} [options] `since` is a cursor, `start` (default), `oldest` or `head`
   */
  async *follow(dataset, { since = 'start', transport = 'auto', signal, ...params } = {}) {
    const path = pathOf(dataset);
    let [cursor, level, streams, missing, offline] = [since, false, transport !== 'poll', false, false];
    let failures = 0;
    while (!signal?.aborted) {
      try {
        if (level && streams) {
          for await (const { event, data } of this.#events(`${path}/events${query({ since: cursor, ...params })}`, signal)) {
            if (event === 'stale') {
              level = false; // A page is refused for the same reason, and says how long to wait.
              break;
            }
            if (event !== 'changes') continue;
            if (offline) yield { type: 'online' };
            [cursor, failures, offline] = [data.page.next, 0, false];
            yield { type: 'page', ...data };
          }
          if (level) await this.#pause(failures++, signal); // Closed in good order: a server that is restarted, say.
          continue;
        }
        const wait = level || missing ? this.waitSeconds : undefined;
        const asked = Date.now();
        const answer = await this.changes(dataset, { since: cursor, ...params, wait }, signal);
        // A server, or what stands before it, that does not wait is not to be asked without end.
        if (wait && !answer.entries.length && Date.now() - asked < 1000) await this.#pause(0, signal);
        if (offline) yield { type: 'online' };
        [cursor, level, failures, missing, offline] = [answer.page.next, !answer.page.more, 0, false, false];
        yield { type: 'page', ...answer };
      } catch (error) {
        if (signal?.aborted) return;
        if (error.status === 410) {
          yield { type: 'stale', problem: error.problem };
          await this.#pause(failures++, signal, error.retryAfterMs);
          // Where no whole state can be had (`every`, or a dataset that keeps a window), the start is stale as well.
          const again = error.restart ?? 'start';
          [cursor, level] = [cursor === again ? 'oldest' : again, false];
        } else if (error.kind === 'dataset_not_found') {
          if (!missing) yield { type: 'missing' };
          // All of a dataset that comes to be is new, also to a follower that began at the head.
          [cursor, level, missing] = ['start', false, true];
          await this.#pause(0, signal);
        } else if (streams && transport === 'auto' && (error instanceof NoStream || [404, 405, 406].includes(error.status))) {
          streams = false;
        } else if (mayPass(error)) {
          if (!offline) yield { type: 'offline', error };
          [offline, streams] = [true, transport !== 'poll'];
          await this.#pause(failures++, signal, error.retryAfterMs);
        } else throw error;
      }
    }
  }

  /** A local copy of a dataset; `start` it. @param {{resume?: object, transport?: string, limit?: number}} [options] */
  copy(dataset, options) {
    return new Copy(this, dataset, options);
  }
}

/**
 * A copy of a dataset, kept in step over a connection of its own (a browser has six for a server without HTTP/2). What
 * it shows is always exactly the dataset's state at `key`: pages are applied together once all of a read are there, and
 * after a stale reset the old state stays (`state` says `stale`) until the new one takes its place whole. Events:
 *
 * - `change` `{entries, reset}`: the state is another one; with `reset` all of it, and `entries` is empty;
 * - `ready` `{key}`: in step, for the first time or again after a reset;
 * - `stale` `{problem}`, `offline` `{error}`, `online`; `error` `{error}`: it has stopped.
 */
export class Copy {
  #tidelog; #items = new Map(); #coming; #stop; #listeners = {}; #options; #waiters = new Set();

  constructor(tidelog, dataset, { resume, ...options } = {}) {
    this.#tidelog = tidelog;
    this.#options = options;
    this.dataset = dataset;
    /** `new`, `ready`, `stale`, or `stopped`. */
    this.state = 'new';
    /** Where to go on, to be stored with the items: see `snapshot`. */
    this.cursor = resume?.cursor;
    /** The key up to which the copy is complete. */
    this.key = resume?.key ?? '0';
    for (const item of resume?.items ?? []) this.#items.set(encodeName(item.entity), item);
  }

  /** Calls `listener` with the details of each such event; returns what ends that. */
  on(type, listener) {
    (this.#listeners[type] ??= new Set()).add(listener);
    return () => this.#listeners[type].delete(listener);
  }

  #emit(type, detail = {}) {
    for (const listener of this.#listeners[type] ?? []) listener(detail);
  }

  /** How many entities there are. */
  get size() {
    return this.#items.size;
  }

  /** One entity, `{entity, key, payload, time, origin}`, or undefined. */
  get(entity) {
    return this.#items.get(encodeName(entity));
  }

  /** All entities. */
  values() {
    return this.#items.values();
  }

  /** What to store and give to `copy` as `resume`, so that it goes on from here. */
  snapshot() {
    return { cursor: this.cursor, key: this.key, items: [...this.#items.values()] };
  }

  /** Begins to follow; returns at once. */
  start() {
    if (this.#stop) return;
    const stop = (this.#stop = new AbortController());
    this.#run(stop.signal).catch((error) => {
      if (this.#stop === stop) this.stop();
      if (!this.#listeners.error?.size) throw error; // Nobody listens: the console shall know.
      this.#emit('error', { error });
    });
  }

  /** Stops following; what is there stays, and `start` goes on from it. */
  stop() {
    this.#stop?.abort();
    [this.#stop, this.#coming, this.state] = [undefined, undefined, 'stopped'];
  }

  /** Resolves when the copy holds everything up to `key`, such as the `last` of a commit to it. */
  reached(key) {
    if (compareKeys(this.key, key) >= 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add({ key, resolve }));
  }

  /** `Tidelog.update`, beginning with what the copy holds. */
  update(entity, merge, options) {
    return this.#tidelog.update(this.dataset, entity, merge, { current: this.get(entity) ?? null, ...options });
  }

  async #run(signal) {
    const options = { ...this.#options, since: this.cursor, signal };
    for await (const { type, ...detail } of this.#tidelog.follow(this.dataset, options)) {
      if (signal.aborted) return;
      if (type === 'page') this.#take(detail);
      else if (type === 'missing') {
        this.#coming = { fresh: new Map(), entries: [] };
        this.#apply({ next: undefined, key: '0' });
      } else {
        if (type === 'stale') [this.state, this.#coming] = ['stale', { fresh: new Map(), entries: [] }];
        this.#emit(type, detail);
      }
    }
  }

  #take({ entries, page }) {
    this.#coming ??= { fresh: this.cursor === undefined ? new Map() : undefined, entries: [] };
    const { fresh } = this.#coming;
    if (fresh) for (const entry of entries) this.#put(fresh, entry);
    else this.#coming.entries.push(...entries);
    if (!page.more) this.#apply(page);
  }

  #put(items, entry) {
    const [entity, payload] = [nameOf(entry, 'entity'), nameOf(entry, 'payload')];
    const { op, key, time } = entry;
    if (op === 'delete') items.delete(encodeName(entity));
    else items.set(encodeName(entity), { entity, key, payload, time, origin: nameOf(entry, 'origin') });
  }

  #apply(page) {
    const { fresh, entries } = this.#coming;
    this.#coming = undefined;
    if (fresh) this.#items = fresh;
    else for (const entry of entries) this.#put(this.#items, entry);
    [this.cursor, this.key] = [page.next, page.key];
    for (const waiter of this.#waiters) {
      if (compareKeys(this.key, waiter.key) >= 0) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
    }
    if (fresh || entries.length) this.#emit('change', { entries, reset: fresh !== undefined });
    if (this.state !== 'ready') {
      this.state = 'ready';
      this.#emit('ready', { key: this.key });
    }
  }
}
