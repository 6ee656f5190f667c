// Short messages, some with an undo.

export interface Toast { id: number; text: string; kind: 'info' | 'error'; undo?: () => void }

class Toasts {
  all = $state<Toast[]>([]);
  #next = 1;
  #ends = new Map<number, () => void>();

  show(text: string, kind: Toast['kind'] = 'info'): void { this.#add({ text, kind }, 5000); }

  error(error: unknown): void {
    this.show(error instanceof Error ? error.message : String(error), 'error');
  }

  /** Does the work when the toast ends, unless it is undone. */
  undoable(text: string, work: () => void, undo: () => void): void {
    const id = this.#add({ text, kind: 'info', undo: () => {
      this.#ends.delete(id);
      this.dismiss(id);
      undo();
    } }, 6000);
    this.#ends.set(id, work);
  }

  #add(toast: Omit<Toast, 'id'>, ms: number): number {
    const id = this.#next++;
    this.all = [...this.all.slice(-3), { ...toast, id }];
    setTimeout(() => this.dismiss(id), ms);
    return id;
  }

  dismiss(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
    this.#ends.get(id)?.();
    this.#ends.delete(id);
  }

  /** Does at once what waits for its undo: the page is left. */
  flush(): void {
    for (const work of this.#ends.values()) work();
    this.#ends.clear();
  }
}

export const toasts = new Toasts();
addEventListener('pagehide', () => toasts.flush());
