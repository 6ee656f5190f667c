// A list of notifications, newest first: pages that were read over REST, and what is told live,
// merged. It shows a state that changes as a whole, so that any framework can draw it:
//
//   import { list } from 'https://hub.example.com/client/list.js';
//   const inbox = list(hub, { is_read: false });
//   inbox.subscribe(() => draw(inbox.state.rows, inbox.state.count));
//   more.onclick = () => inbox.more();
//
// Rows are known by their ids and ordered by `seq`, the number that each was created with. A frame
// that comes while a page is read wins over the page, which may be older. What a frame cannot tell
// (how many rows that are not held match) is counted by the hub, again until nothing came meanwhile.

const SIZE = 50; // of a page
const SIZE_MAX = 100; // of the hub's pages
const START_MS = 500; // the first page is read when the line stands, or so late
const CHECK_MS = 150; // frames are gathered so long before the hub is asked
const FETCH_MAX = 20; // rows that are read one by one; of more, the list is read again
const STEP = 10; // rows, by which the place where the list goes on is looked for

/** The size of pages of which one begins closest above that row: the most of it is new. */
function sizeOfPageFrom(at) {
  let best = SIZE_MAX;
  for (let size = SIZE; size <= SIZE_MAX; size += 1) {
    if (size - (at % size) >= best - (at % best)) best = size;
  }
  return best;
}

/** What a row is, whether a page or a frame tells it. */
export const rowOf = (told) => ({
  id: told.id,
  seq: told.created_seq ?? told.seq,
  event: told.event,
  kind: told.kind ?? told.type,
  title: told.title,
  body: told.body,
  action_url: told.action_url,
  data: told.data ?? told.metadata ?? {},
  ticket_id: told.ticket?.id ?? told.ticket ?? null,
  ticket_title: told.ticket?.title ?? told.ticket_title ?? null,
  sender_id: told.sender_id ?? told.sender ?? null,
  priority: told.priority,
  is_read: told.is_read,
  created_at: new Date(told.created_at).toISOString(), // frames write no zeros at the end
});

/** A list of the hub's; `initial`: the state of one that was made elsewhere. */
export function list(hub, filters = {}, initial = undefined) {
  return new List(hub, filters, initial);
}

class List {
  #hub; #filters; #ends; #listeners = new Set();
  #rows = new Map(); // by id
  #state; #isComplete = false; #isRead = false; #isClosed = false;
  #told = 0; // frames so far
  #fresh = null; // what frames changed while pages are read, which may be older
  #work = Promise.resolve(); // one request after another
  #timer; #wanted = null; // `count`, or `rows`: what to ask the hub for

