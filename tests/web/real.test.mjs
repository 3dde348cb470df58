// The JavaScript client against the real server, which is killed under it: TIDELOG_BIN is the `tidelog` to start.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { REMOVE, Tidelog } from '../../src/server/assets/tidelog.js';

const { TIDELOG_BIN: bin } = process.env;
const skip = bin ? false : 'TIDELOG_BIN is not set';
if (skip) console.error(`SKIPPED: the JavaScript client against the real server: ${skip}`);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A port that was free a moment ago: the server is to come back at the same address. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

class Server {
  constructor(port) {
    this.port = port;
    this.base = `http://127.0.0.1:${port}`;
    this.dir = mkdtempSync(join(tmpdir(), 'tidelog-real-'));
  }

  async start() {
    const child = spawn(bin, ['--data', join(this.dir, 'store'), 'serve', '--listen', `127.0.0.1:${this.port}`, '--heartbeat', '1'], { stdio: 'ignore' });
    this.child = child;
    this.gone = new Promise((resolve) => child.on('exit', resolve));
    for (let tries = 0; tries < 300; tries++) {
      const answer = await fetch(`${this.base}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await pause(100);
    }
    throw new Error('the server did not start');
  }

  async kill(signal = 'SIGKILL') {
    this.child.kill(signal);
    await this.gone;
  }
}

async function state(base, dataset) {
  const items = {};
  let since = 'start';
  for (;;) {
    const { entries, page } = await (await fetch(`${base}/v1/datasets/${dataset}/changes?limit=7&since=${since}`)).json();
    for (const { entity, key, payload, op } of entries) {
      if (op === 'delete') delete items[entity];
      else items[entity] = { key, payload };
    }
    if (!page.more) return items;
    since = page.next;
  }
}

test('copies end equal to a server that was killed under load', { skip, timeout: 180_000 }, async () => {
  const server = new Server(await freePort());
  const copies = [];
  try {
    await server.start();
    const tidelog = new Tidelog({ base: server.base, minDelayMs: 20, maxDelayMs: 500, idleMs: 5000, waitSeconds: 2 });
    for (const transport of ['auto', 'auto', 'poll']) copies.push(tidelog.copy('d', { transport, limit: 10 }));
    const events = [];
    for (const copy of copies) {
      for (const type of ['offline', 'online']) copy.on(type, () => events.push(type));
      copy.start();
    }
    const added = {};
    let writing = true;
    const writer = async (who) => {
      for (let i = 0; writing; i++) {
        const entity = `e${(i * 5 + who) % 11}`;
        const answer = await tidelog.update('d', entity, (n) => (i % 9 === 8 ? REMOVE : (n ?? 0) + 1), { conflicts: 500, attempts: 500 });
        if (answer && i % 9 !== 8) added[answer.last] = entity;
        await tidelog.commit([{ dataset: 'd', op: 'put', entity: `count-${who}`, payload: i }], { attempts: 500 });
        if (i % 4 === who) await pause(20);
      }
    };
    const writers = [0, 1, 2].map(writer);
    for (let kills = 0; kills < 3; kills++) {
      await pause(1500);
      await server.kill();
      await pause(300);
      await server.start();
    }
    await pause(1000);
    writing = false;
    await Promise.all(writers);
    const { last } = await tidelog.commit([{ dataset: 'd', op: 'put', entity: 'end', payload: 'fin ä€😀' }]);
    await Promise.all(copies.map((copy) => copy.reached(last)));
    const truth = await state(server.base, 'd');
    assert.equal(truth.end.payload, 'fin ä€😀');
    for (const copy of copies) {
      const held = Object.fromEntries([...copy.values()].map(({ entity, key, payload }) => [entity, { key, payload }]));
      assert.deepEqual(held, truth);
    }
    assert.ok(events.includes('offline') && events.includes('online'), 'the kills were felt');
    // Every update that was answered is in the log under the key that was told.
    const log = await (await fetch(`${server.base}/v1/datasets/d/changes?since=oldest&view=every&limit=10000`)).json();
    const keys = new Map(log.entries.map(({ key, entity }) => [key, entity]));
    assert.ok(Object.keys(added).length > 20, 'something was written');
    for (const [key, entity] of Object.entries(added)) assert.equal(keys.get(key), entity, `the update at ${key} is lost`);
    // Each commit was done once, however often it had to be sent.
    for (const who of [0, 1, 2]) {
      const counted = log.entries.filter(({ entity }) => entity === `count-${who}`).map(({ payload }) => payload);
      assert.deepEqual(counted, counted.map((_, i) => i));
    }
  } finally {
    for (const copy of copies) copy.stop();
    await server.kill('SIGTERM');
    rmSync(server.dir, { recursive: true, force: true });
  }
});
