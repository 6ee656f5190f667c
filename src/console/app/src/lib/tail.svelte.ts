// The newest rows of a list that begins with its oldest (comments, history), and older ones when
// they are asked for. Rows of such a list never move to another page.

import { get } from './api';
import type { Page } from './types';

const SIZE = 50;

export class Tail<T> {
  /** Those that are here, the newest first. */
  rows = $state.raw<T[]>([]);
  count = $state(0);
  isLoaded = $state(false);
  readonly #path: string;
  readonly #pages = new Map<number, T[]>();
  /** Requests run one after the other, so that no answer replaces a later one. */
  #turn: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** How many older ones are not here. */
  get older(): number {
    return Math.max(0, this.count - this.rows.length);
  }

  /** Reads what is new; at first the last two pages, since the last may have one row. */
  refresh(): Promise<void> {
    return this.#next(async () => {
      let at = this.#last();
      let last = await this.#read(at);
      if (this.#pages.size === 1 && last > 1) {
        this.#pages.clear();
        await this.#read(last - 1);
        at = last - 1;
      }
      while (at < last) {
        at += 1;
        last = await this.#read(at);
      }
      this.isLoaded = true;
    });
  }

  /** Reads the page before those that are here. */
  more(): Promise<void> {
    return this.#next(async () => {
      const first = Math.min(...this.#pages.keys());
      if (first > 1) await this.#read(first - 1);
    });
  }

  /** The last page that is known. */
  #last(): number {
    return Math.max(1, ...this.#pages.keys());
  }

  /** Reads a page; the last one there is now. */
  async #read(at: number): Promise<number> {
    const page = await get<Page<T>>(`${this.#path}?page=${at}&page_size=${SIZE}`);
    this.#pages.set(at, page.results);
    this.count = page.count;
    const pages = [...this.#pages.entries()].sort(([a], [b]) => a - b);
    this.rows = pages.flatMap(([, rows]) => rows).reverse();
    return Math.max(1, Math.ceil(page.count / SIZE));
  }

  #next(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
