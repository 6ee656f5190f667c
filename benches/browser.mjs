// What the measurements in a browser share: programs with a temporary folder, and a page of Chromium
// over its debugging protocol. After `cargo build --release` and `bash tests/run.sh` (which installs
// Chromium and the `ws` package).
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const WAIT_MS_MAX = 60_000;
const target = process.env.CARGO_TARGET_DIR ?? 'target';
export const bellpull = process.env.BELLPULL ?? join(target, 'release/bellpull');
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function webSocket() {
    try {
        return createRequire(resolve(target, 'test-tools/node/package.json'))('ws');
    } catch {
        throw new Error(`no package ws in ${target}/test-tools/node: bash tests/run.sh installs it`);
    }
}

/** A promise's result, or an error after a minute. */
export function within(promise, what, ms = WAIT_MS_MAX) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: not within ${ms / 1000} s`)), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The programs of a measurement, which end with it, and their folder, which is removed. */
export class Programs {
    #children = [];

    constructor(name, settings) {
        if (!existsSync(bellpull)) throw new Error(`no ${bellpull}: cargo build --release`);
        this.folder = mkdtempSync(join(tmpdir(), `${name}-`));
        this.env = {
            ...process.env,
            BELLPULL_DATABASE_URL: `sqlite://${join(this.folder, 'hub.db')}`,
            BELLPULL_LOG_FILTER: 'warn',
            ...settings,
        };
    }

    /** Runs a command of the hub to its end; what it prints. */
    run(...args) {
        return execFileSync(bellpull, args, { env: this.env, encoding: 'utf8', timeout: WAIT_MS_MAX }).trim();
    }

    start(program, args, stdio = 'inherit') {
        const child = spawn(program, args, { env: this.env, stdio });
        child.on('error', () => {}); // Reported where the program's output is awaited.
        this.#children.push(child);
        return child;
    }

    /** Starts a program; what `wanted` captures in its output. */
    async #announced(program, args, stream, wanted) {
        const stdio = ['ignore', stream === 'stdout' ? 'pipe' : 'ignore', stream === 'stderr' ? 'pipe' : 'inherit'];
        const child = this.start(program, args, stdio);
        const found = new Promise((resolve, reject) => {
            let text = '';
            child[stream].on('data', (chunk) => {
                text += chunk;
                const match = text.match(wanted);
                if (match) resolve(match[1]);
            });
            child.on('error', (error) => reject(new Error(`${program} cannot be started: ${error.message}`)));
            child.on('exit', (code) => reject(new Error(`${program} ended with ${code}\n${text}`)));
        });
        return within(found, `${program} starts`);
    }

    /** Starts a hub; its address. */
    hub() {
        return this.#announced(bellpull, ['serve', '--listen', '127.0.0.1:0'], 'stdout', /listening on http:\/\/(\S+)/);
    }

    /** Starts Chromium; its page. */
    async page() {
        const WebSocket = webSocket();
        const port = await this.#announced('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu',
            '--window-size=1280,900', `--user-data-dir=${join(this.folder, 'browser')}`, '--remote-debugging-port=0',
            'about:blank'], 'stderr', /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/);
        const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
        const socket = new WebSocket(targets.find((one) => one.type === 'page').webSocketDebuggerUrl);
        await within(new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)), 'the debugger');
        return new Page(socket);
    }

    async end() {
        for (const child of this.#children) child.kill('SIGKILL');
        await sleep(500);
        rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }
}

/** One page of a browser. */
class Page {
    #socket;
    #last = 0;
    #waiting = new Map();
    #listeners = new Set();

    constructor(socket) {
        this.#socket = socket;
        socket.on('message', (data) => {
            const { id, result, error, method, params } = JSON.parse(data);
            if (method) for (const listener of this.#listeners) listener(method, params);
            const to = this.#waiting.get(id);
            this.#waiting.delete(id);
            if (to) error ? to.reject(new Error(error.message)) : to.resolve(result);
        });
    }

    /** Calls back with each event's name and content. Returns what ends it. */
    listen(listener) {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
    }

    call(method, params = {}) {
        const answer = new Promise((resolve, reject) => {
            this.#waiting.set(++this.#last, { resolve, reject });
            this.#socket.send(JSON.stringify({ id: this.#last, method, params }));
        });
        return within(answer, method);
    }

    async run(expression) {
        const params = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await this.call('Runtime.evaluate', params);
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description);
        return result.value;
    }

    async until(expression) {
        for (let tries = 0; tries < 200; tries++) {
            if (await this.run(expression).catch(() => false)) return;
            await sleep(100);
        }
        throw new Error(`never: ${expression}`);
    }

    /** Fills the form of the console's first page. */
    async signIn(username, password) {
        await this.until(`document.querySelector('input[type=password]')`);
        await this.run(`(() => {
            const set = (field, value) => { field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); };
            set(document.querySelector('input:not([type=password])'), ${JSON.stringify(username)});
            set(document.querySelector('input[type=password]'), ${JSON.stringify(password)});
            document.querySelector('form').requestSubmit();
        })()`);
        await this.until(`!document.querySelector('input[type=password]')`);
    }
}
