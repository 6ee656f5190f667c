// Who may be mentioned in a comment: for those who may list users, all; for others, the members of
// the ticket's project, if they may see them.

import { get, query } from './api';
import { session } from './session.svelte';
import type { Comment, Page, Ticket, User } from './types';

export interface Mentionable { username: string; name: string }

const OFFERED_MAX = 6;
const members = new Map<number, Promise<Mentionable[]>>();

const of = (user: Pick<User, 'username' | 'full_name'>): Mentionable =>
  ({ username: user.username, name: user.full_name });

function membersOf(project: number): Promise<Mentionable[]> {
  let found = members.get(project);
  if (!found) {
    const path = `/api/projects/${project}/members/?page_size=100`;
    found = get<Page<User>>(path).then((page) => page.results.map(of), () => []);
    members.set(project, found);
  }
  return found;
}

export async function mentionables(start: string, ticket: Ticket, comments: Comment[]): Promise<Mentionable[]> {
  const authors = comments.map((one) => ({ username: one.author, name: '' }));
  const all = session.isAdmin
    ? (await get<Page<User>>(`/api/users/${query({ search: start, page_size: 20 })}`)).results.map(of)
    : [...await membersOf(ticket.project), ...authors.filter((one) => /^[\w.-]+$/.test(one.username))];
  const small = start.toLowerCase();
  const fits = (one: Mentionable) => `${one.username} ${one.name}`.toLowerCase().includes(small);
  const distinct = new Map(all.filter(fits).map((one) => [one.username, one]));
  return [...distinct.values()].slice(0, OFFERED_MAX);
}
