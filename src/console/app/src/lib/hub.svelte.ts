// The live connection: one for the whole app, by the hub's own client.

import { connect, type Bellpull, type Events, type State } from 'bellpull';
import { renew } from './api';
import { session } from './session.svelte';

type Listener = () => void;

/** A burst of changes is one reading, at most one in this time. */
const TELL_EVERY_MS = 300;

class Live {
  state = $state<State>('connecting');
  /** Why the connection is down, where it is known. */
  why = $state('');
  unread = $state<number | null>(null);
  #client: Bellpull | null = null;
  #changed = new Set<Listener>();
  #streams = new Map<string, number>();
  #resting: ReturnType<typeof setTimeout> | undefined;
  #hasMore = false;

  start(): void {
    if (this.#client) return;
    const getToken = async ({ why }: { why: string }) => {
      if (why !== 'first') await renew();
      return session.current?.access ?? '';
    };
    const client = connect({ getToken });
    this.#client = client;
    client.on('state', (now) => {
      this.state = now.state;
      this.why = now.code === 1012 ? 'restart' : '';
      if (now.state === 'live') {
        const { current } = session;
        const { user } = client;
        // The role may have changed since signing in.
        if (current && user && (user.role !== current.user.role || user.username !== current.user.username)) {
          session.set({ ...current, user: { ...current.user, role: user.role, username: user.username } });
        }
        this.#tell();
      }
      if (now.state === 'closed' && now.code === 4401) session.set(null);
    });
    client.on('unread', (count) => { this.unread = count; });
    for (const name of ['notification', 'inbox', 'reset'] as const) client.on(name, () => this.#tell());
  }

  stop(): void {
    this.#client?.close();
    this.#client = null;
    this.#streams.clear();
    this.unread = null;
  }

  /** At once, and once more after a burst: each listener reads its list again. */
  #tell(): void {
    if (this.#resting) {
      this.#hasMore = true;
      return;
    }
    for (const listener of this.#changed) listener();
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      const hasMore = this.#hasMore;
      this.#hasMore = false;
      if (hasMore) this.#tell();
    }, TELL_EVERY_MS);
  }

  /** Calls back whenever the inbox may have changed. Returns what ends it. */
  onChange(listener: Listener): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    return this.#client?.on(name, listener) ?? (() => {});
  }

  /** Follows a stream as long as anything does. Returns what ends it. */
  follow(stream: string): () => void {
    const count = this.#streams.get(stream) ?? 0;
    this.#streams.set(stream, count + 1);
    if (count === 0) this.#client?.subscribe(stream).catch(() => {});
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#streams.get(stream) ?? 1) - 1;
      this.#streams.set(stream, left);
      if (left === 0) this.#client?.unsubscribe(stream).catch(() => {});
    };
  }

  viewing(stream: string, ticket: number | null): void { this.#client?.viewing(stream, ticket); }
  typing(stream: string, ticket: number, is: boolean): void { this.#client?.typing(stream, ticket, is); }

  async markRead(which: number[] | 'all'): Promise<void> { await this.#client?.markRead(which); }
  async markUnread(which: number[]): Promise<void> { await this.#client?.markUnread(which); }
  async remove(which: number[]): Promise<void> { await this.#client?.remove(which); }
}

export const live = new Live();
