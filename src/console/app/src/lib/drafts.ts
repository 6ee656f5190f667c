// What was typed and not sent, for each user, on this device. Each page keeps its own: two tabs of one
// user do not overwrite each other's. What a page that is gone has left, the next one takes over.

import { session } from './session.svelte';

const LOCK = 'bellpull.page.';
/** Marks what a page has left. */
const LEFT = '~';
const me = newId();

interface Draft { at: number }

/** A name that no other has. Pages without HTTPS have no `randomUUID`. */
export function newId(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join('-');
}

const keyOf = (name: string) => `bellpull.draft.${session.user?.id}.${name}`;

/** Without room, or where nothing is kept, there are no drafts. */
function kept<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}

// Held until the page is gone, even if it breaks. Pages without HTTPS have no locks either.
void navigator.locks?.request(LOCK + me, () => new Promise(() => {}));
addEventListener('pagehide', () => kept(() => {
  for (const [key, draft] of Object.entries(localStorage)) {
    if (!key.startsWith('bellpull.draft.') || !key.endsWith(`.${me}`)) continue;
    localStorage.setItem(key.replace(/[^.]+$/, LEFT + me), draft as string);
    localStorage.removeItem(key);
  }
}));

export const drafts = {
  /** This page's, or the last one of a page that is gone, and its key. */
  async find<T extends Draft>(name: string): Promise<{ draft: T; key: string } | null> {
    const base = keyOf(name);
    const held = new Set((await navigator.locks?.query())?.held?.map((lock) => lock.name));
    const isFree = (page: string) => page === me || !held.has(LOCK + page);
    return kept(() => {
      const keys = Object.keys(localStorage).filter((key) => key === base || (key.startsWith(`${base}.`) && isFree(key.slice(base.length + 1))));
      const all = keys.map((key) => ({ key, draft: JSON.parse(localStorage.getItem(key) ?? '') as T }));
      return all.sort((a, b) => (b.draft.at ?? 0) - (a.draft.at ?? 0))[0] ?? null;
    });
  },

  /** Null forgets it. */
  set(name: string, draft: object | null): void {
    const key = `${keyOf(name)}.${me}`;
    if (session.user) kept(() => draft === null ? localStorage.removeItem(key) : localStorage.setItem(key, JSON.stringify({ ...draft, at: Date.now() })));
  },

  drop(key: string): void { kept(() => localStorage.removeItem(key)); },
};
