// The inbox' rows by their place in the list, read page by page as they come into view.

import { api, get, last, query } from './api';
import { live } from './hub.svelte';
import { t } from './i18n.svelte';
import { toasts } from './toasts.svelte';
import type { Notification, Page } from './types';

const SIZE = 50;

export interface Filter { unread: boolean; event: string; ticket: string; project: string }

export class InboxRows {
  count = $state<number | null>(null);
  problem = $state('');
  #pages = $state.raw(new Map<number, Notification[]>());
  /** Rows that are hidden until their deletion is done, or undone. */
  #hidden = $state.raw(new Set<number>());
  #asked = new Set<number>();
  #range: [number, number] = [0, SIZE];
  #filter: Filter = { unread: false, event: '', ticket: '', project: '' };
  /** Answers of an earlier filter are dropped. */
  #turn = 0;

  filter(filter: Filter): void {
    this.#filter = filter;
    this.#range = [0, SIZE];
    this.#pages = new Map();
    this.count = null;
    this.reload();
  }

  /** Reads again what is in view, and the rest when it comes into view. */
  reload(): void {
    this.#turn += 1;
    this.#asked.clear();
    const [first, last] = this.#range;
    const kept = [...this.#pages].filter(([page]) => page * SIZE < last && (page + 1) * SIZE > first);
    this.#pages = new Map(kept);
    this.show(first, last);
  }

  get(index: number): Notification | undefined {
    const row = this.#pages.get(Math.floor(index / SIZE))?.[index % SIZE];
    return row && !this.#hidden.has(row.id) ? row : undefined;
  }

  isHidden(index: number): boolean {
    const row = this.#pages.get(Math.floor(index / SIZE))?.[index % SIZE];
    return row !== undefined && this.#hidden.has(row.id);
  }

  rows(): Notification[] {
    const pages = [...this.#pages].sort(([a], [b]) => a - b).flatMap(([, rows]) => rows);
    return pages.filter((row) => !this.#hidden.has(row.id));
  }

  show(first: number, last: number): void {
    this.#range = [first, last];
    for (let page = Math.floor(first / SIZE); page <= Math.floor(Math.max(first, last - 1) / SIZE); page += 1) {
      if (!this.#asked.has(page)) void this.#read(page);
    }
  }

  async #read(page: number): Promise<void> {
    this.#asked.add(page);
    const turn = this.#turn;
    const { unread, event, ticket, project } = this.#filter;
    const values = { page: page + 1, page_size: SIZE, is_read: unread ? 'false' : '', event, ticket, project };
    try {
      const found = await get<Page<Notification>>(`/api/notifications/${query(values)}`);
      if (turn !== this.#turn) return;
      this.#pages = new Map(this.#pages).set(page, found.results);
      this.count = found.count;
      this.problem = '';
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#asked.delete(page);
      this.problem = (error as Error).message;
    }
  }

  #change(ids: Set<number>, change: (row: Notification) => Notification): void {
    const changed = (rows: Notification[]) => rows.map((row) => ids.has(row.id) ? change(row) : row);
    this.#pages = new Map([...this.#pages].map(([page, rows]) => [page, changed(rows)]));
  }

  async mark(ids: number[], isRead: boolean): Promise<void> {
    if (ids.length === 0) return;
    this.#change(new Set(ids), (row) => ({ ...row, is_read: isRead }));
    try {
      await (isRead ? live.markRead(ids) : live.markUnread(ids));
    } catch {
      // Without a socket: by REST, one by one.
      const name = isRead ? 'mark_as_read' : 'mark_as_unread';
      try {
        for (const id of ids) await api('POST', `/api/notifications/${id}/${name}/`, {});
      } catch (error) {
        toasts.error(error);
      }
      this.reload();
    }
  }

  async markAll(): Promise<void> {
    try {
      await live.markRead('all');
    } catch {
      await api('POST', '/api/notifications/mark_all_as_read/', {}).catch((error) => toasts.error(error));
    }
    this.reload();
  }

  /** Hides the rows, and deletes them unless that is undone. */
  remove(ids: number[]): void {
    if (ids.length === 0) return;
    this.#hidden = new Set([...this.#hidden, ...ids]);
    const show = () => { this.#hidden = new Set([...this.#hidden].filter((id) => !ids.includes(id))); };
    const work = async (isLeaving: boolean) => {
      if (isLeaving) {
        // The page's connection ends with it; these requests do not.
        for (const id of ids) last('DELETE', `/api/notifications/${id}/`);
        return;
      }
      try {
        await live.remove(ids).catch(async () => {
          for (const id of ids) await api('DELETE', `/api/notifications/${id}/`);
        });
      } catch (error) {
        toasts.error(error);
        show();
      }
      this.reload();
    };
    toasts.undoable(t('inbox.deleted', { count: ids.length }), work, show);
  }
}
