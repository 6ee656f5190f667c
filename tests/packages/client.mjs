// @bellpull/client in Node and in Chromium, on a real hub.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  blocks, chromium, hub, install, installed, line, pages, rest, run, send, size, temporary, until,
} from './support.mjs';

const SIZE_MAX = 9_000; // of all of it, minified, as servers send it

const { folder, modules, tar } = install(['client']);
const client = join(modules, '@bellpull/client');
const { connect, list, rowOf } = await import(join(client, 'dist/index.js'));
const WebSocket = installed('ws');
const [jane, paul, tess, mary, nora, olga, rosa] = hub.people;
const live = (client) => until('a line', () => client.state === 'live');

/** What the hub says that the list should be. */
async function wanted(person, query) {
  const rows = [];
  for (let page = 1; ; page += 1) {
    const answer = await rest(person.token, 'GET', `api/notifications/?page=${page}&page_size=100&${query}`);
    rows.push(...answer.results.map(rowOf));
    if (!answer.next) return { rows, count: answer.count };
  }
}

function memory() {
  const kept = new Map();
  return { kept, getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) };
}

async function node(options, transport) {
  const client = connect({ url: hub.base, token: jane.token, ...options });
  let how;
  client.on('state', ({ state, transport: by }) => { if (state === 'live') how = by; });
  const shown = [];
  client.on('notification', ({ id }) => shown.push(id));
  await live(client);
  assert.equal(how, transport);
  const inbox = list(client, { is_read: false });
  await until('a first page', () => inbox.state.count !== null);
  const before = inbox.state.count;
  const [one, two] = [await send(jane, 'One'), await send(jane, 'Two')];
  await until('both', () => inbox.state.count === before + 2 && inbox.state.rows.length >= 2);
  assert.deepEqual(inbox.state.rows.slice(0, 2).map(({ id }) => id), [two, one]);
  assert.deepEqual(shown.filter((id) => id >= one), [one, two]);
  const { unreadCount } = await client.markRead(one);
  assert.equal(unreadCount, before + 1);
  await until('one less', () => inbox.state.count === before + 1 && inbox.state.rows[0].id === two);
  await client.markUnread(one);
  await until('it is back', () => inbox.state.rows[1]?.id === one && inbox.state.count === before + 2);
  await client.remove([one, two]);
  await until('none', () => inbox.state.count === before);
  await assert.rejects(client.request('GET', 'api/users/'), { status: 403 });
  inbox.close();
  client.close();
}

/** A page with the client in it, its files as they are published. */
const page = (person) => `<!doctype html><script type="module">
  import { connect, list, oneSocket } from '/dist/index.js';
  window.shown = []; window.states = [];
  const query = new URLSearchParams(location.search);
  if (query.has('old')) Object.defineProperty(navigator, 'locks', { value: undefined });
  window.hub = connect({ url: '${hub.base}', token: '${person.token}', tabs: oneSocket(),
    storage: localStorage, storageKey: query.get('key') ?? 'bellpull', transport: query.get('by') ?? undefined,
    backOffMs: { base: 100, cap: 1000 } });
  window.streamed = [];
  hub.on('ticket_update', ({ data }) => streamed.push(data.title));
  hub.on('state', (state) => states.push(state));
  hub.on('notification', ({ id }) => shown.push(id));
  window.inbox = list(hub);
</script>`;

async function tabs(browser, at, count) {
  // All at once: that is when more than one might take itself for the leader.
  return Promise.all(Array.from({ length: count }, async () => {
    const tab = await browser.newPage();
    const protocol = await tab.createCDPSession();
    await protocol.send('Network.enable');
    const sockets = new Set();
    protocol.on('Network.webSocketCreated', ({ requestId }) => sockets.add(requestId));
    protocol.on('Network.webSocketClosed', ({ requestId }) => sockets.delete(requestId));
    await tab.goto(at);
    await until('a live tab', () => tab.evaluate(() => window.hub?.state === 'live'));
    return { tab, protocol, sockets };
  }));
}

