import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { locale } from './lib/i18n.svelte';
import { appearance } from './lib/theme.svelte';

appearance.apply();
locale.apply();

// What a page that was kept for the way back shows is old.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

const target = document.getElementById('app');
if (target) mount(App, { target });
