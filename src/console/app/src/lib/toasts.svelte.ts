// Short messages, some with an undo.

export interface Toast { id: number; text: string; kind: 'info' | 'error'; undo?: () => void }

/** What is done when an undo has passed; the page may be left by then. */
export type Work = (isLeaving: boolean) => Promise<void>;

/** As many are shown at once; an older one ends early. */
const SHOWN = 4;

class Toasts {
  all = $state<Toast[]>([]);
  #next = 1;
  #ends = new Map<number, Work>();

  show(text: string, kind: Toast['kind'] = 'info'): void { this.#add({ text, kind }, 5000); }

  error(error: unknown): void {
    this.show(error instanceof Error ? error.message : String(error), 'error');
  }

  /** Does the work when the toast ends, unless it is undone. */
  undoable(text: string, work: Work, undo: () => void): void {
    const id = this.#add({ text, kind: 'info', undo: () => {
      this.#ends.delete(id);
      this.dismiss(id);
      undo();
    } }, 6000);
    this.#ends.set(id, work);
  }

  #add(toast: Omit<Toast, 'id'>, ms: number): number {
    const id = this.#next++;
    for (const old of this.all.slice(0, Math.max(0, this.all.length - SHOWN + 1))) this.dismiss(old.id);
    this.all = [...this.all, { ...toast, id }];
    setTimeout(() => this.dismiss(id), ms);
    return id;
  }

  dismiss(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
    void this.#ends.get(id)?.(false);
    this.#ends.delete(id);
  }

  /** Does at once what waits for its undo; resolves when it is done. */
  async flush(isLeaving: boolean): Promise<void> {
    const works = [...this.#ends.values()];
    this.#ends.clear();
    await Promise.all(works.map((work) => work(isLeaving)));
  }
}

export const toasts = new Toasts();
addEventListener('pagehide', () => void toasts.flush(true));
