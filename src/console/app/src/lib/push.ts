// Web push in this browser: a service worker shows what the hub sends.

import { api, ApiError, get } from './api';
import type { CallResult } from './types';

type State = 'unsupported' | 'disabled' | 'denied' | 'off' | 'on';

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const worker = () => navigator.serviceWorker.register('/console/push-worker.js', { scope: '/console/' });

const hubKey = async () => (await get<{ key: string }>('/api/push/key/')).key;

/** Whether a push service accepts this hub for the subscription: it is bound to the key that it was made with. */
function isOfKey(subscription: PushSubscription, key: string): boolean {
  const own = new Uint8Array(subscription.options.applicationServerKey ?? new ArrayBuffer(0));
  const wanted = bytes(key);
  return own.length === wanted.length && own.every((byte, at) => byte === wanted[at]);
}

async function state(): Promise<State> {
  if (!('serviceWorker' in navigator && 'PushManager' in window)) return 'unsupported';
  let key: string;
  try {
    key = await hubKey();
  } catch (error) {
    if (error instanceof ApiError && error.status >= 400 && error.status < 500) return 'disabled';
    throw error;
  }
  if (Notification.permission === 'denied') return 'denied';
  const registered = await navigator.serviceWorker.getRegistration('/console/');
  const subscription = await registered?.pushManager.getSubscription();
  if (!registered || !subscription) return 'off';
  if (!isOfKey(subscription, key)) await subscribe(registered, key);
  return 'on';
}

/** Subscribes this browser, in place of a subscription for another key. */
async function subscribe(registered: ServiceWorkerRegistration, key: string): Promise<void> {
  const before = await registered.pushManager.getSubscription();
  if (before && !isOfKey(before, key)) {
    await api('DELETE', '/api/push/subscriptions/', { endpoint: before.endpoint });
    await before.unsubscribe();
  }
  const options = { userVisibleOnly: true, applicationServerKey: bytes(key) };
  const { endpoint, keys } = (await registered.pushManager.subscribe(options)).toJSON();
  await api('POST', '/api/push/subscriptions/', { endpoint, keys });
}

async function on(): Promise<State> {
  if (await Notification.requestPermission() !== 'granted') return state();
  const key = await hubKey();
  await worker();
  await subscribe(await navigator.serviceWorker.ready, key);
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
