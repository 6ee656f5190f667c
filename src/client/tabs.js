// One connection for all tabs of a browser: the tab that holds a Web Lock has the line, and passes
// what comes on it to the others by a BroadcastChannel, which send their commands through it. When
// it ends (even killed), the lock goes to another, which resumes where the tab that is furthest
// behind was. Where there are no Web Locks, or no tab answers, each tab has a line of its own.
//
//   import { oneSocket } from 'https://hub.example.com/client/tabs.js';
//   const hub = connect({ getToken, tabs: oneSocket() });

const HERE_MS = 2_000; // in which the leader answers a tab that joins
const JOINS_MS = 300; // in which the others say to a new leader where they are
const KEPT_MAX = 200; // changes that are kept for tabs that join
const MARKS = new Set(['read', 'unread', 'delete']);
const OWN = new Set(['welcome', 'reply', 'error', 'token_expiring']); // are about one tab only

/** For `connect({ tabs })`: tabs of one user share; of one `name`, where tokens name no user. */
export function oneSocket(name) {
  return (base, token, core) => {
    const user = name ?? userOf(token);
    if (user === undefined || !globalThis.navigator?.locks || !globalThis.BroadcastChannel) return null;
    return new Tabs(`bellpull ${base.href} ${user}`, core);
  };
}

/** The user that a token is of, or undefined. Nothing is believed but that it is the same. */
function userOf(token) {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
    return claims.user_id ?? claims.sub;
  } catch { return undefined; }
}

class Tabs {
  #name; #core; #channel;
  #id = Math.random().toString(36).slice(2, 10);
  #isLeader = false; #elected; #release; #abort = new AbortController();
  #line = null; #tell = null; // the present one: the leader's own, or a follower's through it
  #settle = null; // of the follower's opening
  #welcome = null; // of the leader's line, when it is live
  #joined = new Map(); // tabs that follow, and where they are
  #kept = []; #keptFrom = Infinity; // changes after that position
  #rewindTo = null; #marks = new Map(); #streams = new Map();

  constructor(name, core) {
    this.#name = name;
    this.#core = core;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#elected = new Promise((resolve) => {
      navigator.locks.request(name, { ifAvailable: true }, (lock) => {
        resolve();
        return lock ? this.#lead() : undefined;
      }).then(() => {
        if (this.#release) return undefined;
        return navigator.locks.request(name, { signal: this.#abort.signal }, () => {
          const held = this.#lead();
          if (this.#line) this.#core.renew();
          return held;
        });
      }).catch(resolve); // left before it was this tab's turn
    });
  }

