// Web push in this browser: a service worker shows what the hub sends.

import { api, ApiError, get } from './api';
import type { CallResult } from './types';

type State = 'unsupported' | 'disabled' | 'denied' | 'off' | 'on';

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const worker = () => navigator.serviceWorker.register('/console/push-worker.js', { scope: '/console/' });

async function state(): Promise<State> {
  if (!('serviceWorker' in navigator && 'PushManager' in window)) return 'unsupported';
  try {
    await get('/api/push/key/');
  } catch (error) {
    if (error instanceof ApiError && error.status >= 400 && error.status < 500) return 'disabled';
    throw error;
  }
  if (Notification.permission === 'denied') return 'denied';
  const registered = await navigator.serviceWorker.getRegistration('/console/');
  return await registered?.pushManager.getSubscription() ? 'on' : 'off';
}

async function on(): Promise<State> {
  if (await Notification.requestPermission() !== 'granted') return state();
  const { key } = await get<{ key: string }>('/api/push/key/');
  await worker();
  const registered = await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: bytes(key) };
  const subscription = await registered.pushManager.subscribe(options);
  const { endpoint, keys } = subscription.toJSON();
  await api('POST', '/api/push/subscriptions/', { endpoint, keys });
  return 'on';
}

async function off(): Promise<State> {
  const registered = await navigator.serviceWorker.getRegistration('/console/');
  const subscription = await registered?.pushManager.getSubscription();
  if (subscription) {
    await api('DELETE', '/api/push/subscriptions/', { endpoint: subscription.endpoint });
    await subscription.unsubscribe();
  }
  return 'off';
}

/** Has the hub send this browser a message, through its push service. */
async function test(): Promise<CallResult> {
  const registered = await navigator.serviceWorker.getRegistration('/console/');
  const subscription = await registered?.pushManager.getSubscription();
  return api<CallResult>('POST', '/api/push/test/', { endpoint: subscription?.endpoint ?? '' });
}

export const browserPush = { state, on, off, test };
