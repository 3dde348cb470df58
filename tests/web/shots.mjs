// Makes the pictures of the page in docs/: node tests/web/shots.mjs http://127.0.0.1:7171 docs [SECONDS [DATASET]]
// It looks at a running server for so many seconds first (100), so that its memory of two minutes has something to show.
// `pngquant --force --ext .png docs/page-*.png` makes them a third of their size.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { encodeName } from '../../src/server/assets/tidelog.js';
import { Browser, findBrowser } from './browser.mjs';

const [url, dir, seconds = '100', dataset] = process.argv.slice(2);
const path = findBrowser();
if (!dir || !path) {
  console.error(path ? 'usage: shots.mjs URL DIRECTORY [SECONDS [DATASET]]' : 'no Chromium is installed');
  process.exit(2);
}
const browser = new Browser(path);
const pages = {};
for (const scheme of ['light', 'dark']) {
  pages[scheme] = await browser.open(`${url}/${dataset ? `#${encodeName(dataset)}` : ''}`, { scheme, width: 1160, height: 900 });
  await pages[scheme].until(`document.getElementById('status').textContent === 'live'`);
}
await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
for (const [scheme, page] of Object.entries(pages)) writeFileSync(join(dir, `page-${scheme}.png`), await page.picture(true));
await browser.close();