  #lead() {
    this.#isLeader = true;
    return new Promise((resolve) => { this.#release = resolve; });
  }

  #post(message) { this.#channel?.postMessage({ ...message, from: this.#id }); }

  /** From where this tab opens a line of its own; null if it is told through another's. */
  async open(line, tell) {
    await this.#elected;
    this.#line = line;
    this.#tell = { ...tell };
    if (!this.#isLeader) {
      const { kind } = line;
      line.kind = 'tab';
      if (!await this.#join()) return null;
      // No tab answers, so this one has a line of its own, until that is lost.
      Object.assign(line, { kind, send: undefined, end: () => {} });
      return this.#core.at();
    }
    tell.frame = (frame) => this.#relay(frame);
    tell.heard = () => { this.#tell.heard(); this.#post({ heard: true }); };
    await this.#gather();
    const mine = this.#core.at();
    const epoch = mine.epoch ?? [...this.#joined.values()].find((at) => at.epoch)?.epoch ?? null;
    const known = [mine, ...this.#joined.values(), { since: this.#rewindTo, epoch }]
      .filter((at) => at.since !== null && at.epoch === epoch).map((at) => at.since);
    this.#rewindTo = null;
    const since = known.length ? Math.min(...known) : null;
    this.#kept = [];
    this.#keptFrom = since ?? Infinity;
    return { since, epoch };
  }

  /** All that wait for the lock say where they are. */
  async #gather() {
    this.#joined.clear();
    const { pending } = await navigator.locks.query();
    const others = pending.filter(({ name }) => name === this.#name).length;
    this.#post({ leading: true });
    const deadline = Date.now() + JOINS_MS;
    while (this.#joined.size < others && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Whether no other tab answered. */
  #join() {
    const { since, epoch } = this.#core.at();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(true), HERE_MS);
      this.#settle = (isAlone) => {
        clearTimeout(timer);
        resolve(isAlone);
      };
      this.#line.end = () => this.#settle(false);
      this.#post({ join: { since, epoch } });
    });
  }

  #hear(message) {
    if (message.to && message.to !== this.#id) return;
    if (this.#isLeader) return this.#hearFollower(message);
    if (this.#line?.kind !== 'tab') return; // it has a line of its own
    const { frame, told, hasSocket } = message;
    if (message.here) {
      this.#settle(false);
      this.#tell.held();
    } else if (message.leading || (message.down && this.#line.isOpen)) {
      this.#tell.over({ code: 1006, reason: 'the tab with the connection lost it', retryAfterMs: 0 });
    } else if (frame?.type === 'welcome') {
      this.#line.send = hasSocket ? (text) => this.#post({ send: text }) : undefined;
      this.#tell.frame(frame);
    } else if (this.#line.isOpen) { // what came before the welcome comes after it again
      if (frame) this.#tell.frame(frame);
      if (told) this.#core.told(told);
      if (message.heard) this.#tell.heard();
    }
  }

  #hearFollower({ join, send, bye, from }) {
    if (join) {
      this.#joined.set(from, join);
      this.#post({ to: from, here: true });
      if (this.#welcome) this.#greet(from, join);
    }
    if (send && this.#welcome) this.#forward(from, JSON.parse(send));
    if (bye) {
      this.#joined.delete(from);
      this.#streams.forEach((tabs) => tabs.delete(from));
    }
  }

  /** Tells a tab what the hub would, had it come with that position. */
  #greet(tab, { since, epoch }) {
    const { seen, head, unread } = this.#core.at();
    const isOther = since !== null && epoch !== this.#welcome.epoch;
    if (since !== null && !isOther && since < this.#keptFrom) {
      this.#rewindTo = Math.min(since, this.#rewindTo ?? since);
      return this.#core.renew();
    }
    const frame = { ...this.#welcome, last_seq: Math.max(seen, head), unread_count: unread, resumed: !isOther };
    this.#post({ to: tab, frame, hasSocket: this.#line.kind === 'websocket' });
    if (isOther) return this.#post({ to: tab, frame: { type: 'reset' } });
    if (since === null) return undefined;
    for (const { seq, ...one } of this.#kept) if (seq > since) this.#post({ to: tab, ...one });
    return undefined;
  }

  #keep(seq, what) {
    this.#kept.push({ seq, ...what });
    if (this.#kept.length > KEPT_MAX) this.#keptFrom = this.#kept.shift().seq;
  }

  /** A frame of the leader's line: its own, another tab's, or everyone's. */
  #relay(frame) {
    const [tab, id] = String(frame.id ?? '').split('.');
    if ((frame.type === 'reply' || frame.type === 'error') && id) {
      const asked = this.#marks.get(frame.id);
      this.#marks.delete(frame.id);
      if (asked && frame.ok && frame.count !== 0) {
        const told = this.#core.own(asked, frame);
        this.#core.told(told);
        this.#spread(told, frame.seq, tab);
      }
      return this.#post({ to: tab, frame: { ...frame, id } });
    }
    if (!OWN.has(frame.type)) {
      if (frame.type === 'reset') [this.#kept, this.#keptFrom] = [[], 0];
      if (frame.type === 'notification' || frame.type === 'inbox') this.#keep(frame.seq, { frame });
      this.#post({ frame });
    }
    this.#tell.frame(frame);
    if (frame.type === 'welcome' && this.#line?.isOpen) {
      this.#welcome = frame;
      if (this.#keptFrom === Infinity) this.#keptFrom = frame.last_seq;
      this.#joined.forEach((at, one) => this.#greet(one, at));
    }
    return undefined;
  }

  /** A mark that a tab has made: the hub tells it to other sessions only. */
  #spread(told, seq, but) {
    this.#keep(seq, { told });
    for (const tab of this.#joined.keys()) if (tab !== but) this.#post({ to: tab, told });
  }

  mark(told, seq) { if (this.#isLeader && this.#welcome) this.#spread(told, seq); }

  #forward(tab, frame) {
    const { type, stream, id } = frame;
    if (type === 'ack') return;
    if (type === 'subscribe' || type === 'unsubscribe') {
      if (!this.#streams.has(stream)) this.#streams.set(stream, new Set());
      this.#streams.get(stream)[type === 'subscribe' ? 'add' : 'delete'](tab);
      if (type === 'unsubscribe' && (this.tells(stream) || this.#core.hasStream(stream))) {
        this.#post({ to: tab, frame: { type: 'reply', id, ok: true } });
        return;
      }
    }
    const asked = id === undefined ? frame : { ...frame, id: `${tab}.${id}` };
    if (MARKS.has(type)) this.#marks.set(asked.id, frame);
    this.#line.send?.(JSON.stringify(asked));
  }

  /** Whether another tab is told that stream through this one. */
  tells(stream) { return (this.#streams.get(stream)?.size ?? 0) > 0; }

  /** The tab's line is lost. */
  down(line) {
    if (this.#line !== line) return;
    this.#line = null;
    if (!this.#isLeader) return;
    this.#welcome = null;
    this.#marks.clear();
    this.#streams.clear();
    this.#post({ down: true });
  }

  leave() {
    this.#post({ bye: true });
    this.#line = null;
    this.#abort.abort();
    this.#release?.();
    this.#channel?.close();
    this.#channel = null;
  }
}
