// What the app knows of tickets: their statuses, and what a user may do to one now.

import { workflow } from 'bellpull-workflow';
import { api, get } from './api';
import { load } from './load.svelte';
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

/** Takes a step of the ticket as it is shown: of one that has changed since the hub does nothing. */
export const act = ({ id, version }: Ticket, name: string): Promise<Ticket> =>
  api<Ticket>('POST', `/api/tickets/${id}/${name}/`, { version });

/** All the projects that the user sees. */
export async function everyProject(path: string): Promise<Project[]> {
  const all: Project[] = [];
  for (let page = 1; ; page += 1) {
    const { results, next } = await get<Page<Project>>(`${path}?page=${page}&page_size=100`);
    all.push(...results);
    if (!next) return all;
  }
}

/** They, for a component. */
export const projects = () => load<Project[]>(() => '/api/projects/', { read: everyProject });
