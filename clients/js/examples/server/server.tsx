// Draws the page on the server, with the first rows in it.
import { renderToString } from 'react-dom/server';
import { prefetch } from '@bellpull/react';
import { App } from './app.tsx';

/** The page of a user. `<` is written so that no title can end the script. */
export async function page(url: string, token: string): Promise<string> {
  const initialData = await prefetch({ url, token });
  const props = { url, token, initialData };
  const data = JSON.stringify(props).replaceAll('<', '\\u003c');
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Desk</title>
    <link rel="icon" href="data:,"></head>
    <body><div id="root">${renderToString(<App {...props} />)}</div>
    <script>window.props = ${data}</script><script type="module" src="/browser.js"></script></body></html>`;
}