  constructor(hub, filters, initial) {
    this.#hub = hub;
    this.#filters = filters;
    this.#state = { rows: [], count: null, hasMore: true, isLoading: true, error: null, ...initial };
    for (const row of this.#state.rows) this.#rows.set(row.id, row);
    this.#isComplete = !this.#state.hasMore;
    let wasLive = hub.state === 'live';
    let begin;
    const begun = new Promise((resolve) => {
      begin = resolve;
      setTimeout(begin, wasLive ? 0 : START_MS);
    });
    this.#ends = [
      hub.on('notification', (told) => this.#notified(rowOf(told))),
      hub.on('inbox', (told) => this.#marked(told)),
      hub.on('reset', () => this.#check('rows')),
      hub.on('backlog_truncated', () => this.#check('rows')),
      hub.on('state', ({ state }) => {
        if (state !== 'live') return;
        // Without a position nothing that was missed before the first line comes on it.
        if (this.#isRead && (!wasLive || this.#state.error)) this.#check('rows');
        wasLive = true;
        begin();
      }),
    ];
    // What was rendered elsewhere is a moment old: it is read again once, quietly.
    this.#queue(async () => {
      await begun;
      this.#isRead = true;
      await this.#read();
    });
  }

  /** The rows, how many there are in all, and whether there are more: never changed, replaced. */
  get state() { return this.#state; }

  /** Calls `listener` after each change of the state; returns what ends that. */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Reads the next page. */
  more() {
    if (!this.#state.hasMore) return this.#work;
    this.#show({ isLoading: true });
    return this.#queue(() => this.#append());
  }

  /** Reads anew what is shown. */
  refresh() { return this.#queue(() => this.#read()); }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#ends.forEach((end) => end());
    this.#listeners.clear();
  }

  // --- What is told live ------------------------------------------------------------------------

  /** Whether a row belongs here; undefined where only the hub can say. */
  #matches(row) {
    const { is_read: isRead, type, event, ticket, ...others } = this.#filters;
    const asked = [[isRead, row.is_read], [type, row.kind], [event, row.event], [ticket, row.ticket_id]];
    if (asked.some(([wanted, is]) => wanted !== undefined && String(wanted) !== String(is))) return false;
    return Object.values(others).some((other) => other !== undefined) ? undefined : true;
  }

  /** Changes what is held, at once and again over pages that are being read. */
  #apply(change, then) {
    this.#told += 1;
    this.#fresh?.push(change);
    if (then) this.#check(then);
    if (this.#state.count === null) return;
    const before = this.#rows.size;
    if (change(this.#rows)) this.#show({ count: this.#state.count + this.#rows.size - before });
  }

  /** Puts a row where it belongs, or takes it away; whether that changed anything. */
  #put(rows, row) {
    if (this.#matches(row) === false) return rows.delete(row.id);
    const held = [...rows.values()];
    // What is older than all that is held comes with a page.
    const belongs = rows.has(row.id) || this.#isComplete || held.some(({ seq }) => seq < row.seq);
    if (belongs) rows.set(row.id, row);
    return belongs;
  }

  #notified(row) {
    const isSure = this.#matches(row) === false ? !this.#rows.has(row.id)
      : this.#rows.has(row.id) || row.seq > (this.#state.rows[0]?.seq ?? -1);
    if (this.#matches(row) !== undefined) return this.#apply((rows) => this.#put(rows, row), isSure ? null : 'count');
    return this.#apply(() => false, 'rows');
  }

  #marked({ ids, up_to: upTo, all, is_read: isRead, deleted }) {
    const isMeant = (row) => all || ids?.includes(row.id) || row.seq <= (upTo ?? -1);
    const others = ids?.filter((id) => !this.#rows.has(id)) ?? [];
    const isSure = ids && others.length === 0 && !this.#fresh;
    this.#apply((rows) => {
      const meant = [...rows.values()].filter(isMeant);
      for (const row of meant) {
        if (deleted) rows.delete(row.id);
        else this.#put(rows, { ...row, is_read: isRead });
      }
      return meant.length > 0;
    }, isSure ? null : 'count');
    // Rows that are not held and come to match: only the hub has them.
    const { is_read: wanted } = this.#filters;
    if (!deleted && others.length > 0 && String(wanted) === String(isRead)) this.#queue(() => this.#fetch(others));
  }

  async #fetch(ids) {
    if (ids.length > FETCH_MAX) return this.#read();
    this.#fresh = [];
    const read = [];
    for (const id of ids) {
      const told = await this.#hub.request('GET', `api/notifications/${id}/`).catch((error) => {
        if (error.status !== 404) throw error;
      });
      if (told) read.push(rowOf(told));
    }
    const fresh = this.#fresh;
    this.#fresh = null;
    return this.#apply((rows) => {
      for (const row of read) this.#put(rows, row);
      for (const change of fresh) change(rows);
      return true;
    }, 'count');
  }

  // --- What is read -----------------------------------------------------------------------------

  /** Asks soon; once, for all that comes until then. */
  #check(what) {
    if (this.#isClosed) return;
    if (this.#wanted !== 'rows') this.#wanted = what;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const wanted = this.#wanted;
      this.#wanted = null;
      this.#queue(() => (wanted === 'rows' ? this.#read() : this.#count()));
    }, CHECK_MS);
  }

  #queue(work) {
    this.#work = this.#work.then(() => (this.#isClosed ? undefined : work())).catch((error) => {
      this.#fresh = null;
      this.#show({ error, isLoading: false });
    });
    return this.#work;
  }

  async #page(number, size) {
    const query = new URLSearchParams({ page: number, page_size: size });
    for (const [name, value] of Object.entries(this.#filters)) {
      if (value !== undefined) query.set(name, value);
    }
    try {
      const { count, results, next } = await this.#hub.request('GET', `api/notifications/?${query}`);
      return { count, rows: results.map(rowOf), isLast: next === null };
    } catch (error) {
      if (error.status !== 404) throw error;
      return { count: 0, rows: [], isLast: true }; // past the end: rows were deleted meanwhile
    }
  }

  async #count() {
    const before = this.#told;
    const { count } = await this.#page(1, 1);
    if (before !== this.#told || this.#wanted) return this.#check('count');
    if (count !== this.#state.count) this.#show({ count });
    return undefined;
  }

  /** Reads as many rows as are held, and at least a page. */
  async #read() {
    this.#fresh = [];
    const before = this.#told;
    const wanted = Math.max(SIZE, this.#rows.size);
    const read = new Map();
    let last;
    do last = await this.#readOn(read, Math.min(wanted, SIZE_MAX)); while (!last.isLast && read.size < wanted);
    this.#rows = read;
    this.#finish(last, before);
  }

  async #append() {
    this.#fresh = [];
    const before = this.#told;
    const rows = new Map(this.#rows);
    const last = await this.#readOn(rows, SIZE);
    this.#rows = rows;
    this.#finish(last, before);
  }

  /** Reads on after the last of these rows: some may have come or gone before it meanwhile. */
  async #readOn(rows, first) {
    const end = Math.min(...[...rows.values()].map(({ seq }) => seq));
    let at = Math.max(0, rows.size - 1);
    for (;;) {
      const size = rows.size === 0 ? first : sizeOfPageFrom(at);
      const page = await this.#page(Math.floor(at / size) + 1, size);
      const older = page.rows.filter(({ seq }) => seq < end);
      // The page is to begin with a row that is held, so that none between is passed over.
      const isBehind = at >= size && older.length === page.rows.length;
      if (isBehind) at = Math.max(0, at - STEP);
      else if (older.length === 0 && !page.isLast) at += STEP;
      else {
        for (const row of older) rows.set(row.id, row);
        return page;
      }
    }
  }

  /** What was told while pages were read goes over what they say. */
  #finish({ count, isLast }, before) {
    this.#isComplete = isLast;
    for (const change of this.#fresh) change(this.#rows);
    this.#fresh = null;
    this.#show({ count: Math.max(count, this.#rows.size), isLoading: false, error: null });
    if (before !== this.#told) this.#check('count');
  }

  #show(change) {
    if (this.#isClosed) return;
    const rows = [...this.#rows.values()].sort((one, other) => other.seq - one.seq);
    this.#state = { ...this.#state, ...change, rows, hasMore: !this.#isComplete };
    for (const listener of this.#listeners) listener();
  }
}