const shownIn = ({ tab }) => tab.evaluate(() => window.shown);
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

await run({
  async 'the package is small'() {
    const bytes = size(folder, "export * from '@bellpull/client';");
    const core = size(folder, "export { connect } from '@bellpull/client';");
    console.log(`  ${bytes} bytes of gzip, ${core} of them connect()`);
    assert(bytes <= SIZE_MAX, String(bytes));
  },

  async 'the lines of the README run in a fresh folder'() {
    // Not below the packages' own folder: npm would take that for the project, and tidy it up.
    const fresh = temporary();
    writeFileSync(join(fresh, 'package.json'), '{}');
    execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', tar.client], { cwd: fresh });
    const [lines] = blocks('js/client', 'js');
    const session = `const session = { accessToken: () => '${olga.token}' }, badge = () => {},
      showToast = (title) => console.log('toast', title), draw = (rows, count) => console.log('count', count);`;
    writeFileSync(join(fresh, 'app.mjs'), `${lines.replace('https://hub.example.com', hub.base)}\n${session}`);
    const app = spawn('node', ['app.mjs'], { cwd: fresh, stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    app.stdout.on('data', (text) => { said += text; });
    await until('an empty list', () => said.includes('count 0'));
    await send(olga, 'Hello');
    await until('it is told', () => said.includes('toast Hello') && said.includes('count 1'));
    app.kill();
  },

  'node, by event stream and REST': () => node({}, 'sse'),
  'node, by socket': () => node({ WebSocket }, 'websocket'),

  async 'what is closed while its token is asked for opens nothing'() {
    let give;
    let made = 0;
    class Socket extends WebSocket { constructor(...all) { super(...all); made += 1; } }
    const client = connect({ url: hub.base, WebSocket: Socket, getToken: () => new Promise((told) => { give = told; }) });
    await until('it asks', () => give);
    client.close();
    give(jane.token);
    await rest(jane.token, 'GET', 'api/notifications/unread_count/');
    assert.deepEqual([client.state, made], ['closed', 0]);
  },

  async 'marks wait for a line, even for the next page'() {
    const cable = await line();
    const storage = memory();
    const options = { url: cable.base, token: paul.token, WebSocket, storage, backOffMs: { base: 50, cap: 200 } };
    let client = connect(options);
    await live(client);
    const ids = [await send(paul, 'One'), await send(paul, 'Two'), await send(paul, 'Three')];
    await until('a position', () => JSON.parse(storage.getItem('bellpull') ?? '{}').since >= 3);
    cable.cut();
    await until('it is off', () => client.state !== 'live');
    let isAnswered = false;
    const first = client.markRead(ids[0]).then(() => { isAnswered = true; });
    assert.equal(isAnswered, false);
    cable.mend();
    await first;
    assert.equal((await rest(paul.token, 'GET', 'api/notifications/unread_count/')).count, 2);
    cable.cut();
    await until('it is off again', () => client.state !== 'live');
    client.markRead(ids[1]).catch(() => {});
    client.remove(ids[2]).catch(() => {});
    client.close(); // the page is left
    cable.mend();
    client = connect(options);
    await until('the marks are made', async () => {
      const { results } = await rest(paul.token, 'GET', 'api/notifications/');
      return results.length === 2 && results.every((row) => row.is_read);
    });
    await until('none is kept', () => JSON.parse(storage.getItem('bellpull:marks')).frames.length === 0);
    client.close();
    cable.close();
  },

  async 'lists are what the hub has, whatever happens while they are read'() {
    for (let n = 0; n < 130; n += 1) await send(tess, `Old ${n}`, { type: n % 3 ? 'INFO' : 'WARNING' });
    const client = connect({ url: hub.base, token: tess.token, WebSocket });
    const other = connect({ url: hub.base, token: tess.token, WebSocket });
    await Promise.all([live(client), live(other)]);
    const filters = [{}, { is_read: false }, { is_read: true }, { type: 'WARNING' }, { notification_type: 'SYSTEM' }];
    const lists = filters.map((filter) => list(client, filter));
    const ids = (await wanted(tess, '')).rows.map(({ id }) => id);
    // The same each time: numbers that look random.
    let seed = 7;
    const random = (below) => { seed = (seed * 16807) % 2147483647; return seed % below; };
    for (let n = 0; n < 120; n += 1) {
      const id = ids[random(ids.length)];
      const who = random(2) ? client : other;
      const deed = random(6);
      if (deed === 0) ids.unshift(await send(tess, `New ${n}`, { type: random(2) ? 'INFO' : 'WARNING' }));
      else if (deed === 1) await who.markUnread([id, ids[random(ids.length)]]);
      else if (deed === 2) await who.remove(id);
      else if (deed === 3) lists[random(lists.length)].more();
      else await who.markRead(id);
    }
    for (const [n, filter] of filters.entries()) {
      const should = await wanted(tess, new URLSearchParams(filter));
      await until(`the list of ${JSON.stringify(filter)}`, () => {
        const { rows, count, hasMore, isLoading, error } = lists[n].state;
        assert.equal(error, null);
        if (hasMore && !isLoading) lists[n].more();
        return count === should.count && isSame(rows, should.rows);
      }).catch((error) => {
        const { rows, ...state } = lists[n].state;
        assert.deepEqual({ ...state, ids: rows.map(({ id }) => id) }, { ...state, count: should.count, ids: should.rows.map(({ id }) => id) });
        assert.deepEqual(rows, should.rows);
        throw error;
      });
    }
    await client.markRead('all');
    await until('none is unread', () => lists[1].state.count === 0 && lists[1].state.rows.length === 0);
    lists.forEach((one) => one.close());
    client.close();
    other.close();
  },

  async 'five tabs have one socket; when its tab is killed another resumes and nothing is missed'() {
    const site = await pages({ '/': page(mary), folder: client });
    const browser = await chromium();
    const five = await tabs(browser, site.at, 5);
    const sockets = () => five.map((one) => one.sockets.size);
    assert.equal(sockets().reduce((sum, one) => sum + one), 1, `sockets: ${sockets()}`);
    // Writers are at work throughout.
    const sent = [];
    let isOver = false;
    const writer = (async () => { while (!isOver) sent.push(await send(mary, `No. ${sent.length}`)); })();
    await until('some', () => sent.length > 20);
    const leader = five.findIndex((one) => one.sockets.size === 1);
    const killed = Date.now();
    five[leader].protocol.send('Page.crash').catch(() => {});
    const [dead] = five.splice(leader, 1);
    await until('another', () => five.some((one) => one.sockets.size === 1));
    const atDeath = sent.length;
    await until('it tells', async () => (await shownIn(five[0])).length > atDeath);
    console.log(`  another tab took over after ${Date.now() - killed} ms`);
    await until('some more', () => sent.length > atDeath + 20);
    isOver = true;
    await writer;
    for (const one of five) {
      await until('all, once and in order', async () => isSame(await shownIn(one), sent))
        .catch(async () => assert.deepEqual(await shownIn(one), sent));
    }
    assert.equal(sockets().reduce((sum, one) => sum + one), 1);
    // What one tab marks, each tab hears, also that with the socket.
    for (const [n, one] of five.entries()) {
      await one.tab.evaluate((id) => window.hub.markRead(id), sent[n]);
      for (const each of five) {
        await until('a mark in each tab', () => each.tab.evaluate((id, left) => window.hub.unread === left
          && window.inbox.state.rows.every((row) => row.id !== id || row.is_read), sent[n], sent.length - n - 1));
      }
    }
    await dead.tab.close().catch(() => {});
    await browser.close();
    site.close();
  },

  async 'what tabs ask for goes through the one that has the line, and a tab that is behind catches up'() {
    const site = await pages({ '/': page(rosa), folder: client });
    const browser = await chromium();
    const [one, two] = await tabs(browser, site.at, 2);
    const sockets = () => one.sockets.size + two.sockets.size;
    assert.equal(sockets(), 1);
    const { id: project } = await rest(hub.admin, 'POST', 'api/projects/', { key: 'TABS', name: 'Tabs' });
    await rest(hub.admin, 'POST', `api/projects/${project}/members/`, { user: rosa.id });
    const stream = `project:${project}:tickets`;
    for (const { tab } of [one, two]) await tab.evaluate((name) => window.hub.subscribe(name), stream);
    const raise = (title) => rest(rosa.token, 'POST', 'api/tickets/', { title, project });
    const heard = ({ tab }) => tab.evaluate(() => window.streamed);
    await raise('First');
    for (const each of [one, two]) await until('the first', async () => isSame(await heard(each), ['First']));
    // Who leaves it leaves it to the other, be that the one with the line or not.
    await one.tab.evaluate((name) => window.hub.unsubscribe(name), stream);
    await raise('Second');
    await until('the second', async () => isSame(await heard(two), ['First', 'Second']));
    await one.tab.evaluate((name) => window.hub.subscribe(name), stream);
    await two.tab.evaluate((name) => window.hub.unsubscribe(name), stream);
    await raise('Third');
    await until('the third', async () => isSame(await heard(one), ['First', 'Third']));
    assert.deepEqual(await heard(two), ['First', 'Second']);

    // A tab whose position is older than what the others keep is told what it lacks, and they nothing twice.
    const sent = [];
    for (let n = 0; n < 4; n += 1) sent.push(await send(rosa, `No. ${n}`));
    for (const each of [one, two]) await until('all four', async () => isSame(await shownIn(each), sent));
    const seen = await until('a position', () => one.tab.evaluate(() => {
      const kept = JSON.parse(localStorage.getItem('bellpull'));
      return kept?.since >= 4 && kept;
    }));
    const behind = JSON.stringify({ ...seen, since: seen.since - 2 });
    await one.tab.evaluate((text) => localStorage.setItem('behind', text), behind);
    const [three] = await tabs(browser, `${site.at}/?key=behind`, 1);
    await until('the last two', async () => isSame(await shownIn(three), sent.slice(-2)));
    const older = JSON.stringify({ ...seen, since: 0 });
    await one.tab.evaluate((text) => localStorage.setItem('older', text), older);
    const [four] = await tabs(browser, `${site.at}/?key=older`, 1);
    await until('all, by another line', async () => isSame(await shownIn(four), sent));
    sent.push(await send(rosa, 'Last'));
    for (const each of [one, two, four]) await until('the last', async () => isSame(await shownIn(each), sent));
    assert.equal(sockets() + three.sockets.size + four.sockets.size, 1);
    await browser.close();

    // Where there are no Web Locks each tab has its own line; by event streams one has one for all.
    const other = await chromium();
    const both = await tabs(other, `${site.at}/?old`, 2);
    assert.deepEqual(both.map((each) => each.sockets.size), [1, 1]);
    const streams = await tabs(other, `${site.at}/?by=sse`, 2);
    const id = await send(rosa, 'By a stream');
    for (const each of streams) await until('it', async () => (await shownIn(each)).at(-1) === id);
    await streams[0].tab.evaluate((one) => window.hub.markRead(one), id);
    for (const each of streams) {
      await until('the mark', () => each.tab.evaluate((one) => window.inbox.state.rows
        .some((row) => row.id === one && row.is_read), id));
    }
    await other.close();
    site.close();
  },

  async 'another user in the same browser has a socket of her own'() {
    const site = await pages({ '/m': page(mary), '/n': page(nora), folder: client });
    const browser = await chromium();
    const [one] = await tabs(browser, `${site.at}/m`, 1);
    const [two] = await tabs(browser, `${site.at}/n`, 1);
    assert.deepEqual([one.sockets.size, two.sockets.size], [1, 1]);
    const before = await shownIn(one);
    const id = await send(nora, 'For Nora');
    await until('hers', async () => isSame(await shownIn(two), [id]));
    assert.deepEqual(await shownIn(one), before);
    await browser.close();
    site.close();
  },
});
