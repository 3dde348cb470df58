// Headless Chromium, driven over its debugging pipe: no package, no port.

import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The browser to use: $CHROMIUM, or what the system has; undefined if there is none. */
export function findBrowser() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const places = (process.env.PATH ?? '').split(':').flatMap((dir) => names.map((name) => join(dir, name)));
  return [process.env.CHROMIUM, ...places].find((path) => {
    try {
      accessSync(path ?? '', constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export class Browser {
  #calls = new Map(); #next = 1; #child; #profile; #rest = '';
  /** Called with each event: its method, parameters and session. */
  onevent = () => {};

  constructor(path) {
    this.#profile = mkdtempSync(join(tmpdir(), 'tidelog-browser-'));
    const flags = ['--headless=new', '--remote-debugging-pipe', '--no-first-run', '--disable-gpu', '--disable-dev-shm-usage',
      '--disable-background-networking', '--disable-component-update', '--hide-scrollbars', `--user-data-dir=${this.#profile}`];
    // As root, as in a container, Chromium refuses to run with its sandbox. The page is our own.
    if (process.getuid?.() === 0) flags.push('--no-sandbox');
    this.#child = spawn(path, [...flags, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    this.#child.stdio[4].setEncoding('utf8').on('data', (text) => this.#read(text));
    const lost = (why) => {
      for (const { reject } of this.#calls.values()) reject(new Error(`the browser ended: ${why}`));
    };
    this.#child.on('error', lost);
    this.ended = new Promise((resolve) => this.#child.on('exit', (code) => resolve(lost(`exit ${code}`))));
    this.#child.stdio[3].on('error', () => {});
  }

  #read(text) {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop();
    for (const message of messages.map((one) => JSON.parse(one))) {
      const call = this.#calls.get(message.id);
      this.#calls.delete(message.id);
      if (!call) this.onevent(message.method, message.params, message.sessionId);
      else if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
      else call.resolve(message.result);
    }
  }

  call(method, params = {}, sessionId) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, method });
      this.#child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
    });
  }

  /** A page of its own, in `light` or `dark`. It keeps what the page complains of. */
  async open(url, { scheme = 'light', width = 1280, height = 1000, mobile = false } = {}) {
    const { browserContextId } = await this.call('Target.createBrowserContext');
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    const before = this.onevent;
    this.onevent = (method, params, session) => (session === sessionId ? page.note(method, params) : before(method, params, session));
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.call(`${domain}.enable`);
    await page.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile });
    await page.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
    await page.call('Page.navigate', { url });
    return page;
  }

  async close() {
    await Promise.race([this.call('Browser.close').catch(() => {}), this.ended]);
    const slow = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await this.ended;
    clearTimeout(slow);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Page {
  #browser; #session;
  /** Errors on the console, exceptions, refusals by the content security policy. */
  complaints = [];
  /** Where requests went. */
  requests = [];

  constructor(browser, session) {
    [this.#browser, this.#session] = [browser, session];
  }

  note(method, params) {
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Log.entryAdded' && params.entry.level === 'error') this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    if (method === 'Runtime.consoleAPICalled' && params.type === 'error') this.complaints.push(params.args.map((arg) => arg.description ?? arg.value).join(' '));
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
  }

  call(method, params) {
    return this.#browser.call(method, params, this.#session);
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const answer = await this.call('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    return answer.result.value;
  }

  /** Waits until an expression holds in the page. */
  async until(expression, what = expression, ms = 20_000) {
    for (const end = Date.now() + ms; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
      if (await this.value(expression).catch(() => false)) return;
    }
    throw new Error(`not in ${ms / 1000} s: ${what}; the page says: ${await this.value('document.body?.innerText.slice(0, 600)')}; ${this.complaints.join('; ')}`);
  }

  async type(text) {
    await this.call('Input.insertText', { text });
  }

  async press(key, code = key) {
    const keys = { Tab: 9, Enter: 13, ' ': 32 };
    const event = { key, code, windowsVirtualKeyCode: keys[key], text: key === 'Enter' ? '\r' : undefined };
    await this.call('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
    await this.call('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  /** A picture of the page as PNG, of all its height if `whole`. */
  async picture(whole = false) {
    const { data } = await this.call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: whole });
    return Buffer.from(data, 'base64');
  }
}
