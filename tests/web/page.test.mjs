// The pages of a running server in a real browser. What it is given in the environment:
//
//   TIDELOG_URL     the server's address, such as http://127.0.0.1:7171
//   TIDELOG_TOKEN   a token that may write, if the server wants one
//   TIDELOG_SHOTS   a directory for pictures of the page, if some are wanted (page-light.png, page-dark.png)
//   CHROMIUM        the browser, if it is not in the PATH
//
// It writes to datasets that begin with `page-test/`.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { encodeName, newId, Tidelog } from '../../src/server/assets/tidelog.js';
import { Browser, findBrowser } from './browser.mjs';

const { TIDELOG_URL: url, TIDELOG_TOKEN: token, TIDELOG_SHOTS: shots } = process.env;
const found = findBrowser();
const skip = !url ? 'TIDELOG_URL is not set' : !found ? 'no Chromium is installed' : false;
if (skip) console.error(`SKIPPED: the pages in a browser: ${skip}`);

const HOSTILE = '<img src=x onerror="window.pwned = true"><script>window.pwned = true</script>';
const run = newId().slice(0, 8);
const dataset = `page-test/${run}`;
const quiet = `page-test/${run}-<b>other</b>`;

let browser;
let tidelog;

const write = (entity, payload, name = dataset) => tidelog.commit([{ dataset: name, op: 'put', entity, payload }], { origin: 'page-test' });

before(async () => {
  if (skip) return;
  tidelog = new Tidelog({ base: url, token });
  for (let i = 0; i < 30; i++) await write(`e${i % 10}`, { i, text: HOSTILE });
  await write('quiet', 1, quiet);
  browser = new Browser(found);
});

after(async () => {
  // It leaves nothing behind, where it may.
  for (const name of skip ? [] : [dataset, quiet]) await tidelog.request('DELETE', `/v1/datasets/${encodeName(name)}`).catch(() => {});
  await browser?.close();
});

const text = (id) => `document.getElementById('${id}').textContent`;

/** Opens a page, and gives the token if it is asked for. */
async function open(path, options) {
  const page = await browser.open(url + path, options);
  if (token && !path.startsWith('/v1/docs')) {
    await page.until(`document.getElementById('token-dialog')?.open`, 'it asks for a token');
    await page.type(token);
    await page.press('Enter');
  }
  return page;
}

async function live(page) {
  await page.until(`${text('status')} === 'live'`);
  await page.until(`document.querySelectorAll('#rows tr').length > 0 && /^\\d+$/.test(document.querySelector('#rows td').textContent)`, 'datasets with their heads');
  await page.until(`document.querySelectorAll('#tail li').length > 0 && ${text('tail-state')} === 'live'`, 'changes');
}

/** What a page must not do, whatever it shows. The console also tells of refusals that are part of the plan. */
async function innocent(page, ...planned) {
  const refusals = [...planned, ...(token ? ['401'] : [])];
  const complaints = page.complaints.filter((line) => !refusals.some((status) => line.includes(`status of ${status}`)));
  assert.deepEqual(complaints, []);
  assert.equal(await page.value('window.pwned'), undefined);
  assert.equal(await page.value(`document.querySelectorAll('main img, main script').length`), 0);
  const elsewhere = page.requests.filter((request) => new URL(request).origin !== new URL(url).origin);
  assert.deepEqual(elsewhere, [], 'it works without the internet');
}

function keep(name, picture) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  writeFileSync(join(shots, name), picture);
}

test('the page is live, and shows what is appended', { skip, timeout: 120_000 }, async () => {
  const page = await open(`/#${encodeName(dataset)}`);
  await live(page);
  assert.equal(await page.value(text('log-name')), dataset);
  const figures = await page.value(`[...document.querySelectorAll('#figures dd')].map((one) => one.textContent)`);
  assert.ok(figures.length >= 6 && figures.every((figure) => /\d/.test(figure)), `figures: ${figures}`);

  const { last } = await write('appended', { text: HOSTILE });
  await page.until(`[...document.querySelectorAll('#tail .entity')].some((one) => one.textContent === 'appended')`, 'the new change');
  await page.until(`document.querySelector('#log svg')?.getAttribute('aria-label')?.includes('head ${last}')`, 'the new head in the log');
  await page.until(`[...document.querySelectorAll('#rows tr.chosen td')][0]?.textContent === '${last}'`, 'the new head in the table')
    .catch(async (error) => {
      // The dataset need not be on the first page of names.
      if (await page.value(`document.querySelector('#rows tr.chosen') !== null`)) throw error;
    });
  await page.until(`['writes', 'reads'].every((id) => document.querySelector('#' + id + ' path.line.series-0')?.getAttribute('d')?.includes('L'))`, 'plots');
  await page.until(`document.querySelectorAll('#log rect[class^="zone"]').length === 3 && document.querySelector('#log polygon')`, 'the log');

  await page.value(`document.querySelector('#tail summary').focus()`);
  await page.press('Enter');
  await page.until(`document.querySelector('#tail pre')?.textContent.includes('onerror')`, 'a payload as text');
  await innocent(page);
});

