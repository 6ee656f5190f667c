// Light or dark: as the system has it, or as the user has chosen on this device.

export type Theme = 'system' | 'light' | 'dark';

class Appearance {
  theme = $state<Theme>((localStorage.getItem('bellpull.theme') as Theme | null) ?? 'system');

  apply(): void {
    const root = document.documentElement;
    if (this.theme === 'system') delete root.dataset.theme;
    else root.dataset.theme = this.theme;
  }

  set(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem('bellpull.theme', theme);
    this.apply();
  }
}

export const appearance = new Appearance();
