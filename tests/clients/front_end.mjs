// What every family's front end stands on, in Chromium and in Node alike: a socket with the token
// in its URL, a log of each frame, and what the person in front of the screen does next.
//
// A family adds its path and its gestures. `say` hands a value to the test. Further sockets are
// tabs: each has a name, which stands in whatever is said of it.

export class FrontEnd {
  constructor({ WebSocket, base, token, say }) {
    Object.assign(this, { WebSocket, base, token, say });
    this.last = 0; // the highest number seen: what a client that resumes asks for
    this.tabs = new Map();
  }

  /** Opens the family's socket; `query` is what follows the token. */
  open(query = '') {
    this.socket = this.connect(this.constructor.path, query);
  }

  connect(path, query = '', tab = undefined) {
    const socket = new this.WebSocket(...this.address(path, query));
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      this.last = Math.max(this.last, this.number(frame));
      this.say({ tab, frame });
      this.receive(frame);
    };
    socket.onclose = (event) => this.say({ tab, ...this.ended(event) });
    // What failed shows as the socket's end; Node's would otherwise end the process.
    socket.onerror = () => {};
    return socket;
  }

  /** What a socket is made of: where it leads, and the subprotocols that it offers, if any. */
  address(path, query) {
    return [`${this.base}${path}?token=${this.token}${query}`];
  }

  /** The number that a frame carries in this family; 0 where it carries none. */
  number(frame) {
    return frame.seq ?? 0;
  }

  /** What the family does with a frame, beyond the log. */
  receive() {}

  /** What is told of a socket's end. */
  ended({ code }) {
    return { closed: code };
  }

  send(frame, tab = undefined) {
    (tab === undefined ? this.socket : this.tabs.get(tab)).send(JSON.stringify(frame));
  }

  // Gestures.

  ping(timestamp, tab = undefined) {
    this.send({ type: 'ping', timestamp }, tab);
  }

  /** Sends what no front end of the field would. */
  blurt(text) {
    this.socket.send(text);
  }

  leave() {
    this.socket.close(1000);
  }

  come_back() {
    this.open();
  }

  come_back_since() {
    this.open(`&since=${this.last}`);
  }

  open_tab(tab, path) {
    this.tabs.set(tab, this.connect(path, '', tab));
  }

  close_tab(tab) {
    this.tabs.get(tab).close(1000);
  }
}
