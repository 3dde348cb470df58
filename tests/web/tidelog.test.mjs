// The JavaScript client against a server that fails where it is told to. Run with: node --test tests/web

import assert from 'node:assert/strict';
import test from 'node:test';

import { compareKeys, encodeName, nameOf, readEvents, REMOVE, Tidelog } from '../../src/server/assets/tidelog.js';
import { Fake, FIRST_KEY } from './fake.mjs';

const FAST = { minDelayMs: 2, maxDelayMs: 20, timeoutMs: 2000, idleMs: 4000, waitSeconds: 1 };

/** Runs a test with a server of its own. It is over after 20 seconds, whatever hangs. */
function served(name, run, options = {}) {
  test(name, { timeout: 20_000 }, async () => {
    const fake = new Fake();
    const base = await fake.listen();
    const copies = [];
    const tidelog = new Tidelog({ base, ...FAST, ...options });
    const copy = (dataset, given) => {
      const made = tidelog.copy(dataset, given);
      made.on('error', ({ error }) => assert.fail(error));
      copies.push(made);
      return made;
    };
    try {
      await run({ fake, tidelog, base, copy });
    } finally {
      for (const one of copies) one.stop();
      await fake.close();
    }
  });
}

const once = (copy, type) => new Promise((resolve) => {
  const off = copy.on(type, (detail) => {
    off();
    resolve(detail);
  });
});

function fill(fake, count, dataset = 'd') {
  for (let i = 0; i < count; i++) fake.commit({ changes: [{ dataset, op: 'put', entity: `e${i}`, payload: { i } }] });
}

const held = (copy) => Object.fromEntries([...copy.values()].map(({ entity, key, payload }) => [entity, { key, payload }]));

/** What a copy must hold, from the server's own log. */
function truth(fake, dataset = 'd') {
  const state = {};
  for (const { entity, key, op, payload } of fake.datasets.get(dataset).log) {
    if (op === 'delete') delete state[entity];
    else state[entity] = { key: String(key), payload };
  }
  return state;
}

test('keys are compared beyond 2^53', () => {
  assert.ok(compareKeys('9007199254740993', '9007199254740992') > 0);
  assert.equal(compareKeys('18446744073709551615', '18446744073709551615'), 0);
  assert.ok(compareKeys('9', '10') < 0);
});

test('names are percent-encoded bytes', () => {
  assert.equal(encodeName('team/inbox ä'), 'team%2Finbox%20%C3%A4');
  assert.equal(encodeName(Uint8Array.of(0xff, 0x41)), '%FFA');
  assert.deepEqual(nameOf({ entity_base64: '/0E=' }, 'entity'), Uint8Array.of(0xff, 0x41));
  assert.equal(nameOf({ entity: 'm1' }, 'entity'), 'm1');
});

test('events are read however their bytes are cut', async () => {
  const text = ': hello\r\n\r\nevent: changes\nid: 7\ndata: {"a":"ä€😀"}\n\ndata:one\rdata: two\r\r\nevent: none\n\ndata: last\n\n';
  const expected = [
    { event: 'changes', id: '7', data: '{"a":"ä€😀"}' },
    { event: 'message', data: 'one\ntwo' },
    { event: 'message', data: 'last' },
  ];
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
    const body = new ReadableStream({ start: (to) => { pieces.forEach((piece) => to.enqueue(piece)); to.close(); } });
    const read = [];
    for await (const event of readEvents(body)) read.push(event);
    assert.deepEqual(read, expected, `in pieces of ${size}`);
  }
});

served('catches up by pages, then follows a stream', async ({ fake, copy }) => {
  fill(fake, 250);
  const mine = copy('d', { limit: 100 });
  const sizes = [];
  mine.on('change', () => sizes.push(mine.size));
  mine.start();
  await once(mine, 'ready');
  assert.deepEqual(sizes, [250], 'never half full');
  assert.deepEqual(held(mine), truth(fake));
  assert.equal(mine.key, String(FIRST_KEY + 249n), 'a key beyond 2^53, digit for digit');
  const { last } = fake.commit({ changes: [{ dataset: 'd', op: 'delete', entity: 'e7' }, { dataset: 'd', op: 'put', entity: 'new', payload: 'x' }] });
  await mine.reached(last);
  assert.deepEqual(held(mine), truth(fake));
  assert.equal(mine.get('e7'), undefined);
  assert.equal(fake.seen.filter((line) => line.includes('/changes')).length, 3);
  assert.equal(fake.seen.filter((line) => line.includes('/events')).length, 1);
});

