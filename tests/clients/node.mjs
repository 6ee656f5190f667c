// Plays a family's front end with Node's `ws`: node.mjs FAMILY BASE TOKEN.
//
// What happens is printed, one JSON value a line; what the person does is read, one JSON list a
// line: a gesture's name, then its arguments. The end of the input is the end of the front end.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

// Modules are looked for beside the importing file only, and these are installed elsewhere.
const require = createRequire(`${process.env.CLIENT_MODULES}/`);
const WebSocket = require('ws');

const [family, base, token] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const { default: Family } = await import(`./${family}.mjs`);
const frontEnd = new Family({ WebSocket, base, token, say });
frontEnd.open();

for await (const line of createInterface({ input: process.stdin })) {
  const [gesture, ...rest] = JSON.parse(line);
  frontEnd[gesture](...rest);
}
process.exit(0);
