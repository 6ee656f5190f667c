"""What every library of the matrix stands on: a seat is one library in one dialect.

What happens is printed, one JSON value a line, each with the seat's name in `of`; what the users do
is read, one JSON list a line. A library is a function that carries one connection: it tells the
seat how to send and to leave, hands it what comes, and returns when the connection has ended, with
the code of its end where the library tells one. A seat that was not told to leave comes back.
"""

import json
import os
import sys
import threading
import traceback


class Seat:
    def __init__(self, name, work, dialect, base, token):
        self.name, self.work, self.dialect = name, work, dialect
        self.base, self.token = base, token
        self.last, self.epoch = 0, ""
        self.wanted = threading.Event()
        self.wanted.set()
        self.send = self.leave = None
        threading.Thread(target=self.run, daemon=True).start()

    def say(self, what):
        say({"of": f"{self.name} {self.dialect}", **what})

    def run(self):
        while True:
            self.wanted.wait()
            try:
                self.say({"closed": self.work(self)})
            except Exception:
                # A hub that is away refuses; whatever else it is, the test sees what was not said.
                if os.environ.get("MATRIX_TRACE"):
                    traceback.print_exc()
                threading.Event().wait(0.1)

    def opened(self, send, leave):
        """The connection is there: how text is sent over it, and how it is left in order."""
        self.send, self.leave = send, leave

    def hear(self, text):
        frame = json.loads(text)
        seq = (frame.get("data") or frame.get("notification") or frame).get("seq") or frame.get("seq")
        if frame.get("type") == "welcome":
            self.epoch = frame["epoch"]
        elif seq:
            self.last = max(self.last, seq)
        self.say({"frame": frame})

    # Gestures.

    def ping(self, timestamp):
        self.send(json.dumps({"type": "ping", "timestamp": timestamp}))

    def go(self):
        self.wanted.clear()
        self.leave()

    def come_back(self):
        self.wanted.set()


OUTPUT = threading.Lock()


def say(what):
    with OUTPUT:
        print(json.dumps(what), flush=True)


def play(seat, libraries):
    """Runs the libraries that are named: SCRIPT BASE, then a line ["sit", name, dialect, token] for
    each seat, then gestures for all of them. Without input it ends."""
    seats = []
    for line in sys.stdin:
        gesture, *rest = json.loads(line)
        if gesture == "sit":
            name, dialect, token = rest
            seats.append(seat(name, libraries[name], dialect, sys.argv[1], token))
        else:
            for each in seats:
                try:
                    getattr(each, gesture)(*rest)
                except Exception as error:
                    each.say({"failed": f"{gesture}: {error!r}"})
    os._exit(0)
