// The package is the modules that the hub serves, as they are, and an index.
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
rmSync(at('dist'), { recursive: true, force: true });
mkdirSync(at('dist'));
for (const name of ['bellpull', 'list', 'tabs']) {
  for (const kind of ['js', 'd.ts']) {
    cpSync(at(`../../../src/client/${name}.${kind}`), at(`dist/${name}.${kind}`));
  }
}
const index = "export * from './bellpull.js';\nexport * from './list.js';\nexport * from './tabs.js';\n";
for (const kind of ['js', 'd.ts']) writeFileSync(at(`dist/index.${kind}`), index);
