// REST. An expired access token is renewed once for all requests that need it.

import { newId } from './drafts';
import { session } from './session.svelte';
import { t } from './i18n.svelte';

export class ApiError extends Error {
  constructor(readonly status: number, message: string, readonly fields: Record<string, string>) {
    super(message);
  }
}

/** A body of errors as one text and as a text for each field. */
function problem(status: number, body: Record<string, unknown>): ApiError {
  if (typeof body.detail === 'string') return new ApiError(status, body.detail, {});
  const fields: Record<string, string> = {};
  for (const [name, texts] of Object.entries(body)) {
    if (name !== 'code') fields[name] = ([] as unknown[]).concat(texts).join(' ');
  }
  const text = Object.entries(fields).map(([name, said]) => `${name}: ${said}`).join(' ');
  return new ApiError(status, text || t('error.unknown', { status }), fields);
}

async function answerOf(response: Response): Promise<unknown> {
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = { detail: text.slice(0, 200) };
  }
  if (!response.ok) throw problem(response.status, (body ?? {}) as Record<string, unknown>);
  return body;
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch {
    throw new ApiError(0, t('error.unreachable'), {});
  }
}

/** A request without a login. */
export async function open<T>(method: string, path: string, body: unknown): Promise<T> {
  const headers = { 'Content-Type': 'application/json' };
  return await answerOf(await reach(path, { method, headers, body: JSON.stringify(body) })) as T;
}

/** A request of the user who is signed in; its response as it is. */
export async function request(
  method: string, path: string, body?: unknown, signal?: AbortSignal, more: Record<string, string> = {},
): Promise<Response> {
  for (let again = true; ; again = false) {
    const access = session.current?.access;
    const headers: Record<string, string> = { ...more, Authorization: `Bearer ${access}` };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const init: RequestInit = { method, headers };
    if (body !== undefined) init.body = JSON.stringify(body);
    if (signal) init.signal = signal;
    const response = await reach(path, init);
    if (response.status !== 401) return response;
    const isRenewed = session.current !== null
      && (session.current.access !== access || await renew());
    if (!again || !isRenewed) {
      session.set(null);
      return response;
    }
  }
}

export async function api<T>(
  method: string, path: string, body?: unknown, headers?: Record<string, string>,
): Promise<T> {
  return await answerOf(await request(method, path, body, undefined, headers)) as T;
}

/** Keys of creations whose outcome is not known. */
const unknown = new Map<string, string>();

/** Creates something. The same form, sent again after a lost answer, is the same request: it creates nothing more. */
export async function createOnce<T>(path: string, body: unknown): Promise<T> {
  const form = `${path} ${JSON.stringify(body)}`;
  const key = unknown.get(form) ?? newId();
  unknown.set(form, key);
  try {
    const made = await api<T>('POST', path, body, { 'Idempotency-Key': key });
    unknown.delete(form);
    return made;
  } catch (error) {
    // Nothing was created: it was refused.
    if (error instanceof ApiError && error.status >= 400 && error.status < 500) unknown.delete(form);
    throw error;
  }
}

/** A request that outlives the page; what becomes of it is not known. */
export function last(method: string, path: string, body: unknown): void {
  const headers = { Authorization: `Bearer ${session.current?.access}`, 'Content-Type': 'application/json' };
  void fetch(path, { method, headers, body: JSON.stringify(body), keepalive: true }).catch(() => {});
}

export const get = <T>(path: string) => api<T>('GET', path);

let renewing: Promise<boolean> | null = null;

/** Renews the access token; false if the login has ended. */
export function renew(): Promise<boolean> {
  renewing ??= renewOnce().finally(() => { renewing = null; });
  return renewing;
}

async function renewOnce(): Promise<boolean> {
  const kept = session.current;
  if (!kept) return false;
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ refresh: kept.refresh });
  const response = await reach('/api/auth/refresh/', { method: 'POST', headers, body });
  // A hub that cannot answer now has not ended the login.
  if (response.status === 429 || response.status >= 500) {
    throw new ApiError(response.status, t('error.unreachable'), {});
  }
  if (!response.ok) return false;
  const { access } = await response.json() as { access: string };
  // The login's first refresh token stays: a duplicated tab has a copy of it, and a token that is used
  // after its successor ends the login.
  session.set({ ...kept, access });
  return true;
}

/** A query with the values that are set. */
export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value !== '' && value != null);
  const text = new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : '';
}
