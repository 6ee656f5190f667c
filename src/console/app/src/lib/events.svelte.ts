// The tree's events as they happen, the newest first. Not by EventSource: it cannot send a token.

import { ApiError, request } from './api';
import { t } from './i18n.svelte';
import { load, type Load } from './load.svelte';

export interface TreeEvent { node: string; id: number; at: string; path: string; what: string; detail: string }

const KEPT = 500;

/** For a component, as long as it is there. */
export function treeEvents(): Load<TreeEvent[]> {
  let current = new AbortController();
  $effect(() => () => current.abort());
  return load<TreeEvent[]>(() => '/api/operator/events/', {
    everyMs: 2000,
    read: async (path, show) => {
      current.abort();
      const { signal } = current = new AbortController();
      const response = await request('GET', path, undefined, signal);
      if (!response.ok || !response.body) throw new ApiError(response.status, t('error.unknown', { status: response.status }), {});
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      // The stream begins with what is kept.
      let [all, text]: [TreeEvent[], string] = [[], ''];
      for (;;) {
        show(all);
        const { done, value } = await reader.read();
        if (done) throw new ApiError(0, t('error.unreachable'), {});
        const blocks = (text + value).split('\n\n');
        text = blocks.pop() ?? '';
        const found = blocks.flatMap((block) => {
          const data = block.split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
          return data ? [JSON.parse(data) as TreeEvent] : [];
        });
        all = [...found.reverse(), ...all].slice(0, KEPT);
      }
    },
  });
}
