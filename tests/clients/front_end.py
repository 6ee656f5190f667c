"""What every family's front end stands on, with Python's `websockets`.

What happens is printed, one JSON value a line; what the person does is read, one JSON list a line:
a gesture's name, then its arguments. The end of the input is the end of the front end.
"""

import json
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class FrontEnd:
    """A socket with the token in its URL. A family adds its path and its gestures."""

    path = "/ws/notifications/"

    def __init__(self, base, token):
        self.base, self.token = base, token
        self.last = 0  # the highest number seen: what a client that resumes asks for
        self.output = threading.Lock()

    def say(self, what):
        """Hands a value to the test."""
        with self.output:
            print(json.dumps(what), flush=True)

    def open(self, query="", path=None):
        """Opens the family's socket; `query` is what follows the token."""
        url = f"{self.base}{path or self.path}?token={self.token}{query}"
        self.socket = connect(url, proxy=None)
        threading.Thread(target=self.listen, args=(self.socket,), daemon=True).start()
        return self.socket

    def listen(self, socket):
        try:
            while True:
                frame = json.loads(socket.recv())
                self.last = max(self.last, self.number(frame))
                self.say({"frame": frame})
                self.receive(frame)
        except ConnectionClosed:
            self.say({"closed": socket.close_code})

    def number(self, frame):
        """The number that a frame carries in this family; 0 where it carries none."""
        return frame.get("seq", 0)

    def receive(self, frame):
        """What the family does with a frame, beyond the log."""

    def send(self, frame):
        self.socket.send(json.dumps(frame))

    # Gestures.

    def ping(self, *timestamp):
        self.send({"type": "ping", **{"timestamp": sent for sent in timestamp}})

    def blurt(self, text):
        """Sends what no front end of the field would."""
        self.socket.send(text)

    def leave(self):
        self.socket.close(1000)

    def come_back(self):
        self.open()

    def come_back_since(self):
        self.open(f"&since={self.last}")


def play(family):
    """Runs a family's front end: SCRIPT BASE TOKEN."""
    front_end = family(*sys.argv[1:3])
    front_end.open()
    for line in sys.stdin:
        gesture, *rest = json.loads(line)
        getattr(front_end, gesture)(*rest)
