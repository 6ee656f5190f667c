// What every library of the matrix stands on: a seat is one library in one dialect. The same in
// Python is `seats.py`, which tells more.
//
// A library is a function (seat) that opens a connection and returns `{ send, leave }`; it calls
// `seat.hear(text)` and, when the connection has ended, `seat.ended(code)`. One that comes back by
// itself returns `comesBack: true`, and asks `seat.url` again if it can.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

// Modules are looked for beside the importing file only, and these are installed elsewhere.
export const require = createRequire(`${process.env.CLIENT_MODULES}/`);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

export class Seat {
  last = 0;
  epoch = '';
  wanted = true;

  constructor(name, work, dialect, base, token) {
    Object.assign(this, { name, work, dialect, base, token });
    this.open();
  }

  get isV1() {
    return this.dialect === 'bellpull.v1';
  }

  say(what) {
    say({ of: `${this.name} ${this.dialect}`, ...what });
  }

  open() {
    this.isOver = false;
    try {
      this.line = this.work(this);
    } catch (error) {
      this.say({ failed: String(error) });
    }
  }

  hear(text) {
    const frame = JSON.parse(text);
    const seq = (frame.data ?? frame.notification ?? frame).seq ?? frame.seq;
    if (frame.type === 'welcome') {
      this.epoch = frame.epoch;
    } else if (seq) {
      this.last = Math.max(this.last, seq);
    }
    this.isHeard = true;
    this.say({ frame });
  }

  // A connection that never was is no end of one: the hub is away.
  ended(code = null) {
    if (this.isHeard) {
      this.say({ closed: code });
    }
    this.isHeard = false;
    if (this.wanted && !this.line?.comesBack && !this.isOver) {
      this.isOver = true;
      setTimeout(() => this.open(), 100);
    }
  }

  // Gestures.

  ping(timestamp) {
    this.line.send(JSON.stringify({ type: 'ping', timestamp }));
  }

  go() {
    this.wanted = false;
    this.line.leave();
  }

  come_back() {
    this.wanted = true;
    this.open();
  }
}

export async function play(Kind, libraries) {
  process.on('unhandledRejection', () => {}); // of a hub that is away
  const seats = [];
  for await (const line of createInterface({ input: process.stdin })) {
    const [gesture, ...rest] = JSON.parse(line);
    if (gesture === 'sit') {
      const [name, dialect, token] = rest;
      seats.push(new Kind(name, libraries[name], dialect, process.argv[2], token));
      continue;
    }
    for (const seat of seats) {
      try {
        seat[gesture](...rest);
      } catch (error) {
        seat.say({ failed: `${gesture}: ${error}` });
      }
    }
  }
  process.exit(0);
}
