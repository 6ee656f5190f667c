// Makes the pictures of docs/console.md anew, from the demo's data:
//
//     cargo run -- demo --data --listen 127.0.0.1:8111
//     NODE_PATH=target/test-tools/node/node_modules node tests/tools/pictures.mjs http://127.0.0.1:8111

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const { default: puppeteer } = createRequire(import.meta.url)('puppeteer-core');
const base = process.argv[2] ?? 'http://127.0.0.1:8000';
const folder = fileURLToPath(new URL('../../docs/console/', import.meta.url));
const PASSWORD = 'bellpull-demo';

/** A picture's name, who sees it, and where; then what is pressed first, and what is scrolled to. */
const PICTURES = [
  ['signin', null, ''],
  ['inbox', 'ada_admin', 'inbox'],
  ['grouped', 'ada_admin', 'inbox?group=ticket'],
  ['board', 'ada_admin', 'tickets'],
  ['list', 'ada_admin', 'tickets?view=list'],
  ['ticket', 'ada_admin', 'tickets/4'],
  ['preferences', 'ada_admin', 'preferences'],
  ['integrations', 'ada_admin', 'integrations'],
  ['account', 'ada_admin', 'account'],
  ['users', 'ada_admin', 'users'],
  ['projects', 'ada_admin', 'projects'],
  ['sends', 'ada_admin', 'sends'],
  ['templates', 'ada_admin', 'templates'],
  ['escalations', 'ada_admin', 'escalations'],
  ['deliveries', 'ada_admin', 'deliveries?status=FAILED'],
  ['analytics', 'ada_admin', 'analytics'],
  ['audit', 'ada_admin', 'audit'],
  ['operators', 'root_admin', 'operators'],
  ['actor', 'root_admin', 'operators', '[data-path="channels/email"] .open-actor'],
  ['slow', 'root_admin', 'operators', null, '#slow'],
];

async function signIn(username) {
  const body = JSON.stringify({ username, password: PASSWORD });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${base}/api/auth/login/`, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(`${username}: ${answer.status}`);
  return answer.text();
}

const browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
for (const user of new Set(PICTURES.map(([, user]) => user))) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(`${base}/console/`);
  if (user) await page.evaluate((kept) => sessionStorage.setItem('bellpull', kept), await signIn(user));
  for (const [name, , view, press, scroll] of PICTURES.filter(([, one]) => one === user)) {
    for (const width of [1280, 390]) {
      await page.setViewport({ width, height: 850 });
      await page.goto(`${base}/console/${view}`, { waitUntil: 'networkidle2' });
      await page.waitForSelector(user ? 'main h1' : 'form');
      if (press) await page.locator(press).click();
      if (scroll) await page.$eval(scroll, (one) => one.scrollIntoView());
      for (const value of ['light', 'dark']) {
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
        await new Promise((done) => setTimeout(done, 300));
        const path = `${folder}${name}-${width}-${value}.webp`;
        await page.screenshot({ path, type: 'webp', quality: 80 });
      }
    }
  }
}
await browser.close();
