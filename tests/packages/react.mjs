// @bellpull/react with React 19 and 18, in the example applications, in Chromium, on a real hub.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';
import {
  blocks, chromium, hub, install, installed, pages, rest, root, run, send, size, until,
} from './support.mjs';

const SIZE_MAX = 6_000; // without React and the client

const present = install(['client', 'react']);
const { folder, modules } = present;
const others = { react: 'react18', 'react-dom': 'react-dom18' };
const older = install(['client', 'react'], others, present.tar);
const [ada, ben, cleo, dora, emil] = hub.people;
const examples = (at) => join(at.folder, 'sources/clients/js/examples');
const external = ['react', 'react-dom', 'react/jsx-runtime', '@bellpull/client'];
const axe = readFileSync(join(process.env.CLIENT_MODULES, 'axe-core/axe.min.js'), 'utf8');
let browser;

const sites = new Map();

/** Builds the application and serves it, once for each version of React. */
async function built(at) {
  if (!sites.has(at)) sites.set(at, await build(at));
  return sites.get(at);
}

async function build(at) {
  const vite = await import(pathToFileURL(installed.resolve('vite')));
  const outDir = join(at.folder, 'built');
  await vite.build({ root: join(examples(at), 'vite'), logLevel: 'error', resolve: { preserveSymlinks: true },
    build: { outDir, emptyOutDir: true } });
  return pages({ '/': readFileSync(join(outDir, 'index.html')), folder: outDir });
}

/** A tab with its sockets, and what it complains of. */
async function open(url) {
  const context = await browser.createBrowserContext();
  const tab = await context.newPage();
  const said = [];
  tab.on('console', (one) => { if (['error', 'warning'].includes(one.type())) said.push(one.text()); });
  tab.on('pageerror', (error) => said.push(String(error)));
  const protocol = await tab.createCDPSession();
  await protocol.send('Network.enable');
  let made = 0;
  protocol.on('Network.webSocketCreated', () => { made += 1; });
  await tab.goto(url);
  return { tab, said, context, made: () => made };
}

const session = (person, more = '') => `#hub=${hub.base}/&token=${person.token}${more}`;
const text = (tab, selector) => tab.evaluate((one) => document.querySelector(one)?.textContent, selector);
const inside = 'main > section ';
const rows = (tab) => tab.evaluate((one) => [...document.querySelectorAll(`${one}[data-bellpull=row] strong`)]
  .map((title) => title.textContent), inside);

async function isAccessible(tab) {
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
}

