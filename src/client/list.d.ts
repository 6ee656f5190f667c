/** A list of notifications: pages and what is told live, merged. */
import type { Bellpull, Notification } from './bellpull.js';

export interface Row {
  id: number; seq: number; event: string; kind: string; title: string; body: string;
  action_url: string; data: Record<string, unknown>; ticket_id: number | null;
  ticket_title: string | null; sender_id: number | null; priority: string; is_read: boolean;
  created_at: string;
}

/** Those of `GET /api/notifications/`. */
export interface Filters {
  is_read?: boolean; type?: string; event?: string; ticket?: number; project?: number;
  notification_type?: string;
}

/** Never changed: replaced as a whole. */
export interface ListState {
  readonly rows: readonly Row[];
  /** How many there are in all; null before the first answer. */
  readonly count: number | null;
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly error: Error | null;
}

export interface List {
  readonly state: ListState;
  /** Returns what ends it. */
  subscribe(listener: () => void): () => void;
  /** Reads the next page. */
  more(): Promise<void>;
  /** Reads anew what is shown. */
  refresh(): Promise<void>;
  close(): void;
}

export function list(hub: Pick<Bellpull, 'on' | 'request' | 'state'>, filters?: Filters,
  initial?: Partial<ListState>): List;

/** A row of a frame, or of an answer over REST. */
export function rowOf(told: Notification | Record<string, unknown>): Row;
