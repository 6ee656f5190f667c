// Takes over what the server has drawn.
import { hydrateRoot } from 'react-dom/client';
import { App } from './app.tsx';

hydrateRoot(document.getElementById('root')!, <App {...(window as any).props} />);
