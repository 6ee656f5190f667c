/** The browsers' client of a Bellpull hub. */

export type State = 'connecting' | 'live' | 'waiting' | 'offline' | 'closed';

export interface Options {
  /** The hub's address; by default the one that served this module. */
  url?: string | URL;
  /** An access token. Without `getToken` the client ends when it does. */
  token?: string;
  /** Gives an access token, or (for `use: 'line'`) a ticket of `POST /api/auth/ws-ticket/`. */
  getToken?(asked: { why: 'first' | 'refused' | 'expiring'; use: 'line' | 'rest' }):
    Given | Promise<Given>;
  /** Keeps the position, and marks that wait for a line, across page loads; by default in memory. */
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
  /** By default `bellpull`. */
  storageKey?: string;
  /** By default a WebSocket, and server-sent events where none ever opens. */
  transport?: 'websocket' | 'sse';
  /** How many WebSockets in a row must not open before server-sent events are tried (3). */
  socketTries?: number;
  /** When a request without an answer fails (10,000). */
  requestTimeoutMs?: number;
  /** The first and the longest pause between two tries (500 and 30,000), before the dice. */
  backOffMs?: { base?: number; cap?: number };
  /** `oneSocket()` of tabs.js: all tabs of a browser share one line. By default each has its own. */
  tabs?: Tabs;
  /** Where there is no global one (Node 20): that of the package `ws`, or none for event streams. */
  WebSocket?: unknown;
}

/** Made by `oneSocket()`. */
export type Tabs = (base: URL, token: string | undefined, core: never) => object | null;

export type Given = string | { token: string } | { ticket: string };

export interface Ticket {
  id: number; key: string; title: string; priority: string; priority_display: string;
  category: string; status: string; status_display: string; created_by: string;
  project_name: string; created_at: string;
}

export interface Notification {
  type: 'notification'; seq: number; id: number; event: string; kind: string;
  title: string; body: string; action_url: string; data: Record<string, unknown>;
  ticket: Ticket | null; sender_id: number | null; priority: string;
  is_read: boolean; created_at: string; unread_count?: number;
  /** In a backlog: the number that it was created with. `seq` is higher if it was changed later. */
  created_seq?: number;
}

/** Rows were read, unread or deleted, here or elsewhere: those of `ids`, `up_to` a number, or all. */
export interface Inbox {
  type: 'inbox'; seq?: number; ids?: number[]; up_to?: number; all?: true;
  is_read: boolean; deleted?: true; unread_count?: number;
}

export interface StreamFrame { type: string; stream: string; [key: string]: unknown }

export interface Events {
  notification: Notification;
  inbox: Inbox;
  unread: number;
  state: {
    state: State; transport?: 'websocket' | 'sse' | 'tab';
    code?: number | string; reason?: string; retryInMs?: number;
  };
  /** What is held is another store's: drop it; what there is follows. */
  reset: Record<string, never>;
  error: Error;
  backlog_truncated: { type: 'backlog_truncated'; skipped: number };
  ticket_update: StreamFrame;
  comment_added: StreamFrame;
  presence_state: StreamFrame;
  user_status: StreamFrame;
  ticket_viewing: StreamFrame;
  user_typing: StreamFrame;
  /** The stream is told from here on, on this line: what changed before is to be read. */
  subscribed: StreamFrame;
  stream_ended: StreamFrame & { code: string; message: string };
}

export class BellpullError extends Error {
  constructor(code: number | string, message: string);
  /** A close code, or a word: `timeout`, `closed`, `no_token`, `needs_socket`, the hub's own. */
  readonly code: number | string;
  /** Of an answer to `request()`: its HTTP status, and what is wrong with each field. */
  readonly status?: number;
  readonly fields?: Record<string, unknown>;
}

export interface Bellpull {
  readonly state: State;
  readonly unread: number | null;
  readonly user: { id: number; username: string; role: string } | null;
  /** Returns what ends it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
  /** Marks wait for a line as long as there is none. */
  markRead(which: number | number[] | { upTo: number } | 'all'): Promise<{ unreadCount: number }>;
  markUnread(ids: number | number[]): Promise<{ unreadCount: number }>;
  remove(which: number | number[] | { upTo: number } | 'all'): Promise<{ unreadCount: number }>;
  /** Asks the hub over REST, as the user: `request('GET', 'api/preferences/')`. */
  request<Answer = unknown>(method: string, path: string, body?: object): Promise<Answer>;
  /** `project:7:tickets` or `project:7:presence`; made again after each reconnect. */
  subscribe(stream: string): Promise<void>;
  unsubscribe(stream: string): Promise<void>;
  viewing(stream: string, ticketId: number | null): void;
  typing(stream: string, ticketId: number, isTyping?: boolean): void;
  close(): void;
}

export function connect(options: Options): Bellpull;
