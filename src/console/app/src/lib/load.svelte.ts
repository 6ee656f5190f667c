// How a view gets what it shows. The rules stand here, once: an answer to an earlier question never
// replaces a later one's; what changes while the hub is asked is asked for again; a view reads again
// when the line is back, and now and then where no stream tells or nothing can be read; what may no
// longer be seen is not shown.

import { untrack } from 'svelte';
import { ApiError, get } from './api';
import { live } from './hub.svelte';

/** A burst of changes is one reading, at most one in this time; a burst of keys is one question. */
const PAUSE_MS = 300;
/** Readings that wait for their answers at the same time. */
const UNANSWERED_MAX = 3;
/** How often is read what no stream tells. */
const UNTOLD_MS = 15_000;

export class Load<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<Error | null>(null);
  readonly #read: (show: (value: T) => void) => Promise<T>;
  #begun = 0;
  #shown = 0;
  #unanswered = 0;
  #isDue = false;
  #pause: ReturnType<typeof setTimeout> | undefined;

  readonly #shows: (value: T) => void;

  /** `read` may show parts of its answer before the whole; `shows` hears what is shown. */
  constructor(read: (show: (value: T) => void) => Promise<T>, shows: (value: T) => void = () => {}) {
    [this.#read, this.#shows] = [read, shows];
  }

  get problem(): string { return this.error?.message ?? ''; }
  get isWaiting(): boolean { return this.#unanswered > 0; }
  get isMissing(): boolean { return this.error instanceof ApiError && this.error.status === 404; }

  /** Something may have changed: reads, or soon, if that was done a moment ago. */
  refresh(): void {
    this.#isDue = true;
    if (this.#pause === undefined && this.#unanswered < UNANSWERED_MAX) void this.#ask();
  }

  /** What was asked until now is outdated: only what is asked from here on is shown. */
  again(afterMs = 0): void {
    this.#shown = this.#begun;
    this.#isDue = true;
    this.#rest(afterMs);
  }

  /** Shows this instead of what was asked until now. */
  show(value: T): void {
    this.value = value;
    this.#shown = this.#begun;
  }

  /** Shows what the hub has answered to a change, and reads what else that has changed. */
  set(value: T): void {
    this.show(value);
    this.again();
  }

  #rest(ms: number): void {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#isDue) this.refresh();
    }, ms);
  }

  async #ask(): Promise<void> {
    const turn = ++this.#begun;
    const show = (value: T, isWhole: boolean) => {
      if (turn <= this.#shown) return;
      this.value = value;
      this.error = null;
      this.#shows(value);
      // Parts of an earlier answer do not replace those of a later one either.
      this.#shown = isWhole ? turn : turn - 1;
    };
    this.#isDue = false;
    this.#unanswered += 1;
    this.#rest(PAUSE_MS);
    try {
      show(await this.#read((value) => show(value, false)), true);
    } catch (error) {
      if (turn > this.#shown) this.#fail(error as Error);
    } finally {
      this.#unanswered -= 1;
      if (this.#isDue && this.#pause === undefined) this.refresh();
    }
  }

  #fail(error: Error): void {
    if (error instanceof ApiError && [403, 404].includes(error.status)) this.value = null;
    this.error = error;
  }
}

export interface Options<T> {
  /** How the question is asked; by default it is a path that is read. */
  read?: (question: string, show: (value: T) => void) => Promise<T>;
  /** The streams that tell of changes. With them the inbox does, too: it tells of tickets. */
  streams?: () => string[];
  /** Whether a stream's frame is of what is shown; by default each is. */
  concerns?: (data: { ticket_id?: number }) => boolean;
  /** Read as often, while the page is in sight. */
  everyMs?: number;
}

/** Loads for a component, as long as it is there. No question (''): nothing is read. */
export function load<T>(ask: () => string, options: Options<T> = {}): Load<T> {
  const { read = get<T>, streams, concerns = () => true, everyMs } = options;
  let question = '';
  let askedAt = -PAUSE_MS;
  const loaded = new Load<T>((show) => read(question, show));
  $effect(() => {
    question = ask();
    if (!question) return;
    // The first key of a burst asks at once, the rest when it is over.
    const isBurst = performance.now() - askedAt < PAUSE_MS;
    askedAt = performance.now();
    untrack(() => loaded.again(isBurst ? PAUSE_MS : 0));
  });
  const refresh = () => { if (question) loaded.refresh(); };
  $effect(() => live.onBack(refresh));
  $effect(() => {
    if (!streams) return;
    const all = streams();
    const ends = all.map((stream) => live.follow(stream));
    const isMine = (frame: { stream: string; data?: unknown }) => all.includes(frame.stream) && concerns((frame.data ?? {}) as object);
    for (const name of ['ticket_update', 'comment_added'] as const) {
      ends.push(live.on(name, (frame) => { if (isMine(frame)) refresh(); }));
    }
    // What changed before a stream is told is not told.
    ends.push(live.on('subscribed', ({ stream }) => { if (all.includes(stream)) refresh(); }));
    ends.push(live.on('stream_ended', refresh), live.onChange(refresh));
    return () => ends.forEach((end) => end());
  });
  $effect(() => {
    const isUntold = loaded.error !== null || streams?.().some((stream) => live.lost.has(stream));
    const ms = everyMs ?? (isUntold ? UNTOLD_MS : undefined);
    if (!ms) return;
    const timer = setInterval(() => { if (!document.hidden && !loaded.isWaiting) refresh(); }, ms);
    return () => clearInterval(timer);
  });
  return loaded;
}
