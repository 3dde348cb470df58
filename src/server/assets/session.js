/** The server as this page speaks to it, with a token if one is needed. */

import { byId, say } from './dom.js';
import { Tidelog } from './tidelog.js';

const KEY = 'tidelog-token';

export const tidelog = new Tidelog({ token: () => sessionStorage.getItem(KEY) ?? undefined });

let asking;

/** Asks for a token, once for all who need one. */
function ask(refused) {
  asking ??= new Promise((resolve) => {
    const dialog = byId('token-dialog');
    const form = byId('token-form');
    if (refused) say(byId('token-note'), 'The server does not know this token.');
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, byId('token').value.trim());
      byId('token').value = '';
      dialog.close();
      asking = undefined;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** Does `work`, and again with a token if the server asks for one. */
export async function authorised(work) {
  for (;;) {
    const sent = sessionStorage.getItem(KEY);
    try {
      return await work();
    } catch (error) {
      if (error.status !== 401) throw error;
      // Another request may have asked meanwhile.
      if (sessionStorage.getItem(KEY) === sent) await ask(sent !== null);
    }
  }
}

/** Calls `work` every `ms` while the page is seen, one call after the other, and at once when `now()` is called. */
export function every(ms, work) {
  let timer;
  let running = false;
  let again = false;
  const turn = async () => {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      if (!document.hidden) await work();
    } catch (error) {
      console.error(error);
    }
    running = false;
    timer = setTimeout(turn, again ? 0 : ms);
    again = false;
  };
  document.addEventListener('visibilitychange', () => document.hidden || turn());
  void turn();
  return turn;
}
