// The supervision tree as it is now: read once a second, with rates between two readings.

import { get, query } from './api';
import type { Actor } from './types';

export interface Row { actor: Actor; key: string; depth: number; rate: number; hasChildren: boolean; hidden: number }

const EVERY_MS = 1000;
/** Children of a supervisor that are read; a search in the tree covers these. */
const CHILDREN = 200;

const keyOf = (actor: Actor) => `${actor.node} ${actor.path}`;

export class Tree {
  root = $state.raw<Actor | null>(null);
  problem = $state('');
  closed = $state.raw(new Set<string>());
  search = $state('');
  #rates = $state.raw(new Map<string, number>());
  #before = new Map<string, number>();
  #readAt = 0;

  rows = $derived.by(() => {
    const rows: Row[] = [];
    const wanted = this.search.trim().toLowerCase();
    const fits = (actor: Actor): boolean => `${actor.path} ${actor.state} ${actor.node}`.toLowerCase().includes(wanted)
      || JSON.stringify(actor.observed ?? '').toLowerCase().includes(wanted);
    const walk = (actor: Actor, depth: number): boolean => {
      const key = keyOf(actor);
      const at = rows.length;
      const hasChildren = actor.children_total > 0;
      rows.push({ actor, key, depth, rate: this.#rates.get(key) ?? 0, hasChildren, hidden: actor.children_total - actor.children.length });
      let isWanted = wanted === '' || fits(actor);
      if (wanted !== '' || !this.closed.has(key)) {
        for (const child of actor.children) isWanted = walk(child, depth + 1) || isWanted;
      }
      if (!isWanted) rows.length = at;
      return isWanted;
    };
    if (this.root) walk(this.root, 0);
    return rows;
  });

  /** Reads until it is ended. */
  start(): () => void {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const turn = async () => {
      if (!document.hidden) await this.read();
      if (!isOver) timer = setTimeout(turn, EVERY_MS);
    };
    void turn();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }

  async read(): Promise<void> {
    try {
      const root = await get<Actor>(`/api/operator/tree/${query({ children: CHILDREN })}`);
      const now = performance.now();
      const seconds = (now - this.#readAt) / 1000;
      const handled = new Map<string, number>();
      const rates = new Map<string, number>();
      const walk = (actor: Actor) => {
        const key = keyOf(actor);
        handled.set(key, actor.handled);
        const before = this.#before.get(key);
        // A restarted actor counts from zero again.
        if (before !== undefined && actor.handled >= before) rates.set(key, (actor.handled - before) / seconds);
        actor.children.forEach(walk);
      };
      walk(root);
      this.#before = handled;
      this.#readAt = now;
      this.#rates = rates;
      this.root = root;
      this.problem = '';
    } catch (error) {
      this.problem = (error as Error).message;
    }
  }

  toggle(key: string): void {
    const closed = new Set(this.closed);
    if (!closed.delete(key)) closed.add(key);
    this.closed = closed;
  }
}
