'use client';
// The user's preferences as a table of events and channels.
import type { Texts } from './texts.js';
import { TEXTS } from './texts.js';
import { usePreferences } from './hooks.js';

export function PreferencesForm({ texts = TEXTS, className }: { texts?: Texts; className?: string }) {
  const { preferences, error, change } = usePreferences();
  if (error && !preferences) return <p role="alert">{texts.failed}</p>;
  if (!preferences) return <p role="status">{texts.loading}</p>;
  const events = Object.entries(preferences.events);
  const channels = [...new Set(events.flatMap(([, on]) => Object.keys(on)))];
  return (
    <table className={className} data-bellpull="preferences">
      <thead>
        <tr>
          <td />
          {channels.map((channel) => <th scope="col" key={channel}>{texts.channel(channel)}</th>)}
        </tr>
      </thead>
      <tbody>
        {events.map(([event, on]) => (
          <tr key={event}>
            <th scope="row">{texts.event(event)}</th>
            {channels.map((channel) => (
              <td key={channel}>
                <input
                  type="checkbox"
                  aria-label={`${texts.event(event)}: ${texts.channel(channel)}`}
                  checked={on[channel] ?? false}
                  disabled={on[channel] === undefined}
                  onChange={({ target }) => {
                    change({ events: { [event]: { [channel]: target.checked } } }).catch(() => {});
                  }}
                />
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