async function application(at, person) {
  const site = await built(at);
  for (let n = 0; n < 3; n += 1) await send(person, `Old ${n}`);
  const { tab, said, context, made } = await open(site.at + '/' + session(person));
  await until('the old ones', async () => (await rows(tab)).length === 3);
  await until('the count', async () => (await text(tab, 'h1')) === 'Desk (3)');
  assert.equal(made(), 1, 'StrictMode mounts twice, and there is one socket');
  const id = await send(person, 'New');
  await until('it is there', async () => (await rows(tab))[0] === 'New');
  await until('its toast', async () => (await text(tab, '#toasts')).endsWith('New'));
  assert.equal(await text(tab, '#newest'), 'New');
  const drawn = await tab.evaluate(() => document.querySelector('#newest').dataset.drawn);
  // Elsewhere one is read: it is drawn so, and what selects titles only is not drawn again.
  await rest(person.token, 'POST', `api/notifications/${id}/mark_as_read/`);
  await until('it is read', async () => (await text(tab, 'h1')) === 'Desk (3)'
    && await tab.evaluate((one) => document.querySelector(`${one}[data-bellpull=row]`).dataset.read === 'true', inside));
  assert.equal(await tab.evaluate(() => document.querySelector('#newest').dataset.drawn), drawn);
  await isAccessible(tab);
  // By keyboard alone: the tab of unread ones, the second row, and its notification is opened.
  await tab.focus('[role=tab]');
  await tab.keyboard.press('ArrowRight');
  await until('unread ones', async () => (await rows(tab)).length === 3);
  await tab.focus(`${inside}[data-bellpull=open]`);
  await tab.keyboard.press('ArrowDown');
  await tab.keyboard.press('Enter');
  await until('it is opened', async () => (await tab.title()) === 'Old 1');
  await until('it has left the list', async () => (await rows(tab)).join() === 'Old 2,Old 0');
  // The bell: opens, is accessible, closes with Escape and has the focus again.
  await tab.click('[data-bellpull=bell] > button');
  await until('a dialog', () => tab.$('[role=dialog] [data-bellpull=row]'));
  await isAccessible(tab);
  await tab.keyboard.press('Escape');
  await until('no dialog', async () => await tab.$('[role=dialog]') === null);
  assert.equal(await tab.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Notifications, 2 unread');
  // Preferences: a change is kept.
  await tab.evaluate((one) => [...document.querySelectorAll(`${one}button`)]
    .find((button) => button.textContent === 'Settings').click(), inside);
  const box = 'input[aria-label="ticket opened: sms"]';
  await until('preferences', () => tab.$(box));
  const wasOn = await tab.evaluate((one) => document.querySelector(one).checked, box);
  await tab.click(box);
  await until('it is kept', async () => {
    const { events } = await rest(person.token, 'GET', 'api/preferences/');
    return events.ticket_opened.SMS === !wasOn;
  });
  assert.equal(made(), 1);
  assert.deepEqual(said, []);
  await context.close();
}

browser = await chromium();
await run({
  async 'the package is small'() {
    const bytes = size(folder, "export * from '@bellpull/react';", external);
    console.log(`  ${bytes} bytes of gzip`);
    assert(bytes <= SIZE_MAX, String(bytes));
  },

  async 'the lines of the README are drawn'() {
    const [lines] = blocks('js/react', 'jsx');
    const test = `${lines}
      import { renderToString } from 'react-dom/server';
      export const html = renderToString(<App session={{ accessToken: () => '' }} />);`;
    const outfile = join(folder, 'readme.cjs');
    await installed('esbuild').build({ stdin: { contents: test, loader: 'jsx', resolveDir: folder },
      bundle: true, platform: 'node', jsx: 'automatic', outfile, logLevel: 'silent' });
    const { html } = createRequire(outfile)(outfile);
    assert.match(html, /<button[^>]*aria-label="Notifications"/);
  },

  'an application with React 19': () => application(present, ada),
  'an application with React 18': () => application(older, ben),

  async 'right to left'() {
    const site = await built(present);
    await send(cleo, 'One');
    const { tab, said, context } = await open(site.at + '/' + session(cleo, '&dir=rtl'));
    await until('a row', async () => (await rows(tab)).length === 1);
    await tab.focus('[role=tab]');
    await tab.keyboard.press('ArrowLeft');
    assert.equal(await text(tab, '[role=tab][aria-selected=true]'), 'Unread');
    await isAccessible(tab);
    assert.deepEqual(said, []);
    await context.close();
  },

  async 'a page without a framework, with the modules of the hub'() {
    const site = await pages({ '/': readFileSync(join(root, 'clients/js/examples/plain/index.html')) });
    await send(dora, 'One');
    const { tab, said, context } = await open(site.at + '/' + session(dora));
    await until('a row', async () => (await text(tab, '#rows')) === 'One');
    await send(dora, 'Two');
    await until('another', async () => (await text(tab, '#rows')) === 'TwoOne');
    await tab.click('#rows button');
    await until('one is left', async () => (await text(tab, '#count')) === '1');
    assert.deepEqual(said, []);
    await context.close();
    site.close();
  },

  async 'drawn on a server, taken over in the browser'() {
    const ids = [await send(emil, '</script><b>'), await send(emil, 'Two')];
    const { build } = installed('esbuild');
    const common = { bundle: true, format: 'esm', jsx: 'automatic', nodePaths: [modules], logLevel: 'error' };
    const at = join(examples(present), 'server');
    const [server, client] = [join(folder, 'server.mjs'), join(folder, 'client.js')];
    await build({ ...common, entryPoints: [join(at, 'server.tsx')], outfile: server, platform: 'node',
      banner: { js: "import { createRequire } from 'module'; const require = createRequire(import.meta.url);" } });
    await build({ ...common, entryPoints: [join(at, 'browser.tsx')], outfile: client,
      define: { 'process.env.NODE_ENV': '"development"' } });
    const { page } = await import(server);
    const html = await page(hub.base, emil.token);
    assert(html.includes('&lt;/script&gt;&lt;b&gt;') && html.includes('Two') && html.includes('Desk (<!-- -->2'));
    const site = await pages({ '/': html, '/browser.js': readFileSync(client) });
    const { tab, said, context, made } = await open(`${site.at}/`);
    await until('it is live', () => made() === 1);
    ids.push(await send(emil, 'Three'));
    await until('what is new', async () => (await rows(tab)).join() === 'Three,Two,</script><b>');
    await until('the count', async () => (await text(tab, 'h1')) === 'Desk (3)');
    assert.deepEqual(said, []);
    await context.close();
    site.close();
  },

  async 'many rows'() {
    const site = await built(present);
    const { tab, context } = await open(site.at + '/' + session(hub.many));
    await until('a page', async () => (await rows(tab)).length >= 50);
    // Down to the end, as a reader would.
    await until('all rows', async () => {
      await tab.evaluate(() => document.querySelector('[data-bellpull=more]')?.click());
      return (await rows(tab)).length === hub.many.rows;
    });
    const frames = await tab.evaluate(() => new Promise((resolve) => {
      const times = [];
      const begun = performance.now();
      const step = (now) => {
        times.push(now);
        window.scrollBy(0, 400);
        if (now - begun < 2_000) requestAnimationFrame(step);
        else resolve(times.slice(1).map((time, n) => time - times[n]).sort((a, b) => a - b));
      };
      window.scrollTo(0, 0);
      requestAnimationFrame(step);
    }));
    const at = (part) => frames[Math.floor(frames.length * part)].toFixed(1);
    console.log(`  ${frames.length / 2} frames a second; median ${at(0.5)} ms, 99% ${at(0.99)} ms`);
    await send(hub.many, 'New');
    await until('it is first', async () => (await rows(tab))[0] === 'New');
    await context.close();
  },
});
