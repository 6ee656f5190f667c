'use client';
// What the package has; each file says what it is for.
export { BellpullProvider, useBellpull, type ProviderProps } from './provider.js';
export { useInbox, usePreferences, useUnread, useNotification, type InboxValue } from './hooks.js';
export { Bell, type BellProps } from './bell.js';
export { Inbox, type InboxProps, type Parts, type RowProps, type Tab } from './inbox.js';
export { PreferencesForm } from './preferences.js';
export { prefetch, type InitialData } from './prefetch.js';
export { TEXTS, type Texts } from './texts.js';
