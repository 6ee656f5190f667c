// Who is signed in. The tokens live in sessionStorage: they end with the tab.

import type { User } from './types';

interface Kept { user: User; access: string; refresh: string }

export const ROLES = ['client', 'developer', 'admin', 'super_admin'] as const;

const KEY = 'bellpull';

function kept(): Kept | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Kept | null;
  } catch {
    return null;
  }
}

class Session {
  current = $state.raw<Kept | null>(kept());

  get user(): User | null { return this.current?.user ?? null; }
  get isAdmin(): boolean { return ['admin', 'super_admin'].includes(this.user?.role ?? ''); }
  get isOperator(): boolean { return this.user?.role === 'super_admin'; }

  set(next: Kept | null): void {
    this.current = next;
    if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
    else sessionStorage.removeItem(KEY);
  }
}

export const session = new Session();
