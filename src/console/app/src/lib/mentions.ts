// Whom a comment mentions, and who may be mentioned: the hub says both, here is no grammar of names.

import { get, query } from './api';
import type { Comment, Mentionable } from './types';

/** A name and its `@` are no longer. */
const LOOKED_AT = 200;

export interface Offer { typed: string; results: Mentionable[] }

/** Who is offered at the end of a text: those who would be notified. */
export async function offer(ticket: number, before: string): Promise<Offer> {
  const text = before.slice(-LOOKED_AT);
  if (!text.includes('@') || /\s$/.test(text)) return { typed: '', results: [] };
  return get<Offer>(`/api/tickets/${ticket}/mentionable/${query({ text })}`);
}

/** A comment's text in parts; those that mention users are so marked. */
export function parts({ body, mentions }: Comment): { text: string; isMention: boolean }[] {
  const letters = [...body];
  const found: { text: string; isMention: boolean }[] = [];
  let at = 0;
  for (const { start, end } of mentions) {
    found.push({ text: letters.slice(at, start).join(''), isMention: false }, { text: letters.slice(start, end).join(''), isMention: true });
    at = end;
  }
  return [...found, { text: letters.slice(at).join(''), isMention: false }];
}
