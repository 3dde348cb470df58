/** The changes of one dataset as they come. */

import { byId, bytes, el, plain, say } from './dom.js';
import { authorised, tidelog } from './session.js';
import { encodeName, nameOf } from './tidelog.js';

const SHOWN = 60;
const PREVIEW = 200;
const MOST = 20_000;

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

function text(entry, most, indent) {
  const payload = nameOf(entry, 'payload');
  if (payload === undefined) return '';
  if (payload instanceof Uint8Array) return `${bytes(payload.length)}: ${plain(payload.subarray(0, most))}`;
  const json = JSON.stringify(payload, null, indent);
  const cut = json.length > most ? `${json.slice(0, most)} …` : json;
  return indent ? cut.split('\n').map(plain).join('\n') : plain(cut);
}

function row(entry, fresh) {
  const entity = plain(nameOf(entry, 'entity'));
  const origin = nameOf(entry, 'origin');
  const summary = el('summary', {},
    el('time', {}, clock.format(entry.time)),
    el('span', { class: `op op-${entry.op}` }, entry.op),
    el('bdi', { class: 'entity' }, entity),
    el('bdi', { class: 'payload' }, text(entry, PREVIEW)));
  const details = el('details', {}, summary);
  details.addEventListener('toggle', () => {
    const from = origin === undefined ? '' : `, from ${plain(origin)}`;
    details.append(el('p', { class: 'note' }, `key ${entry.key}, ${new Date(entry.time).toISOString()}${from}`),
      el('pre', {}, text(entry, MOST, 2) || 'no payload'));
  }, { once: true });
  return el('li', { class: fresh ? 'fresh' : undefined }, details);
}

export class Tail {
  #list = byId('tail'); #stop; #dataset; #cursor; #paused = false;

  constructor() {
    byId('pause').addEventListener('click', () => {
      this.#paused = !this.#paused;
      byId('pause').setAttribute('aria-pressed', String(this.#paused));
      say(byId('pause'), this.#paused ? 'Go on' : 'Pause');
      if (this.#paused) this.#end('paused');
      else void this.#run();
    });
    document.addEventListener('visibilitychange', () => this.#hide());
  }

  /** Lets go of the connection while nobody looks: a browser has only six for a server, for all its tabs. */
  #hide() {
    if (this.#paused || this.#dataset === undefined) return;
    if (document.hidden) this.#end('');
    else if (!this.#stop) void this.#run();
  }

  /** Shows another dataset's changes. */
  show(dataset) {
    if (this.#dataset !== undefined && encodeName(dataset) === encodeName(this.#dataset)) return;
    this.#end('');
    [this.#dataset, this.#cursor] = [dataset, undefined];
    this.#list.replaceChildren();
    if (!this.#paused) void this.#run();
  }

  #end(state) {
    this.#stop?.abort();
    this.#stop = undefined;
    say(byId('tail-state'), state);
  }

  async #run() {
    const stop = (this.#stop = new AbortController());
    const { signal } = stop;
    try {
      await authorised(() => this.#follow(this.#dataset, signal));
    } catch (error) {
      if (!signal.aborted) say(byId('tail-state'), error.message);
    }
  }

  async #follow(dataset, signal) {
    if (this.#cursor === undefined) {
      const path = `/v1/timelines/${encodeName(dataset)}?limit=20`;
      const { entries } = await tidelog.request('GET', path, { signal }).then(({ json }) => json);
      if (signal.aborted) return;
      this.#list.replaceChildren(...entries.map((entry) => row(entry, false)));
      this.#cursor = entries[0]?.key ?? 'head';
    }
    say(byId('tail-state'), 'live');
    for await (const event of tidelog.follow(dataset, { since: this.#cursor, view: 'every', limit: SHOWN, signal })) {
      if (signal.aborted) return;
      if (event.type === 'stale') {
        this.#cursor = undefined;
        return this.#follow(dataset, signal);
      }
      if (event.type === 'page') {
        this.#cursor = event.page.next;
        this.#add(event.entries);
      }
      const states = { page: 'live', online: 'live', offline: 'not reachable, trying again', missing: 'not there (now)' };
      say(byId('tail-state'), states[event.type]);
    }
  }

  #add(entries) {
    const rows = entries.slice(-SHOWN).map((entry) => row(entry, true)).reverse();
    this.#list.prepend(...rows);
    // What someone is reading stays.
    const old = [...this.#list.children].slice(SHOWN).filter((line) => !line.firstChild.open);
    for (const line of old) line.remove();
  }
}
