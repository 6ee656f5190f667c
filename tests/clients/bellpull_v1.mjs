// A client of `bellpull.v1`: everything on one socket. The token is offered as a subprotocol, which
// is how a browser keeps it out of the URL.

import { FrontEnd } from './front_end.mjs';

export default class BellpullV1 extends FrontEnd {
  static path = '/ws/';

  address(path, query) {
    const url = `${this.base}${path}?${query.replace(/^&/, '')}`;
    return [url, ['bellpull.v1', `bearer.${this.token}`]];
  }

  receive(frame) {
    if (frame.type === 'welcome') {
      this.epoch = frame.epoch;
    } else if (frame.type === 'reset') {
      this.last = 0;
    }
  }

  /** A reason may say when to come back. */
  ended({ code, reason }) {
    return { closed: code, reason };
  }

  come_back_since() {
    this.open(`&since=${this.last}&epoch=${this.epoch}`);
  }

  /** Where the hub is from now on. */
  move_to(base) {
    this.base = base;
  }

  /** What it shows from now on. */
  use(token) {
    this.token = token;
  }

  /** Sends a frame so many times without waiting for an answer. */
  repeat(count, frame) {
    for (let n = 1; n <= count; n += 1) {
      this.send({ ...frame, id: `${n}` });
    }
  }
}
