// A small front end in TypeScript: what a page does with the hub's client, by its declarations.
import { BellpullError, connect } from '../../src/client/bellpull.js';
import type { Bellpull, Events, Inbox, Notification, State } from '../../src/client/bellpull.js';

const shown = new Map<number, Notification>();
let state: State = 'connecting';
let badge = 0;

function open(token: () => Promise<string>): Bellpull {
  const hub = connect({
    url: new URL('https://hub.example.com/'),
    getToken: ({ why, use }) => (why === 'first' && use === 'line' ? { ticket: 'once' } : token()),
    storage: sessionStorage,
    storageKey: 'desk',
    transport: 'websocket',
    socketTries: 2,
    requestTimeoutMs: 5_000,
    backOffMs: { cap: 10_000 },
  });
  hub.on('notification', (told) => {
    shown.set(told.id, told);
    document.title = `${told.ticket?.key ?? told.event}: ${told.title}`;
  });
  hub.on('inbox', ({ ids, up_to: upTo, all, deleted }: Inbox) => {
    for (const [id, row] of shown) {
      if (!all && !ids?.includes(id) && !(row.seq <= (upTo ?? -1))) continue;
      if (deleted) shown.delete(id);
    }
  });
  hub.on('unread', (count) => { badge = count; });
  hub.on('state', (now) => { state = now.state; });
  hub.on('reset', () => shown.clear());
  hub.on('error', (error) => {
    if (error instanceof BellpullError && error.code === 'token_expiring') hub.close();
  });
  const end: () => void = hub.on('ticket_update', ({ stream, data }) => {
    if (stream === 'project:7:tickets') console.log(data);
  });
  hub.on('stream_ended', ({ code, message }) => { console.log(code.length, message.length); end(); });
  return hub;
}

export async function use(token: () => Promise<string>): Promise<string> {
  const hub = open(token);
  await hub.subscribe('project:7:tickets');
  hub.viewing('project:7:presence', 5);
  hub.viewing('project:7:presence', null);
  hub.typing('project:7:presence', 5);
  hub.typing('project:7:presence', 5, false);
  const { unreadCount } = await hub.markRead([1, 2]);
  await hub.markRead({ upTo: 7 });
  await hub.markUnread(2);
  await hub.remove('all');
  await hub.unsubscribe('project:7:tickets');
  const truncated: Events['backlog_truncated'] = { type: 'backlog_truncated', skipped: 3 };
  const name: string = hub.user?.username ?? 'unknown';
  return `${name} ${state} ${hub.unread ?? badge} ${unreadCount} ${truncated.skipped} ${hub.state}`;
}
