// The newest rows of a list that begins with its oldest (comments, history), older ones when they
// are asked for, and one that a link names. Rows of such a list neither change nor move to another
// page, so of two answers for a page the longer one is the later one.

import { get } from './api';
import { load, type Options } from './load.svelte';
import type { Page } from './types';

const SIZE = 100;

/** So many rows are missing here; `page` has the newest of them. */
export class Gap { constructor(readonly after: number, readonly page: number) {} get missing(): number { return (this.page - this.after) * SIZE; } }

export class Tail<T> {
  count = $state(0);
  #pages = $state.raw(new Map<number, T[]>());
  readonly #path: string;
  readonly idOf: (row: T) => number;
  readonly loaded;

  /** For a component, as long as it is there. Ids ascend. */
  constructor(path: string, idOf: (row: T) => number, options: Options<number> = {}) {
    [this.#path, this.idOf] = [path, idOf];
    this.loaded = load<number>(() => path, { ...options, read: () => this.#readNewest() });
  }

  /** The oldest first. */
  rows = $derived.by(() => {
    const pages = [...this.#pages].sort(([a], [b]) => a - b);
    return pages.flatMap(([page, rows], n): (T | Gap)[] => {
      const after = pages[n - 1]?.[0] ?? 0;
      return page - 1 > after ? [new Gap(after, page - 1), ...rows] : rows;
    });
  });

  /** Reads what is new; at first the last two pages, since the last may have one row. */
  async #readNewest(): Promise<number> {
    let at = Math.max(1, ...this.#pages.keys());
    const isFirst = this.#pages.size === 0;
    let last = await this.read(at, isFirst);
    if (isFirst && last > 1) at = last - 2;
    while (at < last) {
      at += 1;
      last = await this.read(at);
    }
    return this.count;
  }

  /** Reads a page, which is not shown if it is there only to tell of others; the last one there is now. */
  async read(at: number, tellsOfOthers = false): Promise<number> {
    const page = await get<Page<T>>(`${this.#path}?page=${at}&page_size=${SIZE}`);
    const last = Math.max(1, Math.ceil(page.count / SIZE));
    const isShown = !tellsOfOthers || last === 1;
    if (isShown && page.results.length >= (this.#pages.get(at)?.length ?? 0)) this.#pages = new Map(this.#pages).set(at, page.results);
    this.count = Math.max(this.count, page.count);
    return last;
  }

  /** Reads the page that has this row, if there is such a one: half of the pages are left each time. */
  async find(id: number): Promise<void> {
    let [from, to] = [1, Math.max(1, Math.ceil(this.count / SIZE))];
    while (from <= to) {
      const at = Math.floor((from + to) / 2);
      const isNew = !this.#pages.has(at);
      if (isNew) await this.read(at);
      const ids = (this.#pages.get(at) ?? []).map(this.idOf);
      if (id < (ids[0] ?? 0)) to = at - 1;
      else if (id > (ids.at(-1) ?? 0)) from = at + 1;
      else return;
      // What was only looked at on the way is not shown.
      if (isNew) this.#pages = new Map([...this.#pages].filter(([page]) => page !== at));
    }
  }
}
