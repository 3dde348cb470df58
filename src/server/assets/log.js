/** One dataset's log, drawn along its keys, with what it looked like in the last two minutes. */

import { bytes, count, el, onWidth, say, svg } from './dom.js';
import { MEMORY_MS, Plot } from './plot.js';

const PAD = 10;
const BAR = { top: 30, height: 30 };
const PAST = { top: 84, height: 110 };
const HEIGHT = PAST.top + PAST.height + 36;

const ZONES = [
  ['live', 'up to T: the newest entry of each living entity'],
  ['deletes', 'up to F: deletes too'],
  ['all', 'above F: every change'],
];
const WINDOW = ['live', 'up to T: let go'];

/** Where the axis begins: before the first key, or shortly below the floors if all that happens would be at its far end. */
function origin(samples, now) {
  const before = String(BigInt(now.first) - 1n);
  const raised = samples.map((sample) => BigInt(sample.floor === '0' ? sample.history : sample.floor)).filter((key) => key > BigInt(now.first));
  if (!raised.length) return before;
  const lowest = raised.reduce((a, b) => (a < b ? a : b));
  if (share(lowest, now.first, now.head) < 0.6) return before;
  return String(lowest - (BigInt(now.head) - lowest) / 3n);
}

/** What a dataset is told to keep, in words. */
function kept({ keep, history, tombstones }) {
  const cap = ({ entries, bytes: size, age_ms: age } = {}) => [
    entries != null && `${count(entries)} entries`,
    size != null && bytes(size),
    age != null && (age < 172_800_000 ? `${count(Math.round(age / 3_600_000))} hours` : `${count(Math.round(age / 86_400_000))} days`),
  ].filter(Boolean).join(' or ') || 'all';
  const what = keep === 'window' ? 'Keeps a window of ' : 'Keeps what lives; of its history ';
  return `${what}${cap(history)}${keep === 'window' ? '' : `, of its deletes ${cap(tombstones)}`}.`;
}

/** A share of the way from `first` to `head`, between 0 and 1; keys are too large for numbers. */
function share(key, first, head) {
  const [at, from, to] = [BigInt(key), BigInt(first), BigInt(head)];
  if (to <= from || at <= from) return 0;
  return at >= to ? 1 : Number(((at - from) * 1_000_000n) / (to - from)) / 1_000_000;
}

export class Log {
  #samples = []; #root; #width = 0; #kept; #counts; #zones; #say; #retention;

