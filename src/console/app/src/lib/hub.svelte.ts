// The live connection: one for the whole app, by the hub's own client.

import { connect, type Bellpull, type Events, type State } from 'bellpull';
import { renew } from './api';
import { session } from './session.svelte';

type Listener = () => void;

/** A stream that ended or was refused is asked for again, later each time: it may be given back. */
const AGAIN_MS = { first: 2000, last: 60_000 };

class Live {
  state = $state<State>('connecting');
  /** Why the connection is down, where it is known. */
  why = $state('');
  unread = $state<number | null>(null);
  /** The streams that are followed and that the hub does not tell. */
  lost = $state.raw<ReadonlySet<string>>(new Set());
  #client: Bellpull | null = null;
  #changed = new Set<Listener>();
  #back = new Set<Listener>();
  /** How many follow a stream, and how often in a row it was refused. */
  #streams = new Map<string, { count: number; refused: number }>();

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
        for (const listener of [...this.#back, ...this.#changed]) listener();
      }
      if (now.state === 'closed' && now.code === 4401) session.set(null);
    });
    client.on('unread', (count) => { this.unread = count; });
    client.on('stream_ended', ({ stream }) => this.#lose(stream));
    for (const name of ['notification', 'inbox', 'reset'] as const) {
      client.on(name, () => this.#changed.forEach((listener) => listener()));
    }
  }

  stop(): void {
    this.#client?.close();
    this.#client = null;
    this.#streams.clear();
    this.lost = new Set();
    this.unread = null;
  }

  /** Calls back whenever the inbox may have changed. Returns what ends it. */
  onChange(listener: Listener): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  /** Calls back when the line stands again. Returns what ends it. */
  onBack(listener: Listener): () => void {
    this.#back.add(listener);
    return () => this.#back.delete(listener);
  }

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    return this.#client?.on(name, listener) ?? (() => {});
  }

  /** Follows a stream as long as anything does. Returns what ends it. */
  follow(stream: string): () => void {
    const known = this.#streams.get(stream) ?? { count: 0, refused: 0 };
    this.#streams.set(stream, known);
    known.count += 1;
    if (known.count === 1) void this.#subscribe(stream);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      known.count -= 1;
      if (known.count > 0 || this.#streams.get(stream) !== known) return;
      this.#streams.delete(stream);
      this.#tellLost();
      this.#client?.unsubscribe(stream).catch(() => {});
    };
  }

  async #subscribe(stream: string): Promise<void> {
    const known = this.#streams.get(stream);
    try {
      await this.#client?.subscribe(stream);
      if (!known?.refused) return;
      known.refused = 0;
      this.#tellLost();
    } catch (error) {
      // Without an answer the client itself asks again, on its next line.
      if ((error as { isRefusal?: boolean }).isRefusal) this.#lose(stream);
    }
  }

  #lose(stream: string): void {
    const known = this.#streams.get(stream);
    if (!known) return;
    const wait = Math.min(AGAIN_MS.last, AGAIN_MS.first * 2 ** known.refused);
    known.refused += 1;
    this.#tellLost();
    setTimeout(() => { if (this.#streams.get(stream) === known) void this.#subscribe(stream); }, wait);
  }

  #tellLost(): void {
    this.lost = new Set([...this.#streams].filter(([, { refused }]) => refused > 0).map(([stream]) => stream));
  }

  viewing(stream: string, ticket: number | null): void { this.#client?.viewing(stream, ticket); }
  typing(stream: string, ticket: number, is: boolean): void { this.#client?.typing(stream, ticket, is); }

  async markRead(which: number[] | 'all'): Promise<void> { await this.#client?.markRead(which); }
  async markUnread(which: number[]): Promise<void> { await this.#client?.markUnread(which); }
}

export const live = new Live();
