// What every family's front end stands on, in Chromium and in Node alike: a socket with the token
// in its URL, a log of each frame, and what the person in front of the screen does next.
//
// A family adds its path and its gestures. `say` hands a value to the test.

export class FrontEnd {
  constructor({ WebSocket, base, token, say }) {
    Object.assign(this, { WebSocket, base, token, say });
    this.last = 0; // the highest number seen: what a client that resumes asks for
  }

  /** Opens the family's socket; `query` is what follows the token. */
  open(query = '', path = this.constructor.path) {
    const socket = new this.WebSocket(`${this.base}${path}?token=${this.token}${query}`);
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      this.last = Math.max(this.last, this.number(frame));
      this.say({ frame });
      this.receive(frame);
    };
    socket.onclose = (event) => this.say({ closed: event.code });
    this.socket = socket;
    return socket;
  }

  /** The number that a frame carries in this family; 0 where it carries none. */
  number(frame) {
    return frame.seq ?? 0;
  }

  /** What the family does with a frame, beyond the log. */
  receive() {}

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  // Gestures.

  ping(timestamp) {
    this.send(timestamp === undefined ? { type: 'ping' } : { type: 'ping', timestamp });
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
}