  constructor(node) {
    this.#root = svg('svg', { role: 'img', height: HEIGHT });
    this.#zones = ZONES.map(([name, text]) => el('li', { class: `zone-${name}` }, el('i'), el('span', {}, text)));
    const parts = ['live', 'superseded', 'deletes'].map((name) => ({ bar: el('i', { class: `part-${name}` }), text: el('b', {}, '–'), name }));
    this.#counts = Object.fromEntries(parts.map((part) => [part.name, part]));
    this.#say = el('span', {}, '–');
    this.#retention = el('p', { class: 'note' });
    const plot = el('div', { class: 'plot' });
    node.append(
      this.#root,
      el('ul', { class: 'legend' }, ...this.#zones),
      el('h3', {}, 'Entries kept: ', this.#say),
      el('div', { class: 'parts', 'aria-hidden': 'true' }, ...parts.map((part) => part.bar)),
      el('ul', { class: 'legend' }, ...parts.map(({ name, text }) => el('li', { class: `part-${name}` }, el('i'), el('span', {}, `${name} `), text))),
      plot,
      this.#retention,
    );
    this.#kept = new Plot(plot, ['kept', 'superseded'], 'Entries kept', 110);
    onWidth(node, (width) => {
      this.#width = width;
      this.draw();
    });
  }

  clear() {
    this.#samples = [];
    this.#kept.clear();
    this.#root.replaceChildren();
  }

  /** Adds what the server says of the dataset now. */
  push(at, stat) {
    const before = this.#samples.at(-1);
    // A dataset that was deleted and made again is another one.
    if (before && before.first !== stat.first) this.clear();
    const { first, floor, history_floor: history, head } = stat;
    this.#samples.push({ at, first, floor, history, head });
    this.#samples = this.#samples.filter((sample) => sample.at > at - MEMORY_MS);
    this.#kept.push(at, [stat.entries, stat.superseded]);
    this.#count(stat);
    this.draw();
  }

  #count(stat) {
    const window = stat.retention?.keep === 'window';
    const live = stat.entries - stat.superseded - stat.tombstones;
    const values = { live, superseded: stat.superseded, deletes: stat.tombstones };
    for (const [name, value] of Object.entries(values)) {
      this.#counts[name].bar.style.flexGrow = value;
      say(this.#counts[name].text, count(value));
    }
    say(this.#say, `${count(stat.entries)}, ${bytes(stat.bytes)}`);
    say(this.#zones[0].lastChild, (window ? WINDOW : ZONES[0])[1]);
    this.#zones[1].hidden = window;
    say(this.#retention, stat.retention ? kept(stat.retention) : '');
    const words = `first key ${stat.first}, tombstone floor ${stat.floor}, history floor ${stat.history_floor}, head ${stat.head}`;
    this.#root.setAttribute('aria-label', `The log: ${words}; ${count(stat.entries)} entries`);
  }

  draw() {
    const now = this.#samples.at(-1);
    if (!this.#width || !now) return;
    const left = origin(this.#samples, now);
    const cut = BigInt(left) >= BigInt(now.first);
    const x = (key) => PAD + share(key, left, now.head) * (this.#width - 2 * PAD);
    const [from, to] = [x(left), x(now.head)];
    const cuts = [from, x(now.floor), Math.max(x(now.floor), x(now.history)), to];
    const bar = ZONES.map(([name], i) =>
      svg('rect', { class: `zone-${name}`, x: cuts[i], y: BAR.top, width: Math.max(0, cuts[i + 1] - cuts[i]), height: BAR.height }));
    // The axis is cut: what lies before it goes on to the left.
    if (cut) bar.push(svg('path', { class: 'cut', d: `M${from} ${BAR.top - 3}l-4 9l8 9l-8 9l4 9` }));
    const marks = [
      ...this.#mark(cuts[1], 'T', now.floor, BAR.top + BAR.height + 16),
      ...this.#mark(cuts[2], 'F', now.history, BAR.top - 8),
    ];
    const [start, end] = [cut ? `first ${now.first} … ${left}` : `first ${now.first}`, `head ${now.head}`];
    const below = PAST.top + PAST.height + 17;
    const tight = (start.length + end.length) * 7.5 > to - from;
    const ends = [svg('text', { x: from, y: below }, start), svg('text', { x: to, y: tight ? below + 15 : below, 'text-anchor': 'end' }, end)];
    this.#root.setAttribute('viewBox', `0 0 ${this.#width} ${HEIGHT}`);
    this.#root.setAttribute('width', this.#width);
    this.#root.replaceChildren(...bar, ...this.#past(now, x), ...marks, ...ends);
  }

  /** A floor's line through bar and past, with its key at `y`; nothing if it has not moved from the start. */
  #mark(at, name, key, y) {
    if (at <= PAD) return [];
    const anchor = at > this.#width / 2 ? 'end' : 'start';
    return [
      svg('line', { class: 'mark', x1: at, x2: at, y1: BAR.top - 4, y2: BAR.top + BAR.height + 4 }),
      svg('text', { class: 'strong', x: at + (anchor === 'end' ? 2 : -2), y, 'text-anchor': anchor }, `${name} ${key}`),
    ];
  }

  /** The same bar at each moment that is remembered: the newest on top, two minutes down to the bottom. */
  #past(now, x) {
    const y = (at) => PAST.top + ((now.at - at) / MEMORY_MS) * PAST.height;
    const samples = this.#samples.toReversed();
    const steps = samples.map((sample, i) => ({ sample, top: i ? y(samples[i - 1].at) : PAST.top, bottom: y(sample.at) }));
    const edge = (pick) => steps.map(({ sample, top, bottom }) => [[x(pick(sample)), top], [x(pick(sample)), bottom]]).flat();
    const edges = [
      edge((sample) => sample.first),
      edge((sample) => sample.floor),
      edge((sample) => (BigInt(sample.history) > BigInt(sample.floor) ? sample.history : sample.floor)),
      edge((sample) => sample.head),
    ];
    const points = (list) => list.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
    const zones = ZONES.map(([name], i) =>
      svg('polygon', { class: `zone-${name} past`, points: points([...edges[i], ...edges[i + 1].toReversed()]) }));
    const frame = svg('rect', { class: 'frame', x: PAD, y: PAST.top, width: this.#width - 2 * PAD, height: PAST.height });
    return [frame, ...zones, svg('text', { class: 'over', x: PAD + 6, y: PAST.top + 15 }, 'now'),
      svg('text', { class: 'over', x: PAD + 6, y: PAST.top + PAST.height - 7 }, '2 minutes ago')];
  }
}
