/** One connection for all tabs of a browser. */
import type { Tabs } from './bellpull.js';

/**
 * For `connect({ tabs: oneSocket() })`: the tabs of one user share a line. Where the token does not
 * name the user (a ticket), tabs of one `name` share; without Web Locks each tab has its own line.
 */
export function oneSocket(name?: string): Tabs;
