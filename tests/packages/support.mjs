// What the packages' tests share: a hub's REST, a browser, pages, a line that can be cut.
import { createServer as createHttp } from 'node:http';
import { connect as dial, createServer } from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** `{base, service, admin, people: [{id, token}]}` of the hub that the test has started. */
export const hub = JSON.parse(process.env.HUB);
export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const installed = createRequire(join(process.env.CLIENT_MODULES, 'any.js'));

const PATIENCE_MS = 60_000;

/** Waits for a condition, however long a busy machine takes. */
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function rest(token, method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${hub.base}/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** A folder that is gone when the program ends. */
export function temporary() {
  const folder = mkdtempSync(join(tmpdir(), 'bellpull-packages-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Packs packages from a copy of their sources, and unpacks them as `npm install` would, in a folder
 * that has the tools' packages too. `others`: by name, those that stand in for one of the tools';
 * `tar`: those that are packed already.
 */
export function install(names, others = {}, tar = {}) {
  const folder = temporary();
  for (const part of ['clients/js', 'src/client']) {
    cpSync(join(root, part), join(folder, 'sources', part), { recursive: true });
  }
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@bellpull'), { recursive: true });
  for (const name of readdirSync(process.env.CLIENT_MODULES)) {
    symlinkSync(join(process.env.CLIENT_MODULES, others[name] ?? name), join(modules, name));
  }
  symlinkSync(modules, join(folder, 'sources/node_modules'));
  for (const name of names) {
    const source = join(folder, 'sources/clients/js', name);
    tar[name] ??= pack(source);
    const at = join(modules, '@bellpull', name);
    mkdirSync(at);
    execFileSync('tar', ['xzf', tar[name], '-C', at, '--strip-components=1']);
  }
  return { folder, modules, tar };
}

function pack(source) {
  const told = execFileSync('npm', ['pack', '--json', '--loglevel=error'], { cwd: source, encoding: 'utf8' });
  return join(source, JSON.parse(told.slice(told.indexOf('[')))[0].filename);
}

/** The blocks of a language in a package's README. */
export function blocks(name, language) {
  const text = readFileSync(join(root, 'clients', name, 'README.md'), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map((found) => found[1]);
}

/** How many bytes a bundle of these exports has, packed as servers send it. */
export function size(folder, text, external = []) {
  const { outputFiles: [bundle] } = installed('esbuild').buildSync({
    stdin: { contents: text, resolveDir: folder }, bundle: true, minify: true, format: 'esm',
    target: 'es2022', external, write: false,
  });
  return gzipSync(bundle.contents, { level: 9 }).length;
}

/** Sends a notification to somebody; its id. */
export async function send(person, title, more = {}) {
  const body = { recipients: [person.id], title, message: title, ...more };
  return (await rest(hub.service, 'POST', 'api/notifications/', body)).notification.id;
}

/** A page's files: what a path answers is a text, or a function of the request. */
export async function pages(files) {
  const kinds = { js: 'text/javascript', css: 'text/css' };
  const server = createHttp((request, response) => {
    const path = new URL(request.url, 'http://page').pathname;
    const file = files[path] ?? (files.folder && path !== '/favicon.ico' ? read(files.folder + path) : null);
    if (file === null) return response.writeHead(404).end();
    const type = kinds[path.split('.').pop()] ?? 'text/html; charset=utf-8';
    return response.writeHead(200, { 'Content-Type': type }).end(file);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { at: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

function read(path) {
  try { return readFileSync(path); } catch { return null; }
}

export function chromium() {
  const puppeteer = installed('puppeteer-core');
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic'];
  return puppeteer.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
}

/** A line to the hub that can be cut, and stay cut. */
export async function line() {
  const { hostname, port } = new URL(hub.base);
  const open = new Set();
  let isCut = false;
  const server = createServer((socket) => {
    if (isCut) return socket.destroy();
    const other = dial(Number(port), hostname);
    for (const [one, two] of [[socket, other], [other, socket]]) {
      open.add(one);
      one.on('error', () => {}).on('close', () => { two.destroy(); open.delete(one); });
      one.pipe(two);
    }
    return undefined;
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}/`,
    cut() { isCut = true; open.forEach((one) => one.destroy()); },
    mend() { isCut = false; },
    close() { server.close(); open.forEach((one) => one.destroy()); },
  };
}

/** Runs the cases one after the other; the first that fails ends the program with its name. */
export async function run(cases) {
  const only = process.argv[2];
  for (const [name, work] of Object.entries(cases)) {
    if (only && !name.includes(only)) continue;
    const begun = Date.now();
    try { await work(); } catch (error) {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    }
    console.log(`${name} (${Date.now() - begun} ms)`);
  }
  process.exit();
}
