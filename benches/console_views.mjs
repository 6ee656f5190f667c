// How fast each view of the console is, as a browser reports it, on a hub with some hundred tickets:
// first and largest contentful paint, layout shift, blocking time, requests, bytes and elements, with
// the processor as it is and four times slower. After `cargo build --release` and `bash tests/run.sh`
// (which installs Chromium and the `ws` package): node benches/console_views.mjs [RUNS] [TICKETS]
import { createServer } from 'node:http';
import { Programs, sleep } from './browser.mjs';

const runs = Number(process.argv[2] ?? 3);
const tickets = Number(process.argv[3] ?? 300);
const PASSWORD = 'correct horse';
const SLOWER = 4;
const SETTLED_MS = 500; // Without a request under way a view is complete, ...
const SHOWN_MS_MIN = 1500; // ... but not before its late tasks and shifts are seen, ...
const SHOWN_MS_MAX = 30_000; // ... and the measurement fails after this time.
const NEW = 50; // Notifications that arrive while the inbox is closed.
const SHIFT_MAX = 0.1;
const BLOCKED_MS_MAX = 200;

const VIEWS = ['inbox', 'tickets', 'tickets?view=list', 'tickets/1', 'preferences', 'integrations', 'account',
    'users', 'projects', 'sends', 'templates', 'escalations', 'deliveries', 'analytics', 'audit', 'operators'];

// In the page, before its own scripts.
const WATCH = `(() => {
    const watch = (window.watch = { largest: 0, shifts: [], tasks: [] });
    const observe = (type, each) =>
        new PerformanceObserver((list) => list.getEntries().forEach(each)).observe({ type, buffered: true });
    const name = (node) => {
        if (node?.nodeType !== Node.ELEMENT_NODE) return '';
        const classes = [...node.classList].filter((one) => !one.startsWith('svelte-'));
        return [node.tagName.toLowerCase(), ...classes].join('.');
    };
    observe('largest-contentful-paint', (paint) => { watch.largest = paint.startTime; });
    observe('longtask', (task) => { watch.tasks.push(task.duration); });
    observe('layout-shift', (shift) => {
        if (shift.hadRecentInput) return;
        const moved = shift.sources.map((source) => name(source.node)).filter(Boolean);
        watch.shifts.push({ at: shift.startTime, value: shift.value, moved });
    });
})()`;

// What the view has come to.
const FIGURES = `({
    ...window.watch,
    first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
    elements: document.querySelectorAll('*').length,
    title: document.querySelector('h1')?.textContent ?? '',
    problem: document.querySelector('[role=alert]')?.textContent ?? '',
})`;

/** The largest sum of layout shifts in a window: at most 1 s between two of them, and 5 s in all. */
function layoutShift(shifts) {
    let most = 0;
    let sum = 0;
    let [began, last] = [-Infinity, -Infinity];
    for (const { at, value } of shifts) {
        if (at - last > 1000 || at - began > 5000) [sum, began] = [0, at];
        sum += value;
        last = at;
        most = Math.max(most, sum);
    }
    return most;
}

/** The requests of the present page, by what the browser says of them. */
class Traffic {
    requests = [];
    #document = '';
    #open = new Set();
    #urls = new Map();
    #streams = new Map();
    #quietSince = 0;

    constructor(page) {
        page.listen((method, params) => this.#hear(method, params));
    }

    /** The page before may go on with requests until this one replaces it: they belong to its document. */
    #begin(document) {
        this.#document = document;
        this.#open.clear();
        this.#streams.clear();
        this.requests = [];
        this.#quietSince = Date.now();
    }

