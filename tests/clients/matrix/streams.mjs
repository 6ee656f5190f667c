// Node's clients of event streams, each by its own means: those that reconnect do, and the others
// are opened again with the last id.

import { Seat, play, require } from './seats.mjs';

class Stream extends Seat {
  lastId = '';

  get url() {
    return `${this.base}/api/notifications/stream/?dialect=${this.dialect}`;
  }

  // For those that cannot send a header.
  get urlWithToken() {
    return `${this.url}&token=${this.token}`;
  }

  get headers() {
    return { Authorization: `Bearer ${this.token}`, Accept: 'text/event-stream' };
  }

  get headersWithId() {
    return { ...this.headers, ...(this.lastId && { 'Last-Event-ID': this.lastId }) };
  }

  event(event) {
    if (event.data) {
      this.lastId = event.lastEventId || event.id || this.lastId;
      this.hear(event.data);
    }
  }

  // With these headers added.
  get fetch() {
    return (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...this.headers } });
  }
}

// For libraries that are written for pages.
globalThis.window = globalThis;
const listening = { addEventListener() {}, removeEventListener() {} };
globalThis.document = { hidden: false, ...listening };
Object.assign(globalThis, listening);

/** What has the browsers' interface. It ends for good where it does so by itself. */
function standard(make) {
  return (seat) => {
    const source = make(seat);
    source.onmessage = (event) => seat.event(event);
    source.onerror = () => {
      const hasStopped = source.readyState === 2;
      if (hasStopped) {
        source.close();
      }
      seat.ended();
      if (hasStopped && !seat.isOver) {
        seat.isOver = true;
        setTimeout(() => seat.open(), 100); // it stops where it is refused
      }
    };
    return { comesBack: true };
  };
}

play(Stream, {
  'eventsource 2': standard((seat) => {
    return new (require('eventsource2'))(seat.url, { headers: seat.headersWithId });
  }),
  'eventsource 3': standard((seat) => {
    return new (require('eventsource3').EventSource)(seat.url, { fetch: seat.fetch });
  }),
  'eventsource 4': standard((seat) => {
    return new (require('eventsource4').EventSource)(seat.url, { fetch: seat.fetch });
  }),
  undici: standard((seat) => {
    const since = seat.lastId && `&lastEventId=${seat.lastId}`;
    return new (require('undici').EventSource)(seat.urlWithToken + since);
  }),
  'event-source-polyfill': standard((seat) => {
    const { EventSourcePolyfill } = require('event-source-polyfill');
    return new EventSourcePolyfill(seat.url, { headers: seat.headers });
  }),
  'extended-eventsource': standard((seat) => {
    const { EventSource } = require('extended-eventsource');
    return new EventSource(seat.url, { headers: seat.headers, retry: 100 });
  }),
  'launchdarkly-eventsource': standard((seat) => {
    const { EventSource } = require('launchdarkly-eventsource');
    const errorFilter = () => true;
    const given = { headers: seat.headers, initialRetryDelayMillis: 100, errorFilter };
    return new EventSource(seat.url, given);
  }),
  'reconnecting-eventsource': standard((seat) => {
    const Reconnecting = require('reconnecting-eventsource').default;
    const eventSourceClass = require('eventsource2');
    const given = { headers: seat.headers, eventSourceClass, max_retry_time: 300 };
    return new Reconnecting(seat.url, given);
  }),

  'eventsource-client'(seat) {
    const { createEventSource } = require('eventsource-client');
    createEventSource({
      url: seat.url,
      headers: seat.headers,
      onMessage: (event) => seat.event(event),
      onDisconnect: () => seat.ended(),
    });
    return { comesBack: true };
  },
  '@microsoft/fetch-event-source'(seat) {
    const { fetchEventSource } = require('@microsoft/fetch-event-source');
    fetchEventSource(seat.url, {
      headers: seat.headers,
      openWhenHidden: true,
      onmessage: (event) => seat.event(event),
      onclose() {
        throw new Error('it ended'); // that is how it is asked to come back
      },
      onerror() {
        seat.ended();
        return 100;
      },
    });
    return { comesBack: true };
  },
  'fetch-event-stream'(seat) {
    const { events } = require('fetch-event-stream');
    const read = async () => {
      const response = await fetch(seat.url, { headers: seat.headersWithId });
      for await (const event of events(response)) {
        seat.event(event);
      }
    };
    read().catch(() => {}).finally(() => seat.ended());
    return {};
  },
});