served('a stream cut into single bytes, through characters too, arrives whole', async ({ fake, copy }) => {
  fill(fake, 1);
  fake.cut = (bytes) => Array.from(bytes, (byte) => Buffer.of(byte));
  const mine = copy('d');
  mine.start();
  await once(mine, 'ready');
  const { last } = fake.commit({ changes: [{ dataset: 'd', op: 'put', entity: 'ä€', payload: 'Füße 😀 水' }] });
  await mine.reached(last);
  assert.equal(mine.get('ä€').payload, 'Füße 😀 水');
});

served('goes on from where it was stored', async ({ fake, tidelog, copy }) => {
  fill(fake, 30);
  const first = copy('d');
  first.start();
  await once(first, 'ready');
  const stored = JSON.parse(JSON.stringify(first.snapshot()));
  first.stop();
  await tidelog.commit([{ dataset: 'd', op: 'delete', entity: 'e3' }, { dataset: 'd', op: 'put', entity: 'e4', payload: 'late' }]);
  const read = fake.counters.entries_read;
  const second = copy('d', { resume: stored });
  assert.equal(second.get('e3').key, stored.items[3].key, 'what was stored is there at once');
  second.start();
  await once(second, 'ready');
  assert.deepEqual(held(second), truth(fake));
  assert.equal(fake.counters.entries_read - read, 2, 'only what is new was sent');
});

served('starts again when stale, after the time asked for, and swaps in one step', async ({ fake, copy }) => {
  fill(fake, 50);
  const first = copy('d');
  first.start();
  await once(first, 'ready');
  const stored = first.snapshot();
  first.stop();
  for (let i = 0; i < 50; i += 2) fake.commit({ changes: [{ dataset: 'd', op: 'delete', entity: `e${i}` }] });
  fake.compact('d');
  fake.retryAfter = '0.3';
  const mine = copy('d', { resume: stored, limit: 10 });
  const seen = [];
  const resets = [];
  mine.on('change', ({ reset }) => resets.push(reset));
  mine.start();
  const { problem } = await once(mine, 'stale');
  const since = Date.now();
  assert.equal(problem.kind, 'stale_trimmed');
  assert.equal(mine.state, 'stale');
  const watch = setInterval(() => seen.push(mine.size), 1);
  await once(mine, 'ready');
  clearInterval(watch);
  assert.ok(Date.now() - since >= 290, 'Retry-After was kept');
  assert.deepEqual(held(mine), truth(fake));
  assert.deepEqual(resets, [true]);
  assert.ok(seen.every((size) => size === 50 || size === 25), `a half-empty copy was seen: ${seen}`);
  assert.ok(seen.includes(50));
});

