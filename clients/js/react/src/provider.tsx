'use client';
// Gives the components below it a client. It connects when mounted in a browser, never on a server.
import { createContext, useContext, useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import type { Bellpull, Options } from '@bellpull/client';
import type { InitialData } from './prefetch.js';
import { Store } from './store.js';

const Context = createContext<Store | null>(null);

/** For another user or another hub give it another `key`. */
export interface ProviderProps extends Options {
  /** Of `prefetch()`, on the server. */
  initialData?: InitialData;
  children?: ReactNode;
}

export function BellpullProvider({ children, initialData, ...options }: ProviderProps) {
  const [store] = useState(() => new Store(options, initialData));
  useEffect(() => { store.options = options; });
  useEffect(() => store.acquire().release, [store]);
  return <Context.Provider value={store}>{children}</Context.Provider>;
}

export function useStore(): Store {
  const store = useContext(Context);
  if (!store) throw new Error('There is no <BellpullProvider> above this component.');
  return store;
}

/** The client itself, and the state of its line; null on servers and before it is made. */
export function useBellpull(): Bellpull | null {
  const store = useStore();
  useSyncExternalStore(store.watch, () => store.hub?.state, () => undefined);
  return store.hub;
}
