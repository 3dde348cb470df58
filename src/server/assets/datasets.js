/** The table of datasets: a page of names, and what each of them holds. */

import { ago, byId, bytes, count, el, plain, say } from './dom.js';
import { authorised, every, tidelog } from './session.js';
import { encodeName, nameOf } from './tidelog.js';

const PAGE = 12;
const AT_ONCE = 4;

export class Datasets {
  #rows = new Map(); #starts = [undefined]; #next; #chosen; #choose; #turn;

  /** `choose` is told the name that was chosen. */
  constructor(choose) {
    this.#choose = choose;
    byId('prefix').addEventListener('input', () => {
      this.#starts = [undefined];
      this.#turn();
    });
    byId('next').addEventListener('click', () => {
      this.#starts.push(this.#next);
      this.#turn();
    });
    byId('previous').addEventListener('click', () => {
      this.#starts.pop();
      this.#turn();
    });
    this.#turn = every(2000, () => this.#refresh());
  }

  /** Shows which one is chosen. */
  mark(name) {
    this.#chosen = name === undefined ? undefined : encodeName(name);
    for (const [id, row] of this.#rows) this.#press(id, row);
  }

  #press(id, row) {
    row.line.classList.toggle('chosen', id === this.#chosen);
    row.button.setAttribute('aria-pressed', String(id === this.#chosen));
  }

  async #refresh() {
    const prefix = byId('prefix').value || undefined;
    const after = this.#starts.at(-1);
    let answer;
    try {
      answer = await authorised(() => tidelog.datasets({ prefix, limit: PAGE, ...after }));
    } catch (error) {
      say(byId('datasets-note'), error.message);
      return;
    }
    const { page } = answer;
    this.#next = page.more ? { after: page.after, after_base64: page.after_base64 } : undefined;
    byId('next').disabled = !page.more;
    byId('previous').disabled = this.#starts.length < 2;
    const names = answer.datasets.map((row) => nameOf(row, 'dataset'));
    this.#show(names);
    const none = prefix ? 'No dataset begins like this.' : 'There is no dataset yet.';
    say(byId('datasets-note'), names.length ? '' : none);
    const stats = await this.#stats(names);
    // Nothing was chosen yet: what changed last is the most likely to be worth a look.
    const [latest] = stats.sort((a, b) => b.stat.time - a.stat.time);
    if (this.#chosen === undefined && latest) this.#choose(latest.name);
  }

  #show(names) {
    const ids = names.map(encodeName);
    const same = ids.length === this.#rows.size && [...this.#rows.keys()].every((id, i) => id === ids[i]);
    if (same) return;
    const old = this.#rows;
    this.#rows = new Map(names.map((name, i) => [ids[i], old.get(ids[i]) ?? this.#row(name)]));
    byId('rows').replaceChildren(...[...this.#rows.values()].map((row) => row.line));
    for (const [id, row] of this.#rows) this.#press(id, row);
  }

  #row(name) {
    const button = el('button', { type: 'button', class: 'name', onclick: () => this.#choose(name) }, el('bdi', {}, plain(name)));
    const cells = Array.from({ length: 7 }, () => el('td', { class: 'number' }, '–'));
    return { button, cells, line: el('tr', {}, el('th', { scope: 'row' }, button), ...cells) };
  }

  async #stats(names) {
    const left = [...names];
    const stats = [];
    const worker = async () => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        try {
          const stat = await authorised(() => tidelog.stat(name));
          stats.push({ name, stat });
          this.fill(name, stat);
        } catch (error) {
          // Deleted meanwhile, or out of this token's reach: the row stays as it is.
          if (![403, 404].includes(error.status)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return stats;
  }

  /** Writes what a dataset holds into its row, if it has one here. */
  fill(name, stat) {
    const row = this.#rows.get(encodeName(name));
    const live = stat.entries - stat.superseded - stat.tombstones;
    const floor = (key) => (key === '0' ? '–' : key);
    const texts = [stat.head, floor(stat.history_floor), floor(stat.floor), count(stat.entries), count(live), bytes(stat.bytes), ago(stat.time)];
    texts.forEach((text, i) => row && say(row.cells[i], text));
  }
}
