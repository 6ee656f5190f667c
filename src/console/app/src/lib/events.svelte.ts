// The tree's events as they happen. Not by EventSource: it cannot send a token.

import { request } from './api';

export interface TreeEvent { node: string; id: number; at: string; path: string; what: string; detail: string }

const KEPT = 500;

export class TreeEvents {
  all = $state.raw<TreeEvent[]>([]);
  isOpen = $state(false);

  start(): () => void {
    const ended = new AbortController();
    void this.#follow(ended.signal);
    return () => ended.abort();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const response = await request('GET', '/api/operator/events/', undefined, signal);
        if (response.status === 401 || response.status === 403) return;
        if (response.ok && response.body) await this.#read(response.body);
      } catch {
        // The connection broke, or this view was left.
      }
      this.isOpen = false;
      await new Promise((done) => setTimeout(done, 2000));
    }
  }

  async #read(body: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    this.isOpen = true;
    // The stream begins with what is kept.
    this.all = [];
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      const found = blocks.flatMap((block) => {
        const data = block.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
        return data ? [JSON.parse(data) as TreeEvent] : [];
      });
      if (found.length > 0) this.all = [...found.reverse(), ...this.all].slice(0, KEPT);
    }
  }
}