test('datasets are found and chosen by keyboard', { skip, timeout: 120_000 }, async () => {
  const page = await open(`/#${encodeName(dataset)}`);
  await live(page);
  await page.value(`document.getElementById('prefix').focus()`);
  await page.type(`page-test/${run}-`);
  await page.until(`document.querySelectorAll('#rows tr').length === 1`, 'one row');
  for (let i = 0; i < 8 && !(await page.value(`document.activeElement.matches('#rows button')`)); i++) await page.press('Tab');
  await page.press('Enter');
  await page.until(`${text('log-name')} === ${JSON.stringify(quiet)}`, 'the other dataset');
  await page.until(`document.querySelector('#tail .entity')?.textContent === 'quiet'`, 'its changes');
  assert.equal(await page.value(`document.activeElement.getAttribute('aria-pressed')`), 'true');
  await innocent(page);
});

test('it can be read in light and dark, and on a phone', { skip, timeout: 180_000 }, async () => {
  const grounds = [];
  for (const scheme of ['light', 'dark']) {
    // A picture is of what is busiest, unless a test's own datasets are all there is.
    const page = await open(shots ? '/' : `/#${encodeName(dataset)}`, { scheme, height: 1160 });
    await live(page);
    if (shots) await new Promise((resolve) => setTimeout(resolve, Number(process.env.TIDELOG_SHOTS_AFTER_MS ?? 5000)));
    grounds.push(await page.value(`getComputedStyle(document.body).backgroundColor`));
    keep(`page-${scheme}.png`, await page.picture(true));
    await innocent(page);
  }
  const dark = (color) => color.match(/\d+/g).slice(0, 3).map(Number).every((part) => part < 80);
  assert.deepEqual(grounds.map(dark), [false, true]);
  const phone = await open('/', { width: 390, height: 844, mobile: true });
  await live(phone);
  assert.equal(await phone.value('document.documentElement.scrollWidth'), 390, 'nothing hangs over');
  await innocent(phone);
});

test('the JavaScript client and an EventSource work in the browser', { skip, timeout: 120_000 }, async () => {
  const page = await open(`/#${encodeName(dataset)}`);
  await live(page);
  await page.value(`import('/assets/tidelog.js').then(({ Tidelog }) => {
    window.copy = new Tidelog({ token: () => sessionStorage.getItem('tidelog-token') ?? undefined }).copy(${JSON.stringify(dataset)});
    copy.start();
    return new Promise((resolve) => copy.on('ready', () => resolve(true)));
  })`);
  if (!token) {
    await page.value(`void (window.source = new EventSource('/v1/datasets/${encodeName(dataset)}/events?since=head'),
      window.heard = [], source.addEventListener('changes', (event) => heard.push(...JSON.parse(event.data).entries)))`);
    await page.until('source.readyState === 1', 'an open EventSource');
  }
  const { last } = await write('übers Netz', 'ä€😀');
  assert.equal(await page.value(`copy.reached('${last}').then(() => copy.get('übers Netz').payload)`), 'ä€😀');
  if (!token) await page.until(`heard.some((entry) => entry.key === '${last}' && entry.payload === 'ä€😀')`, 'the event');
  const merged = await page.value(`copy.update('count', (n) => (n ?? 0) + 1).then(() => copy.update('count', (n) => (n ?? 0) + 1)).then(() => true)`);
  assert.equal(merged, true);
  assert.equal((await tidelog.get(dataset, 'count')).payload, 2);
  // The second update began with what the copy held, which may have been a moment behind the first.
  await innocent(page, '412');
});

test('the documentation shows every operation', { skip, timeout: 120_000 }, async () => {
  const document = await (await fetch(`${url}/v1/openapi.json`)).json();
  const methods = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];
  const operations = Object.values(document.paths).flatMap((item) => methods.filter((method) => item[method]));
  const page = await open('/v1/docs');
  await page.until(`document.querySelectorAll('#content article').length > 0`, 'operations');
  assert.equal(await page.value(`document.querySelectorAll('#content article .method').length`), operations.length);
  const dangling = await page.value(`[...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute('href').slice(1)).filter((id) => id !== 'content' && !document.getElementById(id))`);
  assert.deepEqual(dangling, []);
  await innocent(page);
  if (shots) keep('docs-light.png', await page.picture());
});

test('everything is served under a strict policy', { skip }, async () => {
  for (const path of ['/', '/v1/docs', '/assets/page.js', '/assets/style.css', '/assets/tidelog.js', '/assets/tide.svg']) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, 200, path);
    const policy = answer.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/, path);
    assert.doesNotMatch(policy, /unsafe/, path);
    await answer.arrayBuffer();
  }
});
