/** The page at `/`: what the store holds and does. */

import { Datasets } from './datasets.js';
import { brief, byId, bytes, count, el, plain, say } from './dom.js';
import { Log } from './log.js';
import { Plot } from './plot.js';
import { authorised, every, tidelog } from './session.js';
import { Tail } from './tail.js';
import { encodeName } from './tidelog.js';

const writes = new Plot(byId('writes'), ['entries', 'commits'], 'Appends per second');
const reads = new Plot(byId('reads'), ['entries', 'pages'], 'Reads per second');
const log = new Log(byId('log'));
const tail = new Tail();

const FIGURES = [
  ['Datasets', ({ stat }) => count(stat.datasets)],
  ['Newest key', ({ stat }) => stat.visible],
  ['Commits', ({ metrics }) => brief(metrics.commits)],
  ['Refused', ({ metrics }) => brief(metrics.conflicts ?? 0)],
  ['Log', ({ stat }) => bytes(stat.log_bytes)],
  ['Index', ({ stat }) => bytes(stat.store_bytes)],
  ['Dropped', ({ metrics }) => brief(metrics.compaction_dropped ?? 0)],
  ['Waiting', ({ metrics }) => brief(metrics.watchers ?? 0)],
];
const HINTS = {
  Commits: 'since the store was opened',
  Refused: 'commits whose expectation did not hold, since the store was opened',
  Log: 'live log segments on disk',
  Index: 'the index store on disk, about',
  Dropped: 'entries dropped by compaction, since the store was opened',
  Waiting: 'long-polls and streams that wait for changes',
};

const figures = FIGURES.map(([name, read]) => {
  const value = el('dd', {}, '–');
  byId('figures').append(el('div', { title: HINTS[name] }, el('dt', {}, name), value));
  return { value, read };
});

let before;

async function store() {
  let now;
  try {
    now = await authorised(() => tidelog.store());
  } catch (error) {
    status(error.status ? error.message : 'not reachable', 'bad');
    before = undefined;
    writes.push(Date.now(), null);
    reads.push(Date.now(), null);
    return;
  }
  status('live', 'good');
  say(byId('dir'), plain(now.stat.dir ?? ''));
  for (const { value, read } of figures) {
    say(value, read(now));
    value.parentNode.classList.toggle('long', value.textContent.length > 9);
  }
  const at = Date.now();
  rate(at, now.metrics);
  before = { at, metrics: now.metrics };
}

/** Plots what was counted since the last time; a server that was started anew counts from zero. */
function rate(at, metrics) {
  if (!before || metrics.commits < before.metrics.commits || metrics.pages < before.metrics.pages) return;
  const per = (name) => ((metrics[name] - before.metrics[name]) * 1000) / Math.max(1, at - before.at);
  writes.push(at, [per('entries'), per('commits')]);
  reads.push(at, [per('entries_read'), per('pages')]);
}

function status(text, state) {
  say(byId('status'), text);
  byId('status').dataset.state = state;
}

let chosen;

function choose(name) {
  const id = encodeName(name);
  if (chosen !== undefined && encodeName(chosen) === id) return;
  chosen = name;
  history.replaceState(null, '', `#${id}`);
  byId('chosen').hidden = false;
  say(byId('log-name'), plain(name));
  datasets.mark(name);
  log.clear();
  tail.show(name);
  look();
}

/** The name in the address, if there is one. */
function addressed() {
  const bytes = [...location.hash.slice(1).matchAll(/%([0-9A-Fa-f]{2})|(.)/gs)].map(([, hex, char]) => hex ? Number.parseInt(hex, 16) : char.charCodeAt(0));
  if (!bytes.length) return undefined;
  const raw = Uint8Array.from(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return raw;
  }
}

const datasets = new Datasets(choose);
const look = every(1000, async () => {
  const name = chosen;
  if (name === undefined) return;
  try {
    const stat = await authorised(() => tidelog.stat(name));
    datasets.fill(name, stat);
    if (name === chosen) log.push(Date.now(), stat);
  } catch (error) {
    if (error.status === 404 && name === chosen) log.clear();
  }
});
every(1000, store);

const first = addressed();
if (first !== undefined) choose(first);
addEventListener('hashchange', () => addressed() !== undefined && choose(addressed()));
