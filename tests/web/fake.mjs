// A server for the tests of tidelog.js: in memory, as docs/http.md says, and made to fail where a test wants it to.

import { createServer } from 'node:http';

const KINDS = { 400: 'invalid', 404: 'not_found', 409: 'conflict', 412: 'conflict', 422: 'idempotency_mismatch' };

/** Keys begin beyond 2^53, where numbers no longer hold them. */
export const FIRST_KEY = 2n ** 53n + 1n;

export class Fake {
  datasets = new Map();
  commits = new Map();
  counters = { commits: 0, entries: 0, pages: 0, entries_read: 0 };
  key = FIRST_KEY;
  /** Every request, as "METHOD path?query". */
  seen = [];
  /** Called before a request is answered: what returns true has answered it itself. */
  intercept = () => false;
  /** How a stream's bytes are cut: takes a buffer, returns buffers. */
  cut = (bytes) => [bytes];
  heartbeatMs = 1000;
  waiting = new Set();

  async listen(port = 0) {
    this.server = createServer((request, response) => void this.answer(request, response));
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  dataset(name) {
    if (!this.datasets.has(name)) this.datasets.set(name, { log: [], first: this.key, floor: 0n, history: 0n });
    return this.datasets.get(name);
  }

  newest(name, entity) {
    const entry = this.datasets.get(name)?.log.findLast((entry) => entry.entity === entity);
    return entry?.op === 'delete' ? undefined : entry;
  }

  /** Commits, or throws [status, fields]. */
  commit({ changes, id, origin }, conflict = 409) {
    const text = JSON.stringify(changes);
    const before = this.commits.get(id);
    if (before && before.text !== text) throw [422, {}];
    if (before) return { ...before.answer, repeated: true };
    for (const { dataset, entity, expect } of changes) {
      const key = this.newest(dataset, entity)?.key;
      const holds = { absent: key === undefined, present: key !== undefined }[expect] ?? (!expect || expect === String(key));
      if (!holds) throw [conflict, { key: key === undefined ? undefined : String(key) }];
    }
    const first = this.key;
    for (const { dataset, op, entity, payload } of changes) {
      const known = this.newest(dataset, entity);
      const real = op === 'put' ? (known ? 'update' : 'create') : op;
      this.dataset(dataset).log.push({ key: this.key++, op: real, entity, payload, time: Date.now(), origin });
    }
    this.counters.commits += 1;
    this.counters.entries += changes.length;
    const answer = { first: String(first), last: String(this.key - 1n), time: Date.now(), repeated: false };
    if (id) this.commits.set(id, { text, answer });
    for (const wake of this.waiting) wake();
    return answer;
  }

  /** Drops what is superseded, and deletes, up to `upTo`; cursors below it are stale. */
  compact(name, upTo = this.key - 1n) {
    const dataset = this.datasets.get(name);
    const live = (entry) => this.newest(name, entry.entity) === entry;
    dataset.log = dataset.log.filter((entry) => entry.key > upTo || live(entry));
    [dataset.floor, dataset.history] = [upTo, upTo];
  }

  page(name, query) {
    const dataset = this.datasets.get(name);
    if (!dataset) throw [404, { kind: 'dataset_not_found' }];
    const since = query.get('since') ?? 'start';
    const every = query.get('view') === 'every';
    const head = dataset.log.at(-1)?.key ?? 0n;
    const [at, begun] = /^c/.test(since)
      ? since.slice(1).split('-').map(BigInt)
      : [{ start: 0n, oldest: every ? dataset.history : 0n, head }[since] ?? BigInt(since), ['start', '0', 'oldest'].includes(since) ? 1n : 0n];
    const stale = every ? at < dataset.history : !begun && at < dataset.floor;
    if (stale) throw [410, { kind: every ? 'stale_history_trimmed' : 'stale_trimmed', floor: String(dataset.floor), restart: true }];
    const due = dataset.log.filter((entry) => entry.key > at && (every || dataset.log.findLast((e) => e.entity === entry.entity) === entry));
    const taken = due.slice(0, Number(query.get('limit') ?? 1000));
    const more = taken.length < due.length;
    const key = more ? taken.at(-1).key : head;
    const next = `c${key}-${more && begun ? 1 : 0}`;
    const entries = taken.map((entry) => ({ dataset: name, ...entry, key: String(entry.key), new: false, last: true }));
    this.counters.pages += 1;
    this.counters.entries_read += entries.length;
    return { entries, page: { next, key: String(key), more, head: String(head), pending: { entries: due.length - taken.length, bytes: 0 }, headroom: '9' } };
  }

  stat(name) {
    const dataset = this.datasets.get(name);
    if (!dataset) throw [404, { kind: 'dataset_not_found' }];
    const { log, first, floor, history } = dataset;
    const newest = (entry) => log.findLast((other) => other.entity === entry.entity) === entry;
    return {
      dataset: name, head: String(log.at(-1)?.key ?? 0n), first: String(first), history_floor: String(history), floor: String(floor),
      entries: log.length, bytes: log.reduce((sum, entry) => sum + JSON.stringify(entry.payload ?? '').length, 0),
      superseded: log.filter((entry) => !newest(entry)).length,
      tombstones: log.filter((entry) => entry.op === 'delete' && newest(entry)).length,
      time: log.at(-1)?.time ?? 0,
      retention: { keep: 'live', history: { entries: 1000, bytes: null, age_ms: null }, tombstones: { entries: 1000, bytes: null, age_ms: null } },
    };
  }

  woken(ms, signal) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.waiting.add(done);
      signal?.addEventListener('abort', done);
    });
  }

  problem(response, status, { restart, path, ...fields }) {
    const kind = fields.kind ?? KINDS[status];
    const headers = { 'content-type': 'application/problem+json' };
    if (status === 410) headers['retry-after'] = this.retryAfter ?? '0.05';
    if (restart) headers.link = `<${path}?since=start>; rel="restart"`;
    if (fields.key) headers.etag = `"${fields.key}"`;
    response.writeHead(status, headers);
    response.end(JSON.stringify({ type: `urn:tidelog:problem:${kind}`, title: kind, status, detail: kind, kind, ...fields }));
  }

  async answer(request, response) {
    let body = '';
    for await (const piece of request) body += piece;
    this.seen.push(`${request.method} ${request.url}`);
    if (await this.intercept(request, response, body)) return;
    const url = new URL(request.url, 'http://fake');
    try {
      const [, , resource, d, what, e] = url.pathname.split('/');
      const [dataset, entity] = [d, e].map((name) => name && decodeURIComponent(name));
      const json = (status, value, headers = {}) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(JSON.stringify(value));
      };
      if (resource === 'commits') {
        const commit = JSON.parse(body);
        json(200, this.commit({ ...commit, id: commit.id ?? request.headers['idempotency-key'] }));
      } else if (resource === 'store') {
        json(200, { stat: { dir: '/srv/tidelog', datasets: this.datasets.size, visible: String(this.key - 1n), lineage: '1', log_bytes: 1 << 26, store_bytes: 12345678 }, metrics: this.counters });
      } else if (resource === 'datasets' && d === undefined) {
        const limit = Number(url.searchParams.get('limit') ?? 1000);
        const after = url.searchParams.get('after') ?? '';
        const names = [...this.datasets.keys()].sort().filter((name) => name.startsWith(url.searchParams.get('prefix') ?? '') && name > after);
        const more = names.length > limit;
        json(200, { datasets: names.slice(0, limit).map((dataset) => ({ dataset })), page: { more, ...(more ? { after: names[limit - 1] } : {}) } });
      } else if (resource === 'timelines') {
        const log = this.datasets.get(dataset)?.log ?? [];
        json(200, { entries: log.slice(-Number(url.searchParams.get('limit'))).reverse().map((entry) => ({ dataset, ...entry, key: String(entry.key) })) });
      } else if (what === undefined) json(200, this.stat(dataset));
      else if (what === 'entities') this.entity(request, json, body, dataset, entity);
      else if (what === 'changes') {
        const until = Date.now() + 1000 * Number(url.searchParams.get('wait') ?? 0);
        for (;;) {
          const page = this.datasets.has(dataset) || Date.now() >= until ? this.page(dataset, url.searchParams) : undefined;
          if (page?.entries.length || page?.page.more || Date.now() >= until) return json(200, page);
          await this.woken(until - Date.now());
        }
      } else if (what === 'events') await this.stream(request, response, dataset, url.searchParams);
      else throw [404, {}];
    } catch (error) {
      if (!Array.isArray(error)) throw error;
      if (!response.headersSent) this.problem(response, error[0], { path: url.pathname.replace('events', 'changes'), ...error[1] });
    }
  }

  entity(request, json, body, dataset, entity) {
    const known = this.newest(dataset, entity);
    if (request.method === 'GET') {
      if (!known) throw [404, {}];
      return json(200, known.payload, { etag: `"${known.key}"`, 'tidelog-time': String(known.time) });
    }
    if (request.method === 'DELETE' && !known) throw [404, {}];
    const { 'if-match': match, 'if-none-match': none, 'idempotency-key': id, 'tidelog-origin': origin } = request.headers;
    const expect = none === '*' ? 'absent' : match === '*' ? 'present' : match?.replaceAll('"', '');
    const change = request.method === 'PUT' ? { op: 'put', payload: JSON.parse(body) } : { op: 'delete' };
    const answer = this.commit({ changes: [{ dataset, entity, expect, ...change }], id, origin }, 412);
    return json(known ? 200 : 201, answer, { etag: `"${answer.last}"` });
  }

  async stream(request, response, dataset, query) {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    let since = request.headers['last-event-id'] ?? query.get('since');
    for (let begun = false; !gone.signal.aborted; begun = true) {
      let text;
      try {
        const page = this.page(dataset, new URLSearchParams([...query].filter(([name]) => name !== 'since').concat([['since', since]])));
        since = page.page.next;
        const quiet = page.entries.length === 0 && begun;
        text = quiet ? ': here\n\n' : `event: changes\nid: ${since}\ndata: ${JSON.stringify(page)}\n\n`;
        if (!begun) response.writeHead(200, { 'content-type': 'text/event-stream' });
        await this.send(response, text, gone.signal);
        if (page.page.more) continue;
      } catch (error) {
        if (!Array.isArray(error) || !begun) throw error;
        return response.end(`event: stale\ndata: ${JSON.stringify({ kind: error[1].kind, status: error[0] })}\n\n`);
      }
      await this.woken(this.heartbeatMs, gone.signal);
    }
  }

  async send(response, text, signal) {
    for (const piece of this.cut(Buffer.from(text))) {
      if (signal.aborted) return;
      response.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
