// What a provider holds: at most one client and one list for each set of filters, made when the
// first component listens and closed when none has for a moment. Nothing happens while React
// renders, which it may do twice.
import {
  connect, list, oneSocket, type Bellpull, type Filters, type List, type ListState, type Options,
} from '@bellpull/client';
import { keyOf, type InitialData } from './prefetch.js';

/** Longer than between the two mounts of StrictMode, and than a route takes to change. */
const LINGER_MS = 200;

export const EMPTY: ListState = { rows: [], count: null, hasMore: true, isLoading: true, error: null };

export class Store {
  hub: Bellpull | null = null;
  preferences: unknown = null;
  private users = 0;
  private closing: ReturnType<typeof setTimeout> | undefined;
  private lists = new Map<string, { list: List; users: number }>();
  private watchers = new Set<() => void>();

  constructor(public options: Options, private initial: InitialData | undefined) {}

  /** The client, until the returned function is called. */
  acquire(): { hub: Bellpull; release: () => void } {
    clearTimeout(this.closing);
    this.users += 1;
    this.hub ??= this.open();
    let isHeld = true;
    const release = () => {
      if (isHeld) this.users -= 1;
      isHeld = false;
      clearTimeout(this.closing);
      if (this.users === 0) this.closing = setTimeout(() => this.close(), LINGER_MS);
    };
    return { hub: this.hub, release };
  }

  private open(): Bellpull {
    const { token, getToken, tabs = oneSocket(), ...others } = this.options;
    // Always the latest: applications often make a new function each time they render.
    const hub = connect({
      ...others,
      tabs,
      ...(getToken ? { getToken: (asked) => (this.options.getToken ?? getToken)(asked) } : { token }),
    });
    hub.on('unread', () => this.tell());
    hub.on('state', () => this.tell());
    return hub;
  }

  private close() {
    for (const one of this.lists.values()) one.list.close();
    this.lists.clear();
    this.hub?.close();
    this.hub = null;
  }

  tell() { for (const watcher of this.watchers) watcher(); }

  /** Calls `watcher` when the client's state or count changes. */
  watch = (watcher: () => void) => {
    const { release } = this.acquire();
    this.watchers.add(watcher);
    return () => { this.watchers.delete(watcher); release(); };
  };

  unread = (): number | null => this.hub?.unread ?? this.initial?.unread ?? null;

  watchList(filters: Filters, watcher: () => void) {
    const { hub, release } = this.acquire();
    const key = keyOf(filters);
    let entry = this.lists.get(key);
    if (!entry) {
      entry = { list: list(hub, filters, this.initial?.lists[key]), users: 0 };
      this.lists.set(key, entry);
    }
    const held = entry;
    held.users += 1;
    const end = held.list.subscribe(watcher);
    return () => {
      end();
      held.users -= 1;
      release();
      setTimeout(() => {
        if (held.users > 0 || this.lists.get(key) !== held) return;
        this.lists.delete(key);
        held.list.close();
      }, LINGER_MS);
    };
  }

  list(filters: Filters): List | undefined { return this.lists.get(keyOf(filters))?.list; }

  listState(filters: Filters): ListState {
    const key = keyOf(filters);
    return this.lists.get(key)?.list.state ?? this.initialState(key);
  }

  private initialStates = new Map<string, ListState>();

  private initialState(key: string): ListState {
    const given = this.initial?.lists[key];
    if (!given) return EMPTY;
    if (!this.initialStates.has(key)) this.initialStates.set(key, { ...EMPTY, ...given });
    return this.initialStates.get(key) ?? EMPTY;
  }
}
