// Everything that the parts say, in English; each text may be replaced.

export const TEXTS = {
  bell: (unread: number | null) => (unread ? `Notifications, ${unread} unread` : 'Notifications'),
  inbox: 'Notifications',
  all: 'All',
  unread: 'Unread',
  read: 'Read',
  filters: 'Filter notifications',
  settings: 'Settings',
  markAll: 'Mark all as read',
  markRead: 'Mark as read',
  markUnread: 'Mark as unread',
  remove: 'Delete',
  more: 'Show more',
  empty: 'No notifications.',
  loading: 'Loading…',
  failed: 'The notifications could not be loaded.',
  again: 'Try again',
  back: 'Back',
  event: (event: string) => event.replaceAll('_', ' '),
  channel: (channel: string) => channel.toLowerCase(),
};

export type Texts = typeof TEXTS;

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000], ['month', 2_592_000], ['day', 86_400], ['hour', 3_600], ['minute', 60],
];

/** "5 minutes ago", in the locale's words. */
export function ago(time: string, locale: string | undefined, now = Date.now()): string {
  const seconds = Math.min(0, (Date.parse(time) - now) / 1000);
  const [unit, length] = UNITS.find(([, one]) => -seconds >= one) ?? ['second', 1];
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  return format.format(Math.ceil(unit === 'second' ? 0 : seconds / length), unit);
}
