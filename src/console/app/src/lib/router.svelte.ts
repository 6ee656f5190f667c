// Views are addresses below /console/: they can be reloaded, shared and gone back to.

const BASE = '/console/';

class Router {
  path = $state(this.#read());
  search = $state(location.search);
  /** Whether this place was gone back to. */
  isBack = false;

  constructor() {
    addEventListener('popstate', () => {
      this.isBack = true;
      this.#update();
    });
  }

  #read(): string { return location.pathname.slice(BASE.length).replace(/\/$/, ''); }

  #update(): void {
    this.path = this.#read();
    this.search = location.search;
  }

  go(path: string, { replace = false } = {}): void {
    const target = BASE + path;
    if (target === location.pathname + location.search) return;
    this.isBack = false;
    history[replace ? 'replaceState' : 'pushState'](null, '', target);
    this.#update();
    if (!replace) scrollTo(0, 0);
  }

  href(path: string): string { return BASE + path; }

  params(): URLSearchParams { return new URLSearchParams(this.search); }

  /** This view with another query; empty values are left out. */
  with(values: Record<string, string>): string {
    const params = this.params();
    for (const [name, value] of Object.entries(values)) {
      if (value) params.set(name, value);
      else params.delete(name);
    }
    const text = params.toString();
    return this.path + (text ? `?${text}` : '');
  }

  set(values: Record<string, string>): void { this.go(this.with(values), { replace: true }); }
}

export const router = new Router();

/** Lets the app follow a link of its own, unless it is to open elsewhere. */
export function followLink(event: MouseEvent): void {
  const link = (event.target as Element).closest('a');
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || link.target || event.defaultPrevented) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(BASE)) return;
  event.preventDefault();
  router.go(url.pathname.slice(BASE.length) + url.search);
}
