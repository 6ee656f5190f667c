import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { embed } from './embed.ts';

// The hub serves these two itself: its own client, and its table of ticket steps.
const served = { bellpull: '/client/bellpull.js', 'bellpull-workflow': '/console/workflow.js' };

export default defineConfig({
  base: '/console/',
  plugins: [svelte(), embed('../built')],
  build: {
    outDir: '../built',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      external: Object.keys(served),
      output: { paths: served },
    },
  },
});
