// How usable the operators' page is beside 10,000 connected users: the time until the tree is there,
// and how long frames take while it is live. After `cargo build --release` and `bash tests/run.sh`
// (which installs Chromium and the `ws` package): node benches/operators_page.mjs [USERS] [SECONDS]
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const target = process.env.CARGO_TARGET_DIR ?? 'target';
const require = createRequire(join(process.cwd(), target, 'test-tools/node/'));
const WebSocket = require('ws');
const bellpull = process.env.BELLPULL ?? join(target, 'release/bellpull');
const users = Number(process.argv[2] ?? 10_000);
const seconds = Number(process.argv[3] ?? 20);
const folder = mkdtempSync(join(tmpdir(), 'operators-page-'));
const secret = 'the secret of a measurement, long enough';
const children = [];

const env = {
    ...process.env,
    BELLPULL_DATABASE_URL: `sqlite://${join(folder, 'hub.db')}`,
    BELLPULL_JWT_SECRET: secret,
    BELLPULL_AUTH_AUTO_PROVISION: 'true',
    BELLPULL_WS_HANDSHAKES_PER_S: '0',
    BELLPULL_LOG_FILTER: 'warn',
};
const start = (program, args, stdio = 'inherit') => {
    const child = spawn(program, args, { env, stdio });
    children.push(child);
    return child;
};
const line = (stream, wanted) =>
    new Promise((resolve) => {
        let text = '';
        stream.on('data', (chunk) => {
            text += chunk;
            const found = text.match(wanted);
            if (found) resolve(found[1]);
        });
    });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// One page of a browser, over its debugging protocol.
async function page(port) {
    const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    const socket = new WebSocket(targets.find((one) => one.type === 'page').webSocketDebuggerUrl);
    await new Promise((resolve) => socket.once('open', resolve));
    const waiting = new Map();
    let last = 0;
    socket.on('message', (data) => {
        const { id, result, error } = JSON.parse(data);
        const to = waiting.get(id);
        waiting.delete(id);
        if (to) error ? to.reject(new Error(error.message)) : to.resolve(result);
    });
    const call = (method, params = {}) =>
        new Promise((resolve, reject) => {
            waiting.set(++last, { resolve, reject });
            socket.send(JSON.stringify({ id: last, method, params }));
        });
    const run = async (expression) => {
        const params = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await call('Runtime.evaluate', params);
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description);
        return result.value;
    };
    const until = async (expression) => {
        for (let tries = 0; tries < 200; tries++) {
            if (await run(expression).catch(() => false)) return;
            await sleep(100);
        }
        throw new Error(`never: ${expression}`);
    };
    return { call, run, until };
}

// In the page: when the tree is there, and the times between frames from then on.
const WATCH = `(() => {
    const watch = (window.watch = { tree: 0, frames: [], tasks: [] });
    const look = (now) => {
        if (!watch.tree && document.querySelectorAll('tr[data-path]').length > 5) watch.tree = performance.now();
        if (watch.last && watch.tree) watch.frames.push(now - watch.last);
        watch.last = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    new PerformanceObserver((list) => {
        for (const task of list.getEntries()) watch.tasks.push([task.startTime, task.duration]);
    }).observe({ type: 'longtask', buffered: true });
})()`;

try {
    const create = ['user', 'create', '--username', 'root', '--password', 'correct horse', '--role', 'super_admin'];
    execFileSync(bellpull, create, { env, stdio: 'ignore' });
    const hub = start(bellpull, ['serve', '--listen', '127.0.0.1:0'], ['ignore', 'pipe', 'inherit']);
    const url = await line(hub.stdout, /listening on http:\/\/(\S+)/);
    const load = ['load', 'mixed', '--url', `ws://${url}/ws/notifications/`, '--jwt-secret', secret,
        '--users', `1000..${999 + users}`, '--transitions', '20', '--for', String(seconds + 60), '--processes', '1'];
    start(bellpull, load, 'ignore');
    const metric = async (name) => {
        const text = await (await fetch(`http://${url}/metrics/`)).text();
        return Number(text.match(new RegExp(`^${name} (\\S+)`, 'm'))?.[1] ?? 0);
    };
    while ((await metric('bellpull_sessions')) < users) await sleep(250);

    const browser = start('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--window-size=1280,900',
        `--user-data-dir=${join(folder, 'browser')}`, '--remote-debugging-port=0', 'about:blank'], ['ignore', 'ignore', 'pipe']);
    const port = await line(browser.stderr, /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/);
    const { call, run, until } = await page(port);
    await call('Page.enable');
    await call('Page.navigate', { url: `http://${url}/console/` });
    await until(`document.querySelector('input[type=password]')`);
    await run(`(() => {
        const set = (field, value) => { field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); };
        set(document.querySelector('input:not([type=password])'), 'root');
        set(document.querySelector('input[type=password]'), 'correct horse');
        document.querySelector('form').requestSubmit();
    })()`);
    await until(`!document.querySelector('input[type=password]')`);
    await call('Page.addScriptToEvaluateOnNewDocument', { source: WATCH });
    await call('Page.navigate', { url: `http://${url}/console/operators` });
    await until('window.watch?.tree > 0');
    await sleep(seconds * 1000);
    const { tree, frames, tasks } = await run('window.watch');
    const paint = await run(`performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0`);
    frames.sort((a, b) => a - b);
    const at = (share) => frames[Math.floor((frames.length - 1) * share)].toFixed(1);
    const live = tasks.filter(([began]) => began > tree);
    console.log(`${await metric('bellpull_sessions')} sessions; first paint ${paint.toFixed(0)} ms, tree ${tree.toFixed(0)} ms`);
    console.log(`${frames.length} frames in ${seconds} s: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`);
    console.log(`tasks above 50 ms: ${tasks.length - live.length} until the tree, ${live.length} after it` +
        (live.length ? ` (longest ${Math.max(...live.map(([, took]) => took)).toFixed(0)} ms)` : ''));
} finally {
    for (const child of children) child.kill('SIGKILL');
    await sleep(500);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
