// What the server draws and the browser takes over.
import { BellpullProvider, Inbox, useUnread, type InitialData } from '@bellpull/react';

function Title() { return <h1>Desk ({useUnread()})</h1>; }

export function App({ url, token, initialData }: { url: string; token: string; initialData: InitialData }) {
  return (
    <BellpullProvider url={url} token={token} initialData={initialData}>
      <main>
        <Title />
        <Inbox locale="en" />
      </main>
    </BellpullProvider>
  );
}