    /** For how long no request has been under way; sockets and event streams do not count. */
    get quietMs() { return this.#open.size > 0 ? 0 : Date.now() - this.#quietSince; }

    get open() { return [...this.#open].map((id) => this.#urls.get(id)).join(', '); }

    get bytes() { return this.requests.reduce((sum, one) => sum + one.bytes, 0); }

    #hear(method, { requestId: id, loaderId: document, request, response, encodedDataLength, type, ...rest }) {
        if (method === 'Network.requestWillBeSent') {
            if (type === 'Document') this.#begin(document);
            if (document !== this.#document || request.url.startsWith('data:')) return;
            this.#open.add(id);
            this.#urls.set(id, request.url);
        } else if (method === 'Network.responseReceived' && response.mimeType === 'text/event-stream') {
            this.#open.delete(id);
            this.#stream(id, response.url, response.encodedDataLength);
        } else if (method === 'Network.webSocketCreated') {
            this.#stream(id, rest.url, 0);
        } else if (method === 'Network.webSocketFrameReceived' && this.#streams.has(id)) {
            this.#streams.get(id).bytes += Buffer.byteLength(response.payloadData);
        } else if (method === 'Network.dataReceived' && this.#streams.has(id)) {
            this.#streams.get(id).bytes += encodedDataLength;
        } else if (method === 'Network.loadingFinished' && this.#open.has(id)) {
            // From the cache nothing is transferred.
            if (encodedDataLength > 0) this.requests.push({ url: this.#urls.get(id), bytes: encodedDataLength });
            this.#done(id);
        } else if (method === 'Network.loadingFailed' && this.#open.has(id)) {
            this.#done(id);
        }
    }

    #stream(id, url, bytes) {
        const stream = { url, bytes };
        this.#streams.set(id, stream);
        this.requests.push(stream);
        this.#quietSince = Date.now();
    }

    #done(id) {
        this.#open.delete(id);
        this.#quietSince = Date.now();
    }
}

async function complete(traffic, what) {
    const began = Date.now();
    while (traffic.quietMs < SETTLED_MS || Date.now() - began < SHOWN_MS_MIN) {
        if (Date.now() - began > SHOWN_MS_MAX) {
            throw new Error(`${what}: not complete after ${SHOWN_MS_MAX / 1000} s; open: ${traffic.open}`);
        }
        await sleep(50);
    }
}

async function open(page, url) {
    const { errorText } = await page.call('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
}

/** Opens a view and waits until it is complete. */
async function visit(page, traffic, url) {
    await open(page, url);
    await complete(traffic, url);
    const { largest, first, elements, shifts, tasks, title, problem } = await page.run(FIGURES);
    if (problem || !title || first === 0) throw new Error(`${url}: ${problem || 'nothing is shown'}`);
    return {
        first, largest, shift: layoutShift(shifts), shifts,
        blocked: tasks.reduce((sum, ms) => sum + ms - 50, 0),
        requests: traffic.requests.length, bytes: traffic.bytes, elements,
    };
}

/** Every view once; the first two with an empty cache, the third with new notifications. */
async function round(page, traffic, url, notify, figures) {
    const measure = async (name, path) => {
        const found = await visit(page, traffic, `http://${url}/console/${path}`);
        figures.set(name, [...(figures.get(name) ?? []), found]);
    };
    await page.call('Network.clearBrowserCache');
    await measure('sign in, empty cache', '');
    const files = traffic.requests.filter((one) => /\/(console|client)\//.test(one.url));
    await page.signIn('root', PASSWORD);
    await complete(traffic, 'inbox'); // With what is new since the last round.
    await page.call('Network.clearBrowserCache');
    await measure('inbox, empty cache', 'inbox');
    await open(page, 'about:blank');
    for (let n = 0; n < NEW; n++) await notify(n);
    await measure(`inbox, ${NEW} new notifications`, 'inbox');
    for (const path of VIEWS) await measure(path, path);
    await page.run('sessionStorage.clear()');
    return files;
}

/** Users, projects, tickets in every status with comments, webhooks that fail now and then, sends.
 *  Returns what notifies the user `root` once. */
async function fill(programs, url, hook) {
    const api = (token) => async (path, body) => {
        const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
        const response = await fetch(`http://${url}/api/${path}`, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
        if (!response.ok) throw new Error(`POST /api/${path}: ${response.status} ${await response.text()}`);
        return response.json();
    };
    const tokenOf = (username) => programs.run('token', '--user', username);
    const root = api(tokenOf('root'));
    const users = {};
    for (const [role, count] of [['admin', 4], ['developer', 12], ['client', 44]]) {
        for (let n = 0; n < count; n++) {
            const username = `${role}${n}`;
            const { id } = await root('users/', { username, password: PASSWORD, full_name: `The ${role} No. ${n}`, role });
            users[username] = { id, post: n < 4 ? api(tokenOf(username)) : null };
        }
    }
    for (const [key, name] of [['WEB', 'Website'], ['APP', 'Mobile app'], ['OPS', 'Operations']]) {
        const { id } = await root('projects/', { key, name });
        for (const { id: user } of Object.values(users).slice(0, 30)) await root(`projects/${id}/members/`, { user });
    }
    await root('webhooks/', { url: hook });
    await root('webhooks/', { url: hook, project: 1 });
    for (let n = 0; n < tickets; n++) {
        const [client, developer] = [users[`client${n % 4}`], users[`developer${n % 4}`]];
        const { id } = await client.post('tickets/', {
            title: `Page ${n} does not load`,
            description: 'It shows an error. '.repeat(10),
            priority: ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL'][n % 4],
        });
        const steps = [
            () => root(`tickets/${id}/open/`),
            () => root(`tickets/${id}/assign/`, { developers: [developer.id] }),
            () => developer.post(`tickets/${id}/start_work/`),
            () => developer.post(`tickets/${id}/finish_work/`),
            () => client.post(`tickets/${id}/approve/`),
        ];
        for (const step of steps.slice(0, n === 0 ? 4 : n % 6)) await step();
        for (let comment = 0; comment < (n === 0 ? 20 : 1); comment++) {
            await client.post(`tickets/${id}/comments/`, { body: 'Is there any news, @root?' });
        }
    }
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    for (let n = 0; n < 5; n++) {
        const send = { recipients: { role: 'client' }, title: `Maintenance ${n}`, message: 'Short outage.', send_at: tomorrow };
        await root('notifications/', send);
    }
    const recipients = { role: 'super_admin' };
    return (n) => root('notifications/', { recipients, title: `Deploy ${n}`, message: `Version 2.${n} is live.` });
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)];

function print(figures, slow) {
    const of = (rows, key, digits = 0) => median(rows.map((row) => row[key])).toFixed(digits);
    const times = (rows) => [of(rows, 'first'), of(rows, 'largest'), of(rows, 'shift', 3), of(rows, 'blocked')];
    const line = (cells) => console.log(`| ${cells.join(' | ')} |`);
    const heads = ['FCP ms', 'LCP ms', 'CLS', 'TBT ms'];
    line(['view', ...heads, ...heads.map((head) => `${SLOWER}x: ${head}`), 'requests', 'KiB', 'elements']);
    line(['---', ...Array(11).fill('---:')]);
    for (const [view, rows] of figures) {
        const kib = (median(rows.map((row) => row.bytes)) / 1024).toFixed(1);
        line([view, ...times(rows), ...times(slow.get(view)), of(rows, 'requests'), kib, of(rows, 'elements')]);
    }
    for (const [view, rows] of figures) {
        const all = [...rows, ...slow.get(view)];
        const shift = all.reduce((most, row) => row.shift > most.shift ? row : most);
        const moved = new Set(shift.shifts.flatMap((one) => one.moved));
        if (shift.shift > SHIFT_MAX) console.log(`${view}: layout shift ${shift.shift.toFixed(3)}, of ${[...moved].join(', ')}`);
        const blocked = Number(of(rows, 'blocked'));
        if (blocked > BLOCKED_MS_MAX) console.log(`${view}: blocked for ${blocked} ms`);
    }
}

let calls = 0;
const receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(++calls % 10 ? 200 : 400).end();
});
await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
const programs = new Programs('console-views', {
    BELLPULL_HTTP_WRITES_PER_S: '0',
    BELLPULL_WEBHOOK_ALLOW_PRIVATE: 'true',
    BELLPULL_LOG_FILTER: 'error',
});
try {
    programs.run('user', 'create', '--username', 'root', '--password', PASSWORD, '--role', 'super_admin');
    const url = await programs.hub();
    const notify = await fill(programs, url, `http://127.0.0.1:${receiver.address().port}/`);

    const page = await programs.page();
    await page.call('Page.enable');
    await page.call('Network.enable');
    await page.call('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
    const traffic = new Traffic(page);
    const [figures, slow] = [new Map(), new Map()];
    let files = [];
    for (let run = 0; run < runs; run++) {
        await page.call('Emulation.setCPUThrottlingRate', { rate: 1 });
        files = await round(page, traffic, url, notify, figures);
        await page.call('Emulation.setCPUThrottlingRate', { rate: SLOWER });
        await round(page, traffic, url, notify, slow);
    }
    print(figures, slow);
    const size = files.reduce((sum, one) => sum + one.bytes, 0) / 1024;
    console.log(`The console: ${files.length} files, ${size.toFixed(1)} KiB as transferred`);
} finally {
    await programs.end();
    receiver.close();
}
