// Saved views of the tickets: a name for a query, kept on this device.

export interface SavedView { name: string; query: string }

const KEY = 'bellpull.views';

function kept(): SavedView[] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]') as SavedView[];
  } catch {
    return [];
  }
}

class SavedViews {
  all = $state.raw<SavedView[]>(kept());

  #keep(all: SavedView[]): void {
    this.all = all;
    localStorage.setItem(KEY, JSON.stringify(all));
  }

  save(name: string, query: string): void {
    this.#keep([...this.all.filter((view) => view.name !== name), { name, query }].slice(-20));
  }

  remove(name: string): void { this.#keep(this.all.filter((view) => view.name !== name)); }
}

export const savedViews = new SavedViews();
