// The browsers' client of a Bellpull hub: one connection for everything, resumed wherever it was
// lost. No dependency, no build step:
//
//   import { connect } from 'https://hub.example.com/client/bellpull.js';
//   const hub = connect({ getToken: () => myAccessToken() });
//   hub.on('notification', (n) => show(n.title, n.body));
//   hub.on('unread', (count) => badge(count));
//
// It speaks `bellpull.v1` over a WebSocket; where none ever opens, it reads the same frames as
// server-sent events and sends its commands over REST. bellpull.d.ts says what each call takes.
// list.js keeps a list of notifications, tabs.js gives all tabs of a browser one connection; both
// are served beside it.

const BACK_OFF_MS = { base: 500, cap: 30_000 };
const STABLE_MS = 60_000; // a line that held so long was no failure
const LATE_MS = 30_000; // after 4429, at least
const OPEN_MS = 10_000; // how long a line may take to stand
const PROBE_MS = 5_000; // how long a line in doubt may be silent
const GATHER_MS = 1_000; // acknowledgements and positions are gathered for so long
const SOCKET_AGAIN_MS = 300_000; // how long an event stream stands before a socket is tried again
const IDS_MAX = 500; // of one request
const MARKS_MAX = 500; // that wait for a line, and are kept across page loads
const SHOWN_MAX = 5_000; // ids that are remembered, so that nothing is shown twice
const STOPS = new Set([1000, 4400, 4403]); // what these codes say does not change by itself
const MARKS = new Set(['read', 'unread', 'delete']);

/** An error with a `code` for machines. */
export class BellpullError extends Error {
  constructor(code, message, more = {}) {
    super(message);
    Object.assign(this, { name: 'BellpullError', code }, more);
  }
}

/** Connects, and stays connected until `close()`. */
export function connect(options = {}) {
  return new Bellpull(options);
}

const chunks = (ids) => {
  const list = [].concat(ids);
  const count = Math.ceil(list.length / IDS_MAX);
  return Array.from({ length: count }, (_, n) => list.slice(n * IDS_MAX, (n + 1) * IDS_MAX));
};

class Bellpull {
  #options; #base; #token;
  #listeners = new Map();
  #state = 'connecting'; #unread = null; #user = null;
  #line = null; // the one that stands, or is about to
  #isLive = false; #isClosed = false;
  #attempt = 0; #failures = 0; #hasFreshToken = false; #notBefore = 0;
  #timers = {}; // by name: retry, stable, open, watch, gather, probe, upgrade
  #heardAt = 0; #heartbeat = 25_000;
  #requests = new Map(); #lastRequest = 0;
  #streams = new Map(); // by name: the line that tells it, and what is viewed there
  #tabs = null; // of this browser, where they share a line
  // Where it is in the inbox. Up to `since` everything was shown; `seen` is the highest number seen.
  // They differ only while a backlog comes, which is ordered by each row's last change: were it to
  // break off, resuming after `seen` would pass over rows that are older and changed later.
  #since = null; #seen = -1; #head = 0; #epoch = null; #acked = -1; #shown = new Set();

