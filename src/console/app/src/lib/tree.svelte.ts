// The supervision tree as it is now: read once a second, with rates between two readings.

import { get, query } from './api';
import { load, type Load } from './load.svelte';
import type { Actor } from './types';

export interface Row { actor: Actor; key: string; depth: number; rate: number; hasChildren: boolean; hidden: number }

const EVERY_MS = 1000;
/** Children of a supervisor that are read; a search in the tree covers these. */
const CHILDREN = 200;

/** A reading: what each actor had handled, and how many a second since the one before. */
interface Reading { root: Actor; at: number; handled: Map<string, number>; rates: Map<string, number> }

const keyOf = (actor: Actor) => `${actor.node} ${actor.path}`;

/** A reading of the tree, with the rates since the one that was shown before. */
async function read(path: string, before: Reading | null): Promise<Reading> {
  const root = await get<Actor>(path);
  const reading: Reading = { root, at: performance.now(), handled: new Map(), rates: new Map() };
  const walk = (actor: Actor) => {
    const key = keyOf(actor);
    const earlier = before?.handled.get(key);
    reading.handled.set(key, actor.handled);
    // A restarted actor counts from zero again.
    if (before && earlier !== undefined && actor.handled >= earlier) reading.rates.set(key, (1000 * (actor.handled - earlier)) / (reading.at - before.at));
    actor.children.forEach(walk);
  };
  walk(root);
  return reading;
}

/** For a component, as long as it is there. */
export class Tree {
  readonly loaded: Load<Reading> = load<Reading>(() => `/api/operator/tree/${query({ children: CHILDREN })}`, {
    everyMs: EVERY_MS, read: (path) => read(path, this.loaded.value),
  });
  closed = $state.raw(new Set<string>());
  search = $state('');

  rows = $derived.by(() => {
    const rows: Row[] = [];
    const wanted = this.search.trim().toLowerCase();
    const fits = (actor: Actor): boolean => `${actor.path} ${actor.state} ${actor.node}`.toLowerCase().includes(wanted)
      || JSON.stringify(actor.observed ?? '').toLowerCase().includes(wanted);
    const walk = (actor: Actor, depth: number): boolean => {
      const key = keyOf(actor);
      const at = rows.length;
      const hasChildren = actor.children_total > 0;
      rows.push({ actor, key, depth, rate: this.loaded.value?.rates.get(key) ?? 0, hasChildren, hidden: actor.children_total - actor.children.length });
      let isWanted = wanted === '' || fits(actor);
      if (wanted !== '' || !this.closed.has(key)) {
        for (const child of actor.children) isWanted = walk(child, depth + 1) || isWanted;
      }
      if (!isWanted) rows.length = at;
      return isWanted;
    };
    if (this.loaded.value) walk(this.loaded.value.root, 0);
    return rows;
  });

  toggle(key: string): void {
    const closed = new Set(this.closed);
    if (!closed.delete(key)) closed.add(key);
    this.closed = closed;
  }
}
