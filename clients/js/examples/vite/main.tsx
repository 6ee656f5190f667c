// An application made with Vite. A real one has its own session; this one is told the hub and the
// token in its address, after the `#`.
import { memo, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Bell, BellpullProvider, Inbox, useInbox, useNotification, useUnread } from '@bellpull/react';

const session = new URLSearchParams(location.hash.slice(1));
const dir = session.get('dir') === 'rtl' ? 'rtl' : 'ltr';

function Toasts() {
  const [toasts, set] = useState<string[]>([]);
  useNotification(({ title }) => set((before) => [...before, title]));
  return <ol id="toasts" aria-label="Toasts">{toasts.map((title, n) => <li key={n}>{title}</li>)}</ol>;
}

let drawn = 0;

/** It selects the newest title only, and counts how often it is drawn. */
const Newest = memo(function Newest() {
  const { title } = useInbox({}, ({ rows }) => ({ title: rows[0]?.title }));
  return <output id="newest" data-drawn={drawn += 1}>{title}</output>;
});

function App() {
  const unread = useUnread();
  return (
    <main dir={dir}>
      <h1>Desk ({unread ?? '…'})</h1>
      <Bell inbox={{ dir, preferences: false }} />
      <Newest />
      <Toasts />
      <Inbox dir={dir} locale="en" onOpen={({ title }) => { document.title = title; }} />
    </main>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <BellpullProvider url={session.get('hub')!} getToken={() => session.get('token')!}>
      <App />
    </BellpullProvider>
  </StrictMode>,
);
