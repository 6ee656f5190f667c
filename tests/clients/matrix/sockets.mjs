// Node's WebSocket libraries, each by its own means.

import { Seat, play, require } from './seats.mjs';

class Socket extends Seat {
  // The token is in a family's URL, as its front ends have it; that of `bellpull.v1` is in the
  // subprotocol that pages use.
  get url() {
    const since = this.last ? `&since=${this.last}` : '';
    return this.fixedUrl + (this.isV1 && since ? `?epoch=${this.epoch}${since}` : since);
  }

  // Of a library that always returns to the URL that it began with.
  get fixedUrl() {
    const family = `notifications/?token=${this.token}&dialect=${this.dialect}`;
    return `${this.base}/ws/${this.isV1 ? '' : family}`;
  }

  hear(text) {
    super.hear(text);
    if (this.isV1 && this.last) {
      this.line.send(JSON.stringify({ type: 'ack', seq: this.last }));
    }
  }

  get protocols() {
    return this.isV1 ? ['bellpull.v1', `bearer.${this.token}`] : [];
  }
}

const WS = require('ws');
const undici = require('undici').WebSocket;
const w3c = require('websocket').w3cwebsocket;
const Faye = require('faye-websocket').Client;

// For libraries that are written for pages.
globalThis.window = globalThis;
globalThis.WebSocket ??= undici;
globalThis.navigator ??= { onLine: true };
for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent']) {
  globalThis[name] ??= () => {};
}
globalThis.CustomEvent ??= class extends Event {};

/** What has the browsers' interface. */
function standard(make) {
  return (seat) => {
    const line = make(seat);
    line.onmessage = (event) => seat.hear(event.data);
    line.onerror = () => {};
    line.onclose = (event) => seat.ended(event.code);
    return { send: (text) => line.send(text), leave: () => line.close(1000) };
  };
}

/** The same for one that reconnects. */
function returning(make) {
  const open = standard(make);
  return (seat) => ({ ...open(seat), comesBack: true });
}

const soon = { minReconnectionDelay: 100, maxReconnectionDelay: 300 };

play(Socket, {
  ws: standard((seat) => new WS(seat.url, seat.protocols)),
  undici: standard((seat) => new undici(seat.url, seat.protocols)),
  'websocket (W3C)': standard((seat) => new w3c(seat.url, seat.protocols)),
  'isomorphic-ws': standard((seat) => new (require('isomorphic-ws'))(seat.url, seat.protocols)),
  'faye-websocket': standard((seat) => new Faye(seat.url, seat.protocols)),

  websocket(seat) {
    const client = new (require('websocket').client)();
    let line;
    client.on('connect', (connection) => {
      line = connection;
      line.on('message', (message) => seat.hear(message.utf8Data));
      line.on('error', () => {});
      line.on('close', (code) => seat.ended(code));
    });
    client.on('connectFailed', () => seat.ended());
    client.connect(seat.url, seat.protocols);
    return { send: (text) => line.sendUTF(text), leave: () => line.close(1000) };
  },

  'websocket-as-promised'(seat) {
    const Promised = require('websocket-as-promised');
    const createWebSocket = (url) => new WS(url, seat.protocols);
    const line = new Promised(seat.url, { createWebSocket, extractMessageData: (data) => data });
    line.onMessage.addListener((data) => seat.hear(data.data ?? data));
    line.onClose.addListener((event) => seat.ended(event.code));
    line.open().catch(() => {});
    return { send: (text) => line.send(text), leave: () => line.close(1000) };
  },

  'websocket-stream'(seat) {
    const line = require('websocket-stream')(seat.url, seat.protocols, { binary: false });
    line.setEncoding('utf8');
    let code;
    line.socket.addEventListener('close', (event) => {
      code = event.code;
    });
    line.on('data', (text) => seat.hear(text));
    line.on('error', () => {});
    line.on('close', () => seat.ended(code));
    return { send: (text) => line.write(text), leave: () => line.end() };
  },

  // These come back by themselves.
  'reconnecting-websocket': returning((seat) => {
    const Reconnecting = require('reconnecting-websocket');
    return new Reconnecting(() => seat.url, seat.protocols, { ...soon, WebSocket: WS });
  }),
  partysocket: returning((seat) => {
    const { default: Party } = require('partysocket/ws');
    return new Party(() => seat.url, seat.protocols, { ...soon, WebSocket: WS });
  }),
  'robust-websocket': returning((seat) => {
    const Robust = require('robust-websocket');
    return new Robust(() => seat.url, seat.protocols, () => 100);
  }),

  // These as well, always to the URL that they began with: what was not confirmed comes again, and
  // may come twice.
  'websocket-ts'(seat) {
    const { ConstantBackoff, WebsocketBuilder } = require('websocket-ts');
    const line = new WebsocketBuilder(seat.fixedUrl)
      .withProtocols(seat.protocols)
      .withBackoff(new ConstantBackoff(100))
      .onMessage((_, event) => seat.hear(event.data))
      .onClose((_, event) => seat.ended(event.code))
      .build();
    const send = (text) => line.send(text);
    return { send, leave: () => line.close(1000), comesBack: true };
  },
  sockette(seat) {
    const line = require('sockette')(seat.fixedUrl, {
      protocols: seat.protocols,
      timeout: 100,
      onmessage: (event) => seat.hear(event.data),
      onclose: (event) => seat.ended(event.code),
    });
    const send = (text) => line.send(text);
    return { send, leave: () => line.close(1000), comesBack: true };
  },
});
