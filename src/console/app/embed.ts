// Writes, after the build, what the hub embeds: each file compressed beside itself, and the list of
// them as Rust, with a hash of the sources that a test compares.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const KINDS: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
const SOURCES = ['embed.ts', 'index.html', 'package-lock.json', 'package.json', 'public', 'src',
  'svelte.config.js', 'tsconfig.json', 'vite.config.ts'];

/** The files below these paths, sorted by their names. */
function files(folder: string, paths: string[]): string[] {
  const found = paths.flatMap((path) => {
    if (/\.\w+$/.test(path)) return [path];
    const names = readdirSync(join(folder, path));
    return files(folder, names.map((name) => `${path}/${name}`));
  });
  return found.sort();
}

/** Each file's name and content, one after the other. */
function hash(folder: string): string {
  const all = createHash('sha256');
  for (const path of files(folder, SOURCES)) {
    all.update(`${path}\n`).update(readFileSync(join(folder, path)));
  }
  return all.digest('hex');
}

export function embed(built: string): Plugin {
  return {
    name: 'embed',
    apply: 'build',
    closeBundle() {
      const out = join(import.meta.dirname, built);
      rmSync(join(out, 'files.rs'), { force: true });
      const names = files(out, ['assets', ...readdirSync(out).filter((name) => name !== 'assets')]);
      const entries = names.map((name) => {
        const kind = KINDS[name.split('.').at(-1) ?? ''];
        if (!kind) throw new Error(`${name} is of no known kind`);
        writeFileSync(join(out, `${name}.gz`), gzipSync(readFileSync(join(out, name)), { level: 9 }));
        return `    Embedded {
        path: "${name}",
        kind: "${kind}",
        bytes: include_bytes!("${name}"),
        gzip: include_bytes!("${name}.gz"),
    },\n`;
      });
      const text = `//! The web app's files. Made by \`npm run build\` in \`src/console/app\`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "${hash(import.meta.dirname)}";

pub(super) const FILES: &[Embedded] = &[
${entries.join('')}];
`;
      writeFileSync(join(out, 'files.rs'), text);
    },
  };
}