served('a stream that goes stale leads to the same reset', async ({ fake, copy }) => {
  fill(fake, 20);
  const mine = copy('d');
  mine.start();
  await once(mine, 'ready');
  while (fake.waiting.size === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const stale = once(mine, 'stale');
  // Two at once, unseen by the stream: its position is below the floor when it looks.
  const entry = { op: 'delete', entity: 'e1', key: fake.key++, time: 0 };
  fake.datasets.get('d').log.push(entry);
  fake.compact('d', entry.key);
  fake.datasets.get('d').log = fake.datasets.get('d').log.filter((one) => one.entity !== 'e1');
  for (const wake of fake.waiting) wake();
  await stale;
  await once(mine, 'ready');
  assert.deepEqual(held(mine), truth(fake));
});

served('where the start is stale too, it begins with the oldest', async ({ fake, tidelog }) => {
  fill(fake, 10);
  fill(fake, 10);
  const upTo = fake.key - 6n;
  fake.compact('d', upTo);
  const stop = new AbortController();
  const types = [];
  for await (const { type, entries } of tidelog.follow('d', { view: 'every', signal: stop.signal })) {
    types.push(type);
    if (type !== 'page') continue;
    assert.equal(entries.length, 5);
    stop.abort();
  }
  assert.deepEqual(types, ['stale', 'page']);
});

served('a conflict is merged, and tried again', async ({ fake, tidelog, copy }) => {
  fake.commit({ changes: [{ dataset: 'd', op: 'put', entity: 'n', payload: { count: 0 } }] });
  const mine = copy('d');
  mine.start();
  await once(mine, 'ready');
  const add = (payload) => ({ count: (payload?.count ?? 0) + 1 });
  await Promise.all(Array.from({ length: 8 }, () => mine.update('n', add, { conflicts: 100 })));
  assert.equal((await tidelog.get('d', 'n')).payload.count, 8);
  const tried = fake.seen.filter((line) => line.startsWith('PUT')).length;
  assert.ok(tried > 8, 'there were conflicts');
  await tidelog.update('d', 'fresh', add);
  assert.equal((await tidelog.get('d', 'fresh')).payload.count, 1);
  assert.equal(await tidelog.update('d', 'n', () => undefined), undefined);
  await tidelog.update('d', 'n', () => REMOVE);
  assert.equal(await tidelog.get('d', 'n'), null);
});

served('a commit refused by its expect says so, and is not repeated', async ({ fake, tidelog }) => {
  fill(fake, 1);
  const change = { dataset: 'd', op: 'update', entity: 'e0', payload: 1, expect: '1' };
  await assert.rejects(tidelog.commit([change]), (error) => error.status === 409 && error.kind === 'conflict' && error.problem.key === String(FIRST_KEY));
  assert.equal(fake.seen.length, 1);
});

served('a lost answer is asked for again under the same key, and done once', async ({ fake, tidelog }) => {
  const ids = [];
  fake.intercept = (request, response, body) => {
    ids.push(request.headers['idempotency-key']);
    if (ids.length === 1) {
      fake.commit({ ...JSON.parse(body), id: ids[0] });
      response.destroy();
      return true;
    }
    if (ids.length === 2) {
      fake.problem(response, 503, { kind: 'busy' });
      return true;
    }
    return false;
  };
  const answer = await tidelog.commit([{ dataset: 'd', op: 'put', entity: 'm', payload: 'once' }]);
  assert.equal(answer.repeated, true);
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
  assert.equal(fake.datasets.get('d').log.length, 1);
});

served('a lost answer of a conditional PUT is no conflict', async ({ fake, tidelog }) => {
  fill(fake, 1);
  let lost = false;
  fake.intercept = (request, response, body) => {
    if (lost || request.method !== 'PUT') return false;
    lost = true;
    fake.entity(request, () => {}, body, 'd', 'e0');
    response.destroy();
    return true;
  };
  const answer = await tidelog.update('d', 'e0', ({ i }) => ({ i: i + 1 }));
  assert.equal(answer.repeated, true);
  assert.deepEqual((await tidelog.get('d', 'e0')).payload, { i: 1 });
});

served('the network goes and comes: offline, online, and nothing is missed', async ({ fake, copy }) => {
  fill(fake, 5);
  const mine = copy('d');
  const events = [];
  for (const type of ['offline', 'online', 'ready']) mine.on(type, () => events.push(type));
  mine.start();
  await once(mine, 'ready');
  const offline = once(mine, 'offline');
  let refused = 0;
  fake.intercept = (request, response) => {
    refused += 1;
    if (refused % 2) response.destroy();
    else fake.problem(response, 503, { kind: 'busy' });
    return true;
  };
  fake.server.closeAllConnections();
  await offline;
  fill(fake, 9);
  while (refused < 4) await new Promise((resolve) => setTimeout(resolve, 5));
  const online = once(mine, 'online');
  fake.intercept = () => false;
  await online;
  await mine.reached(fake.key - 1n);
  assert.deepEqual(held(mine), truth(fake));
  assert.deepEqual(events, ['ready', 'offline', 'online']);
});

served('a network cut in the midst of a page is no reason to begin again', async ({ fake, copy }) => {
  fill(fake, 40);
  let pages = 0;
  fake.intercept = (request, response) => {
    if (!request.url.includes('/changes') || ++pages !== 3) return false;
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
    response.write('{"entries":[{"entity":"e0","op":"dele');
    setTimeout(() => response.destroy(), 5);
    return true;
  };
  const mine = copy('d', { limit: 10 });
  mine.start();
  await once(mine, 'ready');
  assert.deepEqual(held(mine), truth(fake));
  const started = fake.seen.filter((line) => line.includes('since=start'));
  assert.equal(started.length, 1, 'it went on from the page before');
});

served('long-polls where no stream comes through', async ({ fake, copy }) => {
  fill(fake, 3);
  fake.intercept = (request, response) => {
    if (!request.url.includes('/events')) return false;
    fake.problem(response, 404, { kind: 'not_found' });
    return true;
  };
  const mine = copy('d');
  mine.start();
  await once(mine, 'ready');
  while (fake.waiting.size === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const { last } = fake.commit({ changes: [{ dataset: 'd', op: 'put', entity: 'x', payload: 1 }] });
  await mine.reached(last);
  assert.deepEqual(held(mine), truth(fake));
  assert.ok(fake.seen.some((line) => line.includes('wait=1')));
});

served('long-polls where a stream is held back on its way', async ({ fake, copy }) => {
  fill(fake, 3);
  fake.intercept = (request, response) => {
    if (!request.url.includes('/events')) return false;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': \n\n');
    return true;
  };
  const mine = copy('d');
  mine.start();
  await once(mine, 'ready');
  while (!fake.seen.some((line) => line.includes('wait=1'))) await new Promise((resolve) => setTimeout(resolve, 10));
  fill(fake, 4);
  await mine.reached(fake.key - 1n);
  assert.deepEqual(held(mine), truth(fake));
}, { timeoutMs: 200 });

served('a dataset that is not there yet is empty, and comes; one deleted goes', async ({ fake, copy }) => {
  const mine = copy('later');
  mine.start();
  await once(mine, 'ready');
  assert.equal(mine.size, 0);
  const change = once(mine, 'change');
  fill(fake, 3, 'later');
  await change;
  assert.deepEqual(held(mine), truth(fake, 'later'));
  const gone = once(mine, 'change');
  fake.datasets.delete('later');
  fake.server.closeAllConnections();
  assert.equal((await gone).reset, true);
  assert.equal(mine.size, 0);
});

served('what no repetition mends ends it', async ({ fake, base }) => {
  fake.intercept = (request, response) => {
    const known = request.headers.authorization === 'Bearer right';
    if (!known) fake.problem(response, 401, { kind: 'unauthorized' });
    return !known;
  };
  fill(fake, 1);
  let token = 'wrong';
  const mine = new Tidelog({ base, ...FAST, token: () => token }).copy('d');
  mine.start();
  const { error } = await once(mine, 'error');
  assert.equal(error.kind, 'unauthorized');
  assert.equal(mine.state, 'stopped');
  token = 'right';
  mine.start();
  await once(mine, 'ready');
  assert.equal(mine.size, 1);
  mine.stop();
});

served('many clients write and follow through cuts, and end equal', async ({ fake, tidelog, copy }) => {
  let requests = 0;
  fake.intercept = (request, response) => {
    const cut = ++requests % 11 === 0;
    if (cut) response.destroy();
    return cut;
  };
  const copies = Array.from({ length: 4 }, (_, i) => copy('d', { limit: 7, transport: i % 2 ? 'poll' : 'auto' }));
  for (const one of copies) one.start();
  const writer = async (who) => {
    for (let i = 0; i < 30; i++) {
      const entity = `e${(i * 7 + who) % 13}`;
      await tidelog.update('d', entity, (payload) => (i % 6 === 5 ? REMOVE : { n: (payload?.n ?? 0) + 1 }), { conflicts: 200, attempts: 50 });
      if (who === 0 && i % 10 === 9) fake.compact('d');
    }
  };
  await Promise.all([0, 1, 2].map(writer));
  const { last } = await tidelog.commit([{ dataset: 'd', op: 'put', entity: 'end', payload: true }]);
  await Promise.all(copies.map((one) => one.reached(last)));
  for (const one of copies) assert.deepEqual(held(one), truth(fake));
});
