// Texts by language. A text that a language lacks is shown in English.

import { ar } from '../messages/ar';
import { en, type Key } from '../messages/en';

export const LANGUAGES = { en: 'English', ar: 'العربية' } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Record<Language, Partial<Record<Key, string>>> = { en, ar };

function first(): Language {
  const chosen = localStorage.getItem('bellpull.language') ?? navigator.language.slice(0, 2);
  return chosen in LANGUAGES ? chosen as Language : 'en';
}

class Locale {
  language = $state<Language>(first());

  apply(): void {
    document.documentElement.lang = this.language;
    document.documentElement.dir = this.language === 'ar' ? 'rtl' : 'ltr';
  }

  set(language: Language): void {
    this.language = language;
    localStorage.setItem('bellpull.language', language);
    this.apply();
  }
}

export const locale = new Locale();

/** A text with its values; for a `count` of 1 the text of `KEY.one`, if there is one. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const one = `${key}.one`;
  if (String(values.count) === '1' && one in en) return t(one as Key, { ...values, count: '' });
  const text = CATALOGUES[locale.language][key] ?? en[key];
  return text.replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}

/** To make one takes longer than to use it a hundred times, and the tree has thousands of numbers. */
const formats = new Map<string, Intl.NumberFormat>();

export function number(value: number): string {
  let format = formats.get(locale.language);
  if (!format) formats.set(locale.language, format = new Intl.NumberFormat(locale.language));
  return format.format(value);
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000], ['month', 2_592_000], ['day', 86_400], ['hour', 3600], ['minute', 60],
];

/** How long ago, in words. What has happened is never ahead, whatever this device's clock says; what is `due` may be. */
export function ago(time: string, isDue = false): string {
  const ahead = (Date.parse(time) - Date.now()) / 1000;
  const seconds = isDue ? ahead : Math.min(0, ahead);
  const words = new Intl.RelativeTimeFormat(locale.language, { numeric: 'auto', style: 'short' });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return words.format(Math.round(seconds / size), unit);
  }
  return t('time.now');
}

/** A duration in its two largest units: `1 hr, 30 min`. */
export function duration(seconds: number, unitDisplay: 'short' | 'long' = 'short'): string {
  let rest = seconds;
  const parts: string[] = [];
  for (const [unit, size] of [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    const style = { style: 'unit', unit, unitDisplay } as const;
    if (count > 0) parts.push(new Intl.NumberFormat(locale.language, style).format(count));
  }
  return new Intl.ListFormat(locale.language, { type: 'unit', style: 'short' }).format(parts.slice(0, 2));
}

export function moment(time: string): string {
  const style = { dateStyle: 'medium', timeStyle: 'short' } as const;
  return new Intl.DateTimeFormat(locale.language, style).format(new Date(time));
}

/** Those that are not the inbox. */
export const CHANNELS = ['EMAIL', 'WHATSAPP', 'SMS', 'PUSH', 'WEBHOOK'] as const;

/** A channel's name, as its users write it: `WHATSAPP` is `WhatsApp`. */
export function channelName(channel: string): string {
  const key = `channel.${channel.toLowerCase()}`;
  return key in en ? t(key as Key) : words(channel.toLowerCase());
}

/** An event's or a step's name, as words: `start_work` is `Start work`. */
export function words(name: string): string {
  const text = name.replace(/_/g, ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
