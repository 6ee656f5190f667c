// A question before something that cannot be taken back; the app shows it.

export interface Question { title: string; text: string; action: string; yes: () => unknown }

class Asked {
  now = $state.raw<Question | null>(null);
}

export const asked = new Asked();

export function ask(action: string, text: string, yes: Question['yes'], title = action): void {
  asked.now = { title, text, action, yes };
}
