// The inbox' rows by their place in the list, read page by page as they come into view.

import { api, get, last, query } from './api';
import { live } from './hub.svelte';
import { t } from './i18n.svelte';
import { Load } from './load.svelte';
import { attempt } from './save.svelte';
import { toasts } from './toasts.svelte';
import type { Notification, Page } from './types';

const SIZE = 50;
/** Ids of one request. */
const IDS_MAX = 1000;

export interface Filter { unread: boolean; event: string; ticket: string; project: string }

export class InboxRows {
  count = $state<number | null>(null);
  #pages = $state.raw(new Map<number, Load<Page<Notification>>>());
  /** Rows that are hidden until their deletion is done, or undone. */
  #hidden = $state.raw(new Set<number>());
  /** Rows up to this one are shown as read until they are, or that is undone. */
  #readUpTo = $state(0);
  #range: [number, number] = [0, SIZE];
  #filter: Filter = { unread: false, event: '', ticket: '', project: '' };

  get problem(): string { return [...this.#pages.values()].map((page) => page.problem).find((text) => text) ?? ''; }

  /** The filter as a request's names. */
  get #narrow() {
    const { unread, event, ticket, project } = this.#filter;
    return { is_read: unread ? 'false' : '', event, ticket, project };
  }

  filter(filter: Filter): void {
    this.#filter = filter;
    this.#range = [0, SIZE];
    this.#pages = new Map();
    this.count = null;
    this.show(...this.#range);
  }

  /** Reads again what is in view, and the rest when it comes into view. */
  reload(): void {
    const [first, last] = this.#range;
    this.#pages = new Map([...this.#pages].filter(([page]) => page * SIZE < last && (page + 1) * SIZE > first));
    this.#pages.forEach((page) => page.refresh());
  }

  #at(index: number): Notification | undefined {
    const row = this.#pages.get(Math.floor(index / SIZE))?.value?.results[index % SIZE];
    return row && this.#shown(row);
  }

  #shown(row: Notification): Notification { return row.seq <= this.#readUpTo ? { ...row, is_read: true } : row; }

  /** Where the row is, if that is known. */
  indexOf(id: number): number {
    for (const [at, page] of this.#pages) {
      const nth = page.value?.results.findIndex((row) => row.id === id) ?? -1;
      if (nth >= 0) return at * SIZE + nth;
    }
    return -1;
  }

  /** Shows rows otherwise, until they are read again. */
  #change(changed: (row: Notification) => Notification): void {
    for (const page of this.#pages.values()) {
      if (page.value) page.show({ ...page.value, results: page.value.results.map(changed) });
    }
  }

  get(index: number): Notification | undefined {
    const row = this.#at(index);
    return row && !this.#hidden.has(row.id) ? row : undefined;
  }

  isHidden(index: number): boolean {
    const row = this.#at(index);
    return row !== undefined && this.#hidden.has(row.id);
  }

  rows(): Notification[] {
    const pages = [...this.#pages].sort(([a], [b]) => a - b).flatMap(([, page]) => page.value?.results ?? []);
    return pages.filter((row) => !this.#hidden.has(row.id)).map((row) => this.#shown(row));
  }

  show(first: number, last: number): void {
    this.#range = [first, last];
    const pages = new Map(this.#pages);
    for (let at = Math.floor(first / SIZE); at <= Math.floor(Math.max(first, last - 1) / SIZE); at += 1) {
      if (pages.has(at)) continue;
      const path = `/api/notifications/${query({ page: at + 1, page_size: SIZE, ...this.#narrow })}`;
      const page = new Load<Page<Notification>>(() => get(path), ({ count }) => { if (this.#pages.get(at) === page) this.count = count; });
      pages.set(at, page);
      page.refresh();
    }
    if (pages.size > this.#pages.size) this.#pages = pages;
  }

  async mark(ids: number[], isRead: boolean): Promise<void> {
    if (ids.length === 0) return;
    this.#change((row) => ids.includes(row.id) ? { ...row, is_read: isRead } : row);
    try {
      await (isRead ? live.markRead(ids) : live.markUnread(ids)).catch(() => markByRest(ids, isRead));
    } catch (error) {
      toasts.error(error);
    }
    this.#pages.forEach((page) => page.again());
  }

  /** Shows all that the filter shows as read, however long the list is, and marks it unless that is undone. */
  async markAll(): Promise<void> {
    const narrow = { ...this.#narrow, is_read: 'false' };
    const { count, results } = await get<Page<Notification>>(`/api/notifications/${query({ ...narrow, page_size: 1 })}`);
    // What comes in later is not meant.
    const upTo = results[0]?.seq ?? 0;
    if (count === 0) return;
    const path = `/api/notifications/mark_all_as_read/${query({ ...narrow, up_to: upTo })}`;
    this.#readUpTo = upTo;
    const show = () => { this.#readUpTo = 0; };
    toasts.undoable(t('inbox.marked', { count }), async (isLeaving) => {
      if (isLeaving) return last('POST', path, {});
      if (await attempt(() => api('POST', path, {}))) this.#change((row) => this.#shown(row));
      show();
      this.#pages.forEach((page) => page.again());
    }, show);
  }

  /** Hides the rows, and deletes them unless that is undone. */
  remove(ids: number[]): void {
    if (ids.length === 0) return;
    this.#hidden = new Set([...this.#hidden, ...ids]);
    const show = () => { this.#hidden = new Set([...this.#hidden].filter((id) => !ids.includes(id))); };
    const parts = Array.from({ length: Math.ceil(ids.length / IDS_MAX) }, (_, n) => ({ ids: ids.slice(n * IDS_MAX, (n + 1) * IDS_MAX) }));
    const work = async (isLeaving: boolean) => {
      // The page's connection ends with it; these requests do not.
      if (isLeaving) return parts.forEach((part) => last('DELETE', '/api/notifications/delete-all/', part));
      try {
        for (const part of parts) await api('DELETE', '/api/notifications/delete-all/', part);
      } catch (error) {
        toasts.error(error);
        show();
      }
      this.#pages.forEach((page) => page.again());
    };
    toasts.undoable(t('inbox.deleted', { count: ids.length }), work, show);
  }
}

/** Without a socket. */
async function markByRest(ids: number[], isRead: boolean): Promise<void> {
  if (isRead) await api('POST', '/api/notifications/mark_all_as_read/', { ids: ids.slice(0, IDS_MAX) });
  else for (const id of ids) await api('POST', `/api/notifications/${id}/mark_as_unread/`, {});
}
