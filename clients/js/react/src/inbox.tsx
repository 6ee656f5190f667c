'use client';
// The inbox: tabs, rows, preferences. It has no styles but those that keep long lists fast; each part
// has a `data-bellpull` name for style sheets, and may be replaced.
import {
  memo, useEffect, useId, useMemo, useRef, useState,
  type ComponentType, type KeyboardEvent, type MouseEvent,
} from 'react';
import type { Filters, Row } from '@bellpull/client';
import { useInbox, type InboxActions } from './hooks.js';
import { PreferencesForm } from './preferences.js';
import { ago, TEXTS, type Texts } from './texts.js';

export interface Tab { id: string; label: string; filters: Filters }

export interface RowProps {
  row: Row; actions: InboxActions; texts: Texts; locale: string | undefined;
  open: (row: Row, event?: MouseEvent) => void;
}

/** Each part may be another component. */
export interface Parts {
  Row: ComponentType<RowProps>;
  Empty: ComponentType<{ texts: Texts }>;
  Loading: ComponentType<{ texts: Texts }>;
  Failed: ComponentType<{ texts: Texts; error: Error; again: () => void }>;
  Preferences: ComponentType<{ texts: Texts }>;
}

export interface InboxProps {
  /** By default all, unread and read. One: no tabs are shown. */
  tabs?: Tab[];
  parts?: Partial<Parts>;
  texts?: Partial<Texts>;
  locale?: string;
  dir?: 'ltr' | 'rtl';
  className?: string;
  /** Without it a row's address is followed as a link. It is marked as read before. */
  onOpen?: (row: Row) => void;
  /** The name of its region, by default the text `inbox`; false where something around has it. */
  label?: string | false;
  /** Whether preferences can be opened (true). */
  preferences?: boolean;
}

/** Rows that are drawn together: what changes one of them leaves the others alone. */
const BLOCK = 64;
const ROW_PX = 80; // about the height of a row that has not been drawn yet

function DefaultRow({ row, actions, texts, locale, open }: RowProps) {
  const { id, is_read: isRead } = row;
  const text = <><strong>{row.title}</strong> <span data-bellpull="body">{row.body}</span></>;
  return (
    <>
      {row.action_url
        ? <a href={row.action_url} data-bellpull="open" onClick={(event) => open(row, event)}>{text}</a>
        : <button type="button" data-bellpull="open" onClick={() => open(row)}>{text}</button>}
      {' '}
      <time dateTime={row.created_at} suppressHydrationWarning>{ago(row.created_at, locale)}</time>
      {' '}
      <button
        type="button"
        data-bellpull="mark"
        aria-label={`${isRead ? texts.markUnread : texts.markRead}: ${row.title}`}
        onClick={() => { void (isRead ? actions.markUnread(id) : actions.markRead(id)).catch(ignore); }}
      >
        {isRead ? texts.markUnread : texts.markRead}
      </button>
      {' '}
      <button
        type="button"
        data-bellpull="remove"
        aria-label={`${texts.remove}: ${row.title}`}
        onClick={() => { void actions.remove(id).catch(ignore); }}
      >
        {texts.remove}
      </button>
    </>
  );
}

/** The client says by its `error` event and by its state what is wrong. */
const ignore = () => {};

const PARTS: Parts = {
  Row: DefaultRow,
  Empty: ({ texts }) => <p>{texts.empty}</p>,
  Loading: ({ texts }) => <p role="status">{texts.loading}</p>,
  Failed: ({ texts, again }) => (
    <p role="alert">{texts.failed} <button type="button" onClick={again}>{texts.again}</button></p>
  ),
  Preferences: ({ texts }) => <PreferencesForm texts={texts} />,
};

type BlockProps = Omit<RowProps, 'row'> & { rows: Row[]; part: Parts['Row'] };

const Block = memo(function Block({ rows, part: Part, ...props }: BlockProps) {
  const style = { contentVisibility: 'auto', containIntrinsicSize: `auto ${rows.length * ROW_PX}px` } as const;
  return (
    <div role="presentation" style={style} data-bellpull="block">
      {rows.map((row) => (
        <div role="listitem" key={row.id} data-bellpull="row" data-read={row.is_read} data-kind={row.kind}
          data-priority={row.priority}>
          <Part row={row} {...props} />
        </div>
      ))}
    </div>
  );
}, (one, other) => one.rows.length === other.rows.length && one.rows.every((row, n) => row === other.rows[n])
  && one.part === other.part && one.texts === other.texts && one.locale === other.locale
  && one.actions === other.actions && one.open === other.open);

function blocks(rows: readonly Row[]): [number, Row[]][] {
  const found = new Map<number, Row[]>();
  for (const row of rows) {
    const number = Math.floor(row.seq / BLOCK);
    const block = found.get(number);
    if (block) block.push(row);
    else found.set(number, [row]);
  }
  return [...found];
}

/** Arrow keys move the focus within `selector`'s elements; whether it was moved. */
function move(event: KeyboardEvent<HTMLElement>, selector: string, keys: Record<string, number>): HTMLElement | null {
  const step = keys[event.key];
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>(selector)];
  const at = all.indexOf(event.target as HTMLElement);
  if (step === undefined || at < 0) return null;
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))] ?? null;
  event.preventDefault();
  next?.focus();
  return next;
}

