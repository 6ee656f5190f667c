// What was typed and not sent, for each user, on this device.

import { session } from './session.svelte';

const keyOf = (name: string) => `bellpull.draft.${session.user?.id}.${name}`;

export const drafts = {
  get<T>(name: string): T | null {
    try {
      return JSON.parse(localStorage.getItem(keyOf(name)) ?? 'null') as T | null;
    } catch {
      return null;
    }
  },

  /** Null forgets it. */
  set(name: string, draft: unknown): void {
    if (!session.user) return;
    try {
      if (draft === null) localStorage.removeItem(keyOf(name));
      else localStorage.setItem(keyOf(name), JSON.stringify(draft));
    } catch {
      // The device keeps nothing, or has no room.
    }
  },
};
