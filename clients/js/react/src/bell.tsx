'use client';
// A button with the count of what is unread; it opens the inbox, or whatever stands in it.
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { useUnread } from './hooks.js';
import { Inbox, type InboxProps } from './inbox.js';
import { TEXTS } from './texts.js';

export interface BellProps {
  /** Whether it is open, where the application decides that; then also `onOpenChange`. */
  open?: boolean;
  onOpenChange?: (isOpen: boolean) => void;
  /** What stands on the button, by default 🔔 and the count. */
  icon?: ReactNode | ((unread: number | null) => ReactNode);
  /** What opens, by default the inbox. */
  children?: ReactNode;
  inbox?: InboxProps;
  className?: string;
}

export function Bell({ open, onOpenChange, icon, children, inbox, className }: BellProps) {
  const unread = useUnread();
  const id = useId();
  const [own, setOwn] = useState(false);
  const isOpen = open ?? own;
  const root = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const set = (to: boolean) => {
    setOwn(to);
    onOpenChange?.(to);
  };
  const latest = useRef(set);
  useEffect(() => { latest.current = set; });
  useEffect(() => {
    if (!isOpen) return undefined;
    panel.current?.focus();
    const away = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) latest.current(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      latest.current(false);
      button.current?.focus();
    };
    document.addEventListener('pointerdown', away);
    document.addEventListener('keydown', escape);
    return () => {
      document.removeEventListener('pointerdown', away);
      document.removeEventListener('keydown', escape);
    };
  }, [isOpen]);
  const texts = { ...TEXTS, ...inbox?.texts };
  const badge = unread ? <span data-bellpull="badge">{unread > 99 ? '99+' : unread}</span> : null;
  const drawn = typeof icon === 'function' ? icon(unread) : icon;
  return (
    <span ref={root} className={className} dir={inbox?.dir} data-bellpull="bell">
      <button type="button" ref={button} aria-label={texts.bell(unread)} aria-haspopup="dialog"
        aria-expanded={isOpen} aria-controls={isOpen ? id : undefined} onClick={() => set(!isOpen)}>
        {drawn ?? <span aria-hidden="true">🔔{badge}</span>}
      </button>
      {isOpen && (
        <div role="dialog" id={id} ref={panel} tabIndex={-1} aria-label={texts.inbox} data-bellpull="panel">
          {children ?? <Inbox label={false} {...inbox} />}
        </div>
      )}
    </span>
  );
}