function Rows({ filters, parts, texts, locale, onOpen }: {
  filters: Filters; parts: Parts; texts: Texts; locale: string | undefined;
  onOpen: ((row: Row) => void) | undefined;
}) {
  const inbox = useInbox(filters);
  const { rows, hasMore, isLoading, error, markRead, markUnread, remove, more, refresh } = inbox;
  const actions = useMemo(() => ({ markRead, markUnread, remove, more, refresh }),
    [markRead, markUnread, remove, more, refresh]);
  const latest = useRef(onOpen);
  useEffect(() => { latest.current = onOpen; });
  const open = useMemo(() => (row: Row, event?: MouseEvent) => {
    if (!row.is_read) void markRead(row.id).catch(ignore);
    if (!latest.current || event?.metaKey || event?.ctrlKey || event?.shiftKey) return;
    event?.preventDefault();
    latest.current(row);
  }, [markRead]);
  const end = useRef<HTMLButtonElement>(null);
  const canRead = hasMore && !isLoading && !error;
  useEffect(() => {
    if (!end.current || !canRead || typeof IntersectionObserver === 'undefined') return undefined;
    const observer = new IntersectionObserver(([seen]) => { if (seen?.isIntersecting) more(); },
      { rootMargin: '400px' });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [canRead, more]);
  const keys = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  return (
    <>
      {error && <parts.Failed texts={texts} error={error} again={refresh} />}
      {rows.length > 0 && (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
        <div role="list" aria-label={texts.inbox} aria-busy={isLoading} data-bellpull="rows"
          onKeyDown={(event) => { move(event, '[data-bellpull=open]', keys); }}>
          {blocks(rows).map(([number, some]) => (
            <Block key={number} rows={some} part={parts.Row} actions={actions} texts={texts}
              locale={locale} open={open} />
          ))}
        </div>
      )}
      {rows.length === 0 && isLoading && !error && <parts.Loading texts={texts} />}
      {rows.length === 0 && !isLoading && !error && <parts.Empty texts={texts} />}
      {rows.length > 0 && hasMore && (
        <button type="button" ref={end} onClick={() => more()} data-bellpull="more">{texts.more}</button>
      )}
    </>
  );
}

export function Inbox({
  tabs, parts: given, texts: said, locale, dir, className, onOpen, label, preferences = true,
}: InboxProps) {
  const id = useId();
  const texts = useMemo(() => ({ ...TEXTS, ...said }), [said]);
  const parts = useMemo(() => ({ ...PARTS, ...given }), [given]);
  const shown = tabs ?? [
    { id: 'all', label: texts.all, filters: {} },
    { id: 'unread', label: texts.unread, filters: { is_read: false } },
    { id: 'read', label: texts.read, filters: { is_read: true } },
  ];
  const [chosen, choose] = useState(shown[0]?.id);
  const [isSetting, set] = useState(false);
  const tab = shown.find((one) => one.id === chosen) ?? shown[0];
  const first = useInbox(tab?.filters, ({ rows }) => rows[0]?.seq);
  const { markRead } = useInbox(tab?.filters);
  const list = useRef<HTMLDivElement>(null);
  if (!tab) return null;
  const isRtl = () => list.current !== null && getComputedStyle(list.current).direction === 'rtl';
  const panel = (
    <Rows key={tab.id} filters={tab.filters} parts={parts} texts={texts} locale={locale} onOpen={onOpen} />
  );
  return (
    <section className={className} dir={dir} aria-label={label === false ? undefined : label ?? texts.inbox}
      data-bellpull="inbox">
      <div data-bellpull="actions">
        <button type="button" disabled={first === undefined}
          onClick={() => { void markRead('all').catch(ignore); }}>{texts.markAll}</button>
        {preferences && (
          <button type="button" aria-expanded={isSetting} onClick={() => set(!isSetting)}>
            {isSetting ? texts.back : texts.settings}
          </button>
        )}
      </div>
      {isSetting && <parts.Preferences texts={texts} />}
      {!isSetting && shown.length > 1 && (
        <div role="tablist" aria-label={texts.filters} ref={list} data-bellpull="tabs"
          onKeyDown={(event) => {
            const step = isRtl() ? -1 : 1;
            const keys = { ArrowRight: step, ArrowLeft: -step, Home: -Infinity, End: Infinity };
            move(event, '[role=tab]', keys)?.click();
          }}>
          {shown.map((one) => (
            <button type="button" role="tab" key={one.id} id={`${id}${one.id}`} aria-controls={`${id}panel`}
              aria-selected={one === tab} tabIndex={one === tab ? 0 : -1} onClick={() => choose(one.id)}>
              {one.label}
            </button>
          ))}
        </div>
      )}
      {!isSetting && (shown.length > 1
        ? <div role="tabpanel" id={`${id}panel`} aria-labelledby={`${id}${tab.id}`}>{panel}</div>
        : panel)}
    </section>
  );
}
