'use client';
// What components are told: each is drawn anew only when what it selects changes.
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import type { Filters, ListState, Notification } from '@bellpull/client';
import { useStore } from './provider.js';
import { keyOf } from './prefetch.js';

type Which = number | number[] | { upTo: number } | 'all';

export interface InboxActions {
  markRead(which: Which): Promise<unknown>;
  markUnread(ids: number | number[]): Promise<unknown>;
  remove(which: Which): Promise<unknown>;
  more(): void;
  refresh(): void;
}

export type InboxValue = ListState & InboxActions;

/** The count of unread notifications; null before it is known. */
export function useUnread(): number | null {
  const store = useStore();
  return useSyncExternalStore(store.watch, store.unread, store.unread);
}

/** Compares what selectors make: primitives, and objects or arrays of the same parts. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || !one || !other) return false;
  const [left, right] = [Object.entries(one), Object.entries(other)];
  return left.length === right.length
    && left.every(([key, value]) => Object.is(value, (other as Record<string, unknown>)[key]));
}

/** A list of notifications that is kept up to date, and what can be done with it. */
export function useInbox(filters?: Filters): InboxValue;
/** Only what `select` makes of it: the component is drawn anew when that changes. */
export function useInbox<Selected>(filters: Filters | undefined, select: (state: ListState) => Selected):
  Selected;
export function useInbox<Selected>(filters: Filters = {}, select?: (state: ListState) => Selected) {
  const store = useStore();
  const key = keyOf(filters);
  const stable = useMemo(() => Object.fromEntries(JSON.parse(key)) as Filters, [key]);
  const subscribe = useCallback((watcher: () => void) => store.watchList(stable, watcher), [store, stable]);
  const last = useRef<{ state?: ListState; select?: unknown; value?: unknown }>({});
  const snapshot = () => {
    const state = store.listState(stable);
    // The same answer to the same question, even where a selector makes new objects each time.
    if (last.current.state === state && last.current.select === select) return last.current.value;
    const selected = select ? select(state) : state;
    const value = isSame(last.current.value, selected) ? last.current.value : selected;
    last.current = { state, select, value };
    return value;
  };
  const value = useSyncExternalStore(subscribe, snapshot, snapshot);
  const actions = useMemo<InboxActions>(() => {
    const hub = () => store.hub ?? raise();
    return {
      markRead: async (which) => hub().markRead(which),
      markUnread: async (ids) => hub().markUnread(ids),
      remove: async (which) => hub().remove(which),
      more: () => { store.list(stable)?.more(); },
      refresh: () => { store.list(stable)?.refresh(); },
    };
  }, [store, stable]);
  return useMemo(() => (select ? value : { ...(value as ListState), ...actions }), [select, value, actions]);
}

function raise(): never { throw new Error('The inbox is not mounted.'); }

/** Calls `listener` for each new notification, for toasts and sounds. */
export function useNotification(listener: (told: Notification) => void) {
  const store = useStore();
  const latest = useRef(listener);
  useEffect(() => { latest.current = listener; });
  useEffect(() => {
    const { hub, release } = store.acquire();
    const end = hub.on('notification', (told) => latest.current(told));
    return () => { end(); release(); };
  }, [store]);
}

export interface Preferences {
  events: Record<string, Record<string, boolean>>;
  quiet_hours: { start: string; end: string; timezone?: string; days?: string[] } | null;
  email_digest: 'off' | 'hourly' | 'daily';
  [other: string]: unknown;
}

/** The user's preferences (null until they are read), and what changes them: only what is named. */
export function usePreferences() {
  const store = useStore();
  const preferences = useSyncExternalStore(store.watch, () => store.preferences, () => null);
  const [error, setError] = useState<Error | null>(null);
  const ask = useCallback(async (method: 'GET' | 'PUT', changes?: Partial<Preferences>) => {
    const { hub, release } = store.acquire();
    try {
      store.preferences = await hub.request(method, 'api/preferences/', changes);
      setError(null);
      store.tell();
    } catch (failure) {
      setError(failure as Error);
      if (method === 'PUT') throw failure;
    } finally { release(); }
  }, [store]);
  useEffect(() => { void ask('GET'); }, [ask]);
  const change = useCallback((changes: Partial<Preferences>) => ask('PUT', changes), [ask]);
  return { preferences: preferences as Preferences | null, error, change };
}
