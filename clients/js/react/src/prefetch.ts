// For servers that render: the first rows and the count, so that the first page is whole.
import { rowOf, type Filters, type ListState } from '@bellpull/client';

export interface InitialData {
  unread: number;
  /** By `keyOf(filters)`. */
  lists: Record<string, Partial<ListState>>;
}

/** The same for the same filters, in whatever order. */
export function keyOf(filters: Filters = {}): string {
  const set = Object.entries(filters).filter(([, value]) => value !== undefined);
  return JSON.stringify(set.sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** Reads what `BellpullProvider` takes as `initialData`. It is one user's: never cache it. */
export async function prefetch(
  { url, token, filters = [{}], timeoutMs = 2_000, pageSize = 50 }:
  { url: string | URL; token: string; filters?: Filters[]; timeoutMs?: number; pageSize?: number },
): Promise<InitialData> {
  const get = async (path: string) => {
    const answer = await fetch(new URL(path, url), {
      headers: { Authorization: `Bearer ${token}` },
      cache: 'no-store',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!answer.ok) throw new Error(`The hub answered ${answer.status} to ${path}.`);
    return answer.json();
  };
  const lists = await Promise.all(filters.map(async (filter) => {
    const set = Object.entries(filter).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams([['page_size', String(pageSize)],
      ...set.map(([name, value]): [string, string] => [name, String(value)])]);
    const { count, next, results } = await get(`api/notifications/?${query}`);
    const state = { rows: results.map(rowOf), count, hasMore: next !== null, isLoading: false };
    return [keyOf(filter), state] as const;
  }));
  const { unread_count: unread } = await get('api/notifications/unread_count/');
  return { unread, lists: Object.fromEntries(lists) };
}
