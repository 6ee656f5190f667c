// What the app knows of tickets: their statuses, and what a user may do to one now.

import { workflow } from 'bellpull-workflow';
import { api, get } from './api';
import { session } from './session.svelte';
import type { Page, Project, Ticket } from './types';

export const STATUSES = ['NEW', 'OPENED', 'ASSIGNED', 'IN_PROGRESS', 'FINISHED', 'APPROVED', 'REJECTED'] as const;
export const PRIORITIES = ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL'] as const;
export const CATEGORIES = ['BUG', 'FEATURE', 'SUPPORT', 'OTHER'] as const;

const TONES: Record<string, string> = {
  NEW: 'info', OPENED: 'info', ASSIGNED: 'accent', IN_PROGRESS: 'warn', FINISHED: 'good', APPROVED: 'good',
  REJECTED: 'bad', CRITICAL: 'bad', HIGH: 'warn',
};

/** The colour of a status' or a priority's badge. */
export const tone = (name: string): string => TONES[name] ?? '';

/** The steps that this user may take now, by the hub's own table. */
export function steps(ticket: Ticket): string[] {
  const me = session.user?.id ?? 0;
  const isCreator = ticket.created_by === me;
  const may = {
    admin: session.isAdmin, creator: isCreator, assigned: ticket.assigned_to.includes(me),
    creator_or_admin: isCreator || session.isAdmin,
  };
  return workflow.filter(({ by, from }) => may[by] && from.includes(ticket.status)).map(({ name }) => name);
}

export const act = (ticket: number, name: string, body: unknown): Promise<Ticket> =>
  api<Ticket>('POST', `/api/tickets/${ticket}/${name}/`, body);

let loading: Promise<Project[]> | null = null;

/** The projects that the user sees. */
export function projects(): Promise<Project[]> {
  loading ??= get<Page<Project>>('/api/projects/?page_size=100').then((page) => page.results)
    .finally(() => { loading = null; });
  return loading;
}
