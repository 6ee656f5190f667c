// How a form saves. The rules stand here, once: it keeps what it opened, sends only what its user
// changed, with the version that it opened; where another was faster, both texts are shown and the
// user's is kept; what is typed while it saves is not lost.

import { api, ApiError, createOnce, get } from './api';
import { drafts } from './drafts';
import { t } from './i18n.svelte';
import { toasts } from './toasts.svelte';

type Stamp = number | string | null | undefined;
/** What tells two states of a resource apart: its version, or when it was changed. */
const stampOf = (of: { version?: number; updated_at?: string | null } | null): Stamp => of?.version ?? of?.updated_at;
const differ = (one: unknown, other: unknown) => JSON.stringify(one) !== JSON.stringify(other);

/** The fields of `now` that differ from those that it began with. */
function changes<F extends object>(opened: F, now: F): Partial<F> {
  const names = Object.keys(now) as (keyof F)[];
  return Object.fromEntries(names.filter((name) => differ(now[name], opened[name])).map((name) => [name, now[name]])) as Partial<F>;
}

interface Saving<F> {
  method?: 'PATCH' | 'PUT' | 'POST';
  /** Where the resource is read, if not where it is saved. */
  at?: string;
  /** What is sent instead of the changed fields: where a request replaces the whole. */
  body?: (now: F) => object;
  /** What is sent besides. */
  more?: object;
}

export class Form<F extends object, R extends object = object> {
  now = $state() as F;
  /** What another user saved meanwhile, in fields that were changed here, too. */
  theirs = $state.raw<Partial<F>>({});
  problem = $state('');
  fields = $state.raw<Record<string, string>>({});
  isBusy = $state(false);
  /** Whether it began with a draft. */
  isDraft = $state(false);
  #resource: R | null = null;
  #opened = $state.raw() as F;
  #version: Stamp;
  readonly #of: (resource: R | null) => F;

  /** `of` takes the form's fields from a resource; null: a new one. With a `draft` what is typed is kept on this device. */
  constructor(of: (resource: R | null) => F, resource: R | null = null, draft?: string) {
    this.#of = of;
    this.open(resource);
    if (draft === undefined) return;
    let isAsked = $state(false);
    void drafts.find<{ at: number; opened: F; version?: Stamp; now: F }>(draft).then((found) => {
      if (found && !this.isChanged) {
        const { opened, version, now } = found.draft;
        [this.isDraft, this.#opened, this.#version, this.now] = [true, opened, version, now];
        drafts.drop(found.key);
      }
      isAsked = true;
    });
    $effect(() => {
      const [opened, now] = [this.#opened, $state.snapshot(this.now) as F];
      if (isAsked || this.isChanged) drafts.set(draft, this.isChanged ? { opened, version: this.#version, now } : null);
    });
  }

  open(resource: R | null): void {
    this.#begin(resource, this.#of(resource));
    [this.problem, this.fields, this.isDraft] = ['', {}, false];
  }

  /** Forgets what was typed. */
  discard(): void { this.open(this.#resource); }

  get isChanged(): boolean { return Object.keys(this.#changes()).length > 0; }

  #changes(): Partial<F> { return changes(this.#opened, $state.snapshot(this.now) as F); }

  /** From here on that is what was opened. What was changed since stays. */
  #begin(resource: R | null, now: F): void {
    this.#resource = resource;
    this.#opened = this.#of(resource);
    this.#version = stampOf(resource);
    this.now = now;
    this.theirs = {};
  }

  /** The resource as it is after saving; null if it was not, and `problem` says why. */
  save(path: string, { method = 'PATCH', at = path, body, more }: Saving<F> = {}): Promise<R | null> {
    return this.run(async () => {
      const sent = $state.snapshot(this.now) as F;
      const version = typeof this.#version === 'number' ? { version: this.#version } : {};
      try {
        // A hub without versions of this does not notice that another was faster.
        if (!('version' in version) && this.#version !== undefined) await this.#compare(at);
        const saved = await api<R>(method, path, { ...body?.(sent) ?? this.#changes(), ...version, ...more });
        this.#begin(saved, { ...this.#of(saved), ...changes(sent, $state.snapshot(this.now) as F) });
        return saved;
      } catch (error) {
        if (error instanceof ApiError && error.status === 409) await this.#compare(at, error);
        throw error;
      }
    });
  }

  /** A new one; the form is empty afterwards, but for what was typed meanwhile. */
  create(path: string, body: (now: F) => object = (now) => now): Promise<R | null> {
    return this.run(async () => {
      const sent = $state.snapshot(this.now) as F;
      const made = await createOnce<R>(path, body(sent));
      const [empty, now] = [this.#of(null), $state.snapshot(this.now) as F];
      const typed = Object.entries(changes(sent, now)).map(([name, text]) => [name, rest(sent[name as keyof F], text)]);
      this.#begin(null, { ...empty, ...Object.fromEntries(typed) });
      return made;
    });
  }

  /** Any work of the form: one at a time, and what goes wrong is said. */
  async run<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.isBusy) return null;
    this.isBusy = true;
    [this.problem, this.fields] = ['', {}];
    try {
      return await work();
    } catch (error) {
      this.problem = (error as Error).message;
      if (error instanceof ApiError) this.fields = error.fields;
      return null;
    } finally {
      this.isBusy = false;
    }
  }

  /** Another user has saved: what was not touched here becomes theirs, the rest is shown beside. */
  async #compare(path: string, error?: ApiError): Promise<void> {
    const found = await get<R>(path);
    if (stampOf(found) === this.#version && error) throw error;
    if (stampOf(found) === this.#version) return;
    const mine = this.#changes();
    const others = Object.entries(changes(this.#opened, this.#of(found)));
    this.#begin(found, { ...this.#of(found), ...mine });
    this.theirs = Object.fromEntries(others.filter(([name, text]) => name in mine && differ(text, mine[name as keyof F]))) as Partial<F>;
    throw new ApiError(409, t(Object.keys(this.theirs).length > 0 ? 'conflict' : 'changed_meanwhile'), {});
  }

  /** Takes the other user's text instead. */
  take(name: keyof F): void {
    this.now[name] = this.theirs[name] as F[keyof F];
    const { [name]: _, ...left } = this.theirs;
    this.theirs = left as Partial<F>;
  }
}

/** What was typed after what was sent. */
function rest(sent: unknown, now: unknown): unknown {
  return typeof sent === 'string' && typeof now === 'string' && now.startsWith(sent) ? now.slice(sent.length) : now;
}

/** Does something that has no form; null if it failed, and a message says why. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    toasts.error(error);
    return null;
  }
}
