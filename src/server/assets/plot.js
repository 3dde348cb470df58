/** A plot of a few figures over the last two minutes. */

import { brief, el, onWidth, say, svg } from './dom.js';

/** How far back the page remembers. */
export const MEMORY_MS = 120_000;

const HEIGHT = 150;
const LEFT = 46;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;

/** The next round number at or above `value`: 1, 2 or 5 with zeros. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
}

export class Plot {
  #series; #root; #values; #samples = []; #width = 0; #label; #height;

  /** `series` names what is plotted, in the order of the values; `label` says it to those who do not see it. */
  constructor(node, series, label, height = HEIGHT) {
    this.#series = series;
    this.#label = label;
    this.#height = height;
    this.#values = series.map(() => el('b', {}, '–'));
    const key = (name, i) => el('li', { class: `series-${i}` }, el('i'), `${name} `, this.#values[i]);
    this.#root = svg('svg', { role: 'img', height });
    node.append(this.#root, el('ul', { class: 'legend' }, ...series.map(key)));
    onWidth(node, (width) => {
      this.#width = width;
      this.draw();
    });
  }

  /** Adds a sample; null where there is none, which leaves a gap. */
  push(at, values) {
    this.#samples.push({ at, values });
    this.#samples = this.#samples.filter((sample) => sample.at > at - MEMORY_MS - 2000);
    values?.forEach((value, i) => say(this.#values[i], brief(value)));
    if (values) this.#root.setAttribute('aria-label', `${this.#label}: ${this.#series.map((name, i) => `${name} ${brief(values[i])}`).join(', ')}`);
    this.draw();
  }

  clear() {
    this.#samples = [];
    this.draw();
  }

  draw() {
    if (!this.#width) return;
    const now = this.#samples.at(-1)?.at ?? 0;
    const top = roundUp(Math.max(...this.#samples.flatMap((sample) => sample.values ?? []), 1));
    const x = (at) => LEFT + (1 - (now - at) / MEMORY_MS) * (this.#width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (this.#height - TOP - BOTTOM);
    const parts = [0, 0.5, 1].flatMap((share) => [
      svg('line', { class: 'grid', x1: LEFT, x2: this.#width - RIGHT, y1: y(share * top), y2: y(share * top) }),
      svg('text', { x: LEFT - 8, y: y(share * top) + 4, 'text-anchor': 'end' }, brief(share * top)),
    ]);
    for (const [seconds, anchor] of [[120, 'start'], [60, 'middle'], [0, 'end']]) {
      const text = seconds ? `${seconds} s ago` : 'now';
      parts.push(svg('text', { x: x(now - seconds * 1000), y: this.#height - 4, 'text-anchor': anchor }, text));
    }
    const seen = this.#samples.filter((sample) => sample.at >= now - MEMORY_MS);
    this.#series.forEach((_, i) => {
      const line = this.#path(seen, i, x, y);
      if (i === 0) parts.push(svg('path', { class: `area series-${i}`, d: this.#area(seen, i, x, y) }));
      parts.push(svg('path', { class: `line series-${i}`, d: line }));
    });
    this.#root.setAttribute('viewBox', `0 0 ${this.#width} ${this.#height}`);
    this.#root.setAttribute('width', this.#width);
    this.#root.replaceChildren(...parts);
  }

  #path(samples, i, x, y) {
    let pen = 'M';
    let path = '';
    for (const { at, values } of samples) {
      if (values) path += `${pen}${x(at).toFixed(1)} ${y(values[i]).toFixed(1)}`;
      pen = values ? 'L' : 'M';
    }
    return path;
  }

  #area(samples, i, x, y) {
    const runs = [[]];
    for (const sample of samples) {
      if (sample.values) runs.at(-1).push(sample);
      else runs.push([]);
    }
    const area = (run) => `${this.#path(run, i, x, y)}L${x(run.at(-1).at).toFixed(1)} ${y(0)}L${x(run[0].at).toFixed(1)} ${y(0)}Z`;
    return runs.filter((run) => run.length > 1).map(area).join('');
  }
}