  constructor(options) {
    if (!options.token && !options.getToken) {
      throw new BellpullError('no_token', 'connect() needs a token or a getToken().');
    }
    this.#options = { requestTimeoutMs: 10_000, socketTries: 3, storageKey: 'bellpull', ...options };
    this.#base = new URL(options.url ?? '/', import.meta.url);
    this.#token = options.token ?? null;
    this.#restore();
    this.#restoreMarks();
    globalThis.addEventListener?.('online', this.#onOnline);
    globalThis.addEventListener?.('offline', this.#onDoubt);
    globalThis.addEventListener?.('pagehide', this.#onHide);
    globalThis.document?.addEventListener('visibilitychange', this.#onVisible);
    globalThis.document?.addEventListener('resume', this.#onOnline);
    this.#open('first');
  }

  get state() { return this.#state; }
  get unread() { return this.#unread; }
  get user() { return this.#user; }

  /** Calls `listener` for each event of that name; returns what ends that. */
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  markRead(which) { return this.#mark('read', which); }
  markUnread(ids) { return this.#mark('unread', ids); }
  remove(which) { return this.#mark('delete', which); }

  /** Asks the hub over REST, as the user: `api/preferences/`, for one. */
  request(method, path, body) { return this.#rest(method, path, body); }

  /** Tells a stream (`project:7:tickets`, `project:7:presence`), again after every reconnect. */
  async subscribe(stream) {
    const known = this.#streams.get(stream) ?? {};
    this.#streams.set(stream, known);
    try { await this.#request({ type: 'subscribe', stream }); } catch (error) {
      if (error.isRefusal && this.#streams.get(stream) === known) this.#streams.delete(stream);
      throw error;
    }
    if (this.#streams.get(stream) !== known) return; // it was left meanwhile
    known.line = this.#line;
    if (known.viewing !== undefined) this.viewing(stream, known.viewing);
    this.#emit('subscribed', { type: 'subscribed', stream });
  }

  async unsubscribe(stream) {
    if (!this.#streams.delete(stream) || this.#tabs?.tells(stream)) return;
    await this.#request({ type: 'unsubscribe', stream });
  }

  /** Says which ticket is looked at (null: none); remembered across reconnects. */
  viewing(stream, ticketId) {
    const known = this.#streams.get(stream);
    if (known) known.viewing = ticketId;
    this.#sendTo(stream, { type: 'ticket_viewing', ticket_id: ticketId });
  }

  typing(stream, ticketId, isTyping = true) {
    this.#sendTo(stream, { type: 'user_typing', ticket_id: ticketId, is_typing: isTyping });
  }

  /** What is said before its subscription stands would be refused, and others would never know. */
  #sendTo(stream, frame) {
    const known = this.#streams.get(stream);
    if (!known || known.line === this.#line) this.#send({ ...frame, stream });
  }

  close() {
    if (this.#isClosed) return;
    this.#gathered();
    this.#stop({ code: 'closed', message: 'The client was closed.' });
  }

  // --- The line: open, lost, open again ---------------------------------------------------------

  async #open(why) {
    if (this.#isClosed || this.#line) return;
    clearTimeout(this.#timers.retry);
    const viaSocket = this.#options.transport === 'websocket' || (this.#options.transport !== 'sse'
      && this.#socket !== undefined && this.#failures < this.#options.socketTries);
    const line = { kind: viaSocket ? 'websocket' : 'sse', isOpen: false, end: () => {} };
    this.#line = line;
    this.#become('connecting');
    // Whatever hangs, even getToken(): it ends here.
    this.#after('open', OPEN_MS, () => this.#lost(line, { code: 1006, reason: 'timeout' }));
    try {
      const credential = await this.#credential(why, 'line');
      if (this.#line !== line) return;
      const tell = {
        frame: (frame) => { if (this.#line === line) this.#receive(line, frame); },
        heard: () => { if (this.#line === line) this.#idle(); },
        over: (why) => this.#lost(line, why),
        held: () => { if (!line.isOpen) clearTimeout(this.#timers.open); },
      };
      this.#tabs ??= this.#options.tabs?.(this.#base, credential.token, this.#forTabs()) ?? null;
      // Other tabs may have to be told more than this one.
      const from = this.#tabs ? await this.#tabs.open(line, tell) : this.#at();
      if (!from || this.#line !== line) return;
      const url = new URL(viaSocket ? 'ws/' : 'api/notifications/stream/', this.#base);
      if (from.since !== null) url.searchParams.set('since', from.since);
      if (from.since !== null && from.epoch) url.searchParams.set('epoch', from.epoch);
      if (credential.ticket) url.searchParams.set('ticket', credential.ticket);
      if (viaSocket) openSocket(line, url, credential.token, tell, this.#socket);
      else openStream(line, url, credential.token, tell);
    } catch (error) {
      this.#emit('error', error);
      this.#lost(line, { code: error.code === 'no_token' ? 4401 : 1006, reason: error.message });
    }
  }

  #at() {
    const [since, seen, head, epoch] = [this.#since, this.#seen, this.#head, this.#epoch];
    return { since, seen, head, epoch, unread: this.#unread };
  }

  /** What tabs.js may ask of this tab. */
  #forTabs() {
    return {
      at: () => this.#at(),
      renew: () => this.#lost(this.#line, { code: 1006, reason: 'the tabs join', retryAfterMs: 0 }),
      own: ownMark,
      told: (mark) => {
        if (mark.unread_count !== undefined) this.#count(mark.unread_count);
        this.#emit('inbox', mark);
      },
      hasStream: (stream) => this.#streams.has(stream),
    };
  }

  get #socket() { return this.#options.WebSocket ?? globalThis.WebSocket; }

  /** A line is over: says so, and decides whether and when the next is tried. */
  #lost(line, { code, reason = '', retryAfterMs }) {
    if (this.#line !== line || !line) return;
    this.#line = null;
    this.#tabs?.down(line);
    this.#requests.forEach((request) => request.rest());
    const wasLive = this.#isLive;
    this.#isLive = false;
    line.end();
    for (const name of ['open', 'stable', 'watch', 'probe', 'upgrade']) clearTimeout(this.#timers[name]);
    if (line.kind === 'websocket') this.#failures = line.isOpen ? 0 : this.#failures + 1;
    // A stream that ends makes room for a socket: one try, and back.
    else this.#failures = Math.min(this.#failures, this.#options.socketTries - 1);
    if (this.#isClosed) return;
    if (STOPS.has(code)) return this.#stop({ code, message: reason || `closed with ${code}` });
    if (code === 4401) {
      if (this.#hasFreshToken || !this.#options.getToken) {
        return this.#stop({ code, message: reason || 'The token is invalid.' });
      }
      this.#hasFreshToken = true;
      return this.#open('refused');
    }
    let wait = this.#backOff();
    if (code === 4429) wait = LATE_MS + wait;
    // A restart, or another role: the hub is there. Only the first time, lest it never rests.
    if (code === 1012 && wasLive && this.#attempt === 0) wait = 0;
    if (retryAfterMs !== undefined) wait = Math.max(retryAfterMs, 0);
    else this.#attempt += 1;
    // What the hub asked for holds, even if the network comes back meanwhile.
    this.#notBefore = code === 4429 || retryAfterMs !== undefined ? Date.now() + wait : 0;
    this.#become(globalThis.navigator?.onLine === false ? 'offline' : 'waiting',
      { code, reason, retryInMs: Math.round(wait) });
    this.#after('retry', wait, () => this.#open('first'));
  }

  #backOff() {
    const { base, cap } = { ...BACK_OFF_MS, ...this.#options.backOffMs };
    return Math.random() * Math.min(cap, base * 2 ** this.#attempt);
  }

  /** Ends for good. */
  #stop(why) {
    const error = new BellpullError(why.code, why.message);
    this.#isClosed = true;
    const line = this.#line;
    this.#line = null;
    this.#isLive = false;
    line?.end();
    this.#tabs?.leave();
    Object.values(this.#timers).forEach(clearTimeout);
    globalThis.removeEventListener?.('online', this.#onOnline);
    globalThis.removeEventListener?.('offline', this.#onDoubt);
    globalThis.removeEventListener?.('pagehide', this.#onHide);
    globalThis.document?.removeEventListener('visibilitychange', this.#onVisible);
    globalThis.document?.removeEventListener('resume', this.#onOnline);
    this.#requests.forEach((request) => request.settle(error));
    this.#become('closed', { code: why.code, reason: why.message });
    if (why.code !== 'closed') this.#emit('error', error);
  }

  async #credential(why, use) {
    const { getToken } = this.#options;
    if (this.#token && why === 'first') return { token: this.#token };
    if (!getToken) throw new BellpullError('no_token', 'There is no getToken() to renew the token.');
    const given = await within(Promise.resolve(getToken({ why, use })), OPEN_MS);
    const credential = typeof given === 'string' ? { token: given } : given ?? {};
    if (!credential.token && !credential.ticket) {
      throw new BellpullError('no_token', 'getToken() gave neither a token nor a ticket.');
    }
    this.#token = credential.token ?? null; // a ticket is good once
    return credential;
  }

  // --- Signs of life ----------------------------------------------------------------------------

  #heard() {
    this.#heardAt = Date.now();
    clearTimeout(this.#timers.probe);
  }

  /** A sign of life and nothing else. If it is the first since the welcome, there was no backlog. */
  #idle() {
    if (this.#isLive && this.#since === null && this.#seen < 0) this.#reach(this.#head);
    this.#heard();
  }

  #watch() {
    this.#after('watch', this.#heartbeat / 2, () => {
      const silent = Date.now() - this.#heardAt;
      if (silent > 2 * this.#heartbeat) return this.#lost(this.#line, { code: 4408, reason: 'silent' });
      // The protocol's own pings are not shown to pages.
      if (silent >= this.#heartbeat / 2) this.#send({ type: 'ping' });
      return this.#watch();
    });
  }

  /** The line may be dead without a word: it has a moment to show that it is not. */
  #onDoubt = () => {
    const line = this.#line;
    if (!this.#isLive || line.kind !== 'websocket') return;
    this.#send({ type: 'ping' });
    this.#after('probe', PROBE_MS, () => this.#lost(line, { code: 4408, reason: 'silent' }));
  };

  #onOnline = () => {
    if (this.#line) return this.#onDoubt();
    return this.#after('retry', Math.max(0, this.#notBefore - Date.now()), () => this.#open('first'));
  };

  #onVisible = () => { if (document.visibilityState === 'visible') this.#onOnline(); };

  /** A page that is kept for the way back hears nothing, and would be taken for one that is there. */
  #onHide = () => {
    this.#gathered();
    this.#tabs?.leave();
    this.#tabs = null;
    if (this.#line) this.#lost(this.#line, { code: 1006, reason: 'the page was left', retryAfterMs: 0 });
  };

  // --- Frames -----------------------------------------------------------------------------------

  #receive(line, frame) {
    if (frame.type === 'welcome') return this.#welcome(line, frame);
    switch (frame.type) {
      case 'notification': case 'inbox': this.#change(frame); break;
      case 'reset': this.#forget(0); this.#emit('reset', {}); break;
      case 'reply': this.#requests.get(frame.id)?.reply(frame); break;
      case 'token_expiring': this.#renew(frame); break;
      case 'error':
        if (this.#requests.has(frame.id)) this.#requests.get(frame.id).reply({ ...frame, ok: false });
        else this.#emit('error', new BellpullError(frame.code, frame.message, { frame }));
        break;
      case 'stream_ended': if (this.#streams.delete(frame.stream)) this.#emit(frame.type, frame); break;
      case 'pong': return this.#idle();
      default: // a stream's, maybe of another tab, or one that is newer than this client
        if (!frame.stream || this.#streams.has(frame.stream)) this.#emit(frame.type, frame);
    }
    return this.#heard();
  }

  #welcome(line, frame) {
    clearTimeout(this.#timers.open);
    const isOther = this.#user && this.#user.id !== frame.user.id;
    this.#user = frame.user;
    if (isOther) this.#requests.forEach(({ frame: { type }, settle }) => {
      if (MARKS.has(type)) settle(new BellpullError('another_user', 'It was marked by another user.'));
    });
    if (isOther && this.#since !== null) {
      // The position was kept for another user.
      this.#forget(null);
      this.#emit('reset', {});
      return this.#lost(line, { code: 1006, reason: 'another user', retryAfterMs: 0 });
    }
    if (this.#since === null && this.#epoch !== null && this.#epoch !== frame.epoch) {
      // It never had a position to tell, so only it knows that what it was shown is another store's.
      this.#forget(null);
      this.#emit('reset', {});
    }
    Object.assign(line, { isOpen: true });
    this.#isLive = true;
    this.#hasFreshToken = false;
    this.#epoch = frame.epoch;
    this.#head = frame.last_seq;
    this.#heartbeat = frame.heartbeat_ms;
    this.#heardAt = Date.now();
    this.#after('stable', STABLE_MS, () => { this.#attempt = 0; });
    if (line.kind === 'sse' && this.#options.transport !== 'sse' && this.#socket) {
      this.#after('upgrade', SOCKET_AGAIN_MS, () => this.#lost(line, { code: 1006, retryAfterMs: 0 }));
    }
    this.#watch();
    this.#become('live', { transport: line.kind });
    this.#count(frame.unread_count);
    for (const stream of this.#streams.keys()) {
      const isWaiting = [...this.#requests.values()].some(({ frame: f }) => f.stream === stream);
      if (!isWaiting) this.subscribe(stream).catch((error) => this.#notTold(stream, error));
    }
    // Every request may be made twice: it says what is to be, not what is to change.
    this.#requests.forEach((request) => request.make());
    return this.#send({ type: 'ping' });
  }

  /** A stream of the line before is not told on this one: where it is refused, it has ended. */
  #notTold(stream, error) {
    const { code, message, isRefusal } = error;
    if (isRefusal) this.#emit('stream_ended', { type: 'stream_ended', stream, code, message });
    this.#emit('error', error);
  }

  /** A notification or a mark. Numbers only go up, so one that is not higher was handled. */
  #change(frame) {
    if (frame.unread_count !== undefined) this.#count(frame.unread_count);
    if (frame.seq <= this.#seen) return;
    const wasShown = frame.type === 'notification' && this.#shown.has(frame.id);
    const told = !wasShown ? frame
      : { type: 'inbox', seq: frame.seq, ids: [frame.id], is_read: frame.is_read, unread_count: frame.unread_count };
    if (told.type === 'notification') {
      this.#shown.add(frame.id);
      if (this.#shown.size > SHOWN_MAX) this.#shown.delete(this.#shown.values().next().value);
    }
    this.#emit(told.type, told);
    this.#reach(frame.seq);
  }

  #reach(seq) {
    this.#seen = Math.max(this.#seen, seq);
    if (this.#seen < this.#head) return;
    this.#since = this.#seen;
    if (!this.#timers.gathers) {
      this.#timers.gathers = true;
      this.#after('gather', GATHER_MS, () => this.#gathered());
    }
  }

  #gathered() {
    clearTimeout(this.#timers.gather);
    this.#timers.gathers = false;
    if (this.#since === null) return;
    if (this.#since > this.#acked && this.#send({ type: 'ack', seq: this.#since })) this.#acked = this.#since;
    const kept = JSON.stringify({ since: this.#since, epoch: this.#epoch, user: this.#user });
    try { this.#options.storage?.setItem(this.#options.storageKey, kept); } catch { /* full, or forbidden */ }
  }

  #restore() {
    try {
      const kept = JSON.parse(this.#options.storage?.getItem(this.#options.storageKey) ?? 'null');
      if (!Number.isSafeInteger(kept?.since)) return;
      ({ epoch: this.#epoch = null, user: this.#user = null } = kept);
      this.#since = this.#seen = kept.since;
    } catch { /* none, or not ours */ }
  }

  #forget(since) {
    [this.#since, this.#seen, this.#acked] = [since, -1, -1];
    this.#shown.clear();
  }

  #count(count) {
    if (count === this.#unread) return;
    this.#unread = count;
    this.#emit('unread', count);
  }

  async #renew(frame) {
    if (!this.#options.getToken) {
      return this.#emit('error', new BellpullError('token_expiring', 'The token ends soon.', { frame }));
    }
    // An event stream cannot be given another token. It ends with 4401, and that renews.
    if (this.#line?.kind !== 'websocket') return undefined;
    try {
      const { token } = await this.#credential('expiring', 'rest');
      if (token) await this.#request({ type: 'refresh', token });
    } catch (error) { this.#emit('error', error); }
    return undefined;
  }

  // --- Requests ---------------------------------------------------------------------------------

  async #mark(type, which) {
    const wanted = which === 'all' ? [{ all: true }]
      : which?.upTo !== undefined ? [{ up_to: which.upTo }] : chunks(which).map((ids) => ({ ids }));
    let answer = { unread_count: this.#unread };
    const answers = await Promise.all(wanted.map((one) => this.#request({ type, ...one })));
    answer = answers.at(-1) ?? answer;
    return { unreadCount: answer.unread_count ?? this.#unread };
  }

  /**
   * Asks, again on each new line, until it is answered or its time is over. The time of a mark
   * begins when there is a line: without one it waits, even for the next page.
   */
  #request(frame) {
    if (this.#isClosed) return Promise.reject(new BellpullError('closed', 'The client is closed.'));
    const id = `r${this.#lastRequest += 1}`;
    const isMark = MARKS.has(frame.type);
    return new Promise((resolve, reject) => {
      let timer;
      const start = () => {
        clearTimeout(timer);
        const timeout = new BellpullError('timeout', `No answer to "${frame.type}" in time.`);
        timer = setTimeout(() => settle(timeout), this.#options.requestTimeoutMs);
      };
      const settle = (error, answer) => {
        clearTimeout(timer);
        if (!this.#requests.delete(id)) return;
        if (isMark && error?.code !== 'closed') this.#keepMarks();
        error ? reject(error) : resolve(answer);
      };
      const rest = () => { if (isMark) clearTimeout(timer); };
      const reply = (answer) => {
        if (!answer.ok && answer.retry_after_ms !== undefined) {
          return setTimeout(() => this.#requests.get(id)?.make(), answer.retry_after_ms);
        }
        if (!answer.ok) {
          return settle(new BellpullError(answer.code, answer.message, { isRefusal: true }));
        }
        if (answer.unread_count !== undefined) this.#count(answer.unread_count);
        // Where nothing changed the page has been told already how the rows are now.
        if (isMark && answer.count !== 0) {
          const told = ownMark(frame, answer);
          this.#tabs?.mark(told, answer.seq);
          this.#emit('inbox', told);
        }
        return settle(null, answer);
      };
      const make = () => {
        if (!this.#isLive) return;
        if (isMark) start();
        if (this.#send({ id, ...frame })) return;
        this.#overRest(frame).then((answer) => settle(null, answer), settle);
      };
      this.#requests.set(id, { frame, make, rest, reply, settle });
      if (!isMark) start();
      else if (!this.#isLive) {
        this.#keepMarks(); // a page that is left with a line has sent it
        this.#emit('inbox', ownMark(frame, {})); // and again when the hub has it
      }
      make();
    });
  }

  #keepMarks() {
    const frames = [...this.#requests.values()].map((one) => one.frame).filter((f) => MARKS.has(f.type));
    const { storage, storageKey } = this.#options;
    const kept = { user: this.#user?.id, frames: frames.slice(-MARKS_MAX) };
    try { storage?.setItem(`${storageKey}:marks`, JSON.stringify(kept)); } catch { /* as below */ }
  }

  /** What the page before could not say, of the same user. */
  #restoreMarks() {
    try {
      const { storage, storageKey } = this.#options;
      const kept = JSON.parse(storage?.getItem(`${storageKey}:marks`) ?? 'null');
      if (!this.#user || kept?.user !== this.#user.id) return;
      for (const frame of kept.frames) if (MARKS.has(frame.type)) this.#request(frame).catch(() => {});
    } catch { /* none, or not ours */ }
  }

  /** What a socket would be asked, asked over REST: there is none. Streams need one. */
  async #overRest({ type, ids, up_to, all }) {
    const at = 'api/notifications/';
    const many = { read: ['POST', 'mark_all_as_read/'], delete: ['DELETE', 'delete-all/'] }[type];
    if (!many && !(type === 'unread' && ids)) {
      throw new BellpullError('needs_socket', `"${type}" needs a WebSocket, and none opens here.`);
    }
    if (many) await this.#rest(many[0], at + many[1], all ? {} : { ids, up_to });
    else {
      for (const id of ids) {
        await this.#rest('POST', `${at}${id}/mark_as_unread/`).catch((error) => {
          if (error.code !== 'not_found') throw error; // gone: as it is to be
        });
      }
    }
    const { unread_count } = await this.#rest('GET', `${at}unread_count/`);
    this.#count(unread_count);
    return { unread_count };
  }

  async #rest(method, path, body, why = 'first') {
    const { token } = await this.#credential(why, 'rest');
    const headers = { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) };
    const signal = AbortSignal.timeout(this.#options.requestTimeoutMs);
    const sent = { method, headers, signal, body: body && JSON.stringify(body) };
    const response = await fetch(new URL(path, this.#base), sent);
    if (response.status === 401 && why === 'first' && this.#options.getToken) {
      return this.#rest(method, path, body, 'refused');
    }
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const { code = response.status, detail = 'failed', ...fields } = answer;
      throw new BellpullError(code, detail, { status: response.status, fields });
    }
    return answer;
  }

  /** Whether there was a socket to send it on. */
  #send(frame) {
    if (!this.#isLive || !this.#line.send) return false;
    this.#line.send(JSON.stringify(frame));
    return true;
  }

  #after(name, ms, work) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(work, ms);
  }

  #become(state, more = {}) {
    if (state === this.#state && state !== 'waiting') return;
    this.#state = state;
    this.#emit('state', { state, ...more });
  }

  #emit(name, detail) {
    for (const listener of this.#listeners.get(name) ?? []) {
      // A page's mistake must not cost the next listener its event, nor the line its life.
      try { listener(detail); } catch (error) { (globalThis.reportError ?? console.error)(error); }
    }
  }
}

/** The hub tells a mark to all sessions but the one that made it: this one's page hears it here. */
function ownMark({ type, ids, up_to, all }, { unread_count }) {
  const which = JSON.parse(JSON.stringify({ ids, up_to, all }));
  const state = { is_read: type !== 'unread', ...(type === 'delete' && { deleted: true }) };
  return { type: 'inbox', ...which, ...state, unread_count };
}

// --- The two kinds of line ------------------------------------------------------------------------

function openSocket(line, url, token, tell, Socket) {
  url.protocol = url.protocol.replace('http', 'ws');
  // The token goes as a subprotocol: URLs end up in logs.
  const socket = new Socket(url, token ? ['bellpull.v1', `bearer.${token}`] : ['bellpull.v1']);
  line.send = (text) => { if (socket.readyState === Socket.OPEN) socket.send(text); };
  line.end = () => {
    socket.onmessage = socket.onclose = null;
    socket.close(1000);
  };
  socket.onopen = () => { line.isOpen = true; };
  socket.onerror = () => {}; // onclose follows; Node's ws throws what is not listened to
  socket.onmessage = ({ data }) => tell.frame(JSON.parse(data));
  socket.onclose = ({ code, reason }) => {
    let retryAfterMs;
    try { retryAfterMs = JSON.parse(reason).retry_after_ms; } catch { /* most are for people */ }
    tell.over({ code, reason, retryAfterMs });
  };
}

const CODES = { 401: 4401, 403: 4403, 400: 4400, 429: 4429 };

async function openStream(line, url, token, tell) {
  const abort = new AbortController();
  line.end = () => abort.abort();
  let why = { code: 1006, reason: 'the stream ended' };
  try {
    // Not EventSource: that shows neither the status, nor comments, nor takes a header.
    const headers = { Accept: 'text/event-stream', ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(url, { headers, cache: 'no-store', signal: abort.signal });
    if (!response.ok) {
      const after = Number(response.headers.get('Retry-After'));
      const retryAfterMs = after > 0 ? after * 1_000 : undefined;
      return tell.over({ code: CODES[response.status] ?? 1013, reason: `HTTP ${response.status}`, retryAfterMs });
    }
    line.isOpen = true;
    let rest = '';
    for await (const text of texts(response.body)) {
      const events = (rest + text).split('\n\n');
      rest = events.pop();
      for (const event of events) {
        const field = (name) => event.split('\n').find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
        const data = field('data') && JSON.parse(field('data'));
        if (field('event') === 'close') why = { ...data, retryAfterMs: data.retry_after_ms };
        else if (data) tell.frame(data);
        else tell.heard();
      }
    }
  } catch (error) { why.reason = String(error); }
  return tell.over(why);
}

async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function within(work, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new BellpullError('timeout', 'getToken() took too long.')), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
