"""What every family's front end stands on, with Python's `websockets`.

What happens is printed, one JSON value a line; what the person does is read, one JSON list a line:
a gesture's name, then its arguments. The end of the input is the end of the front end.
"""

import json
import sys
import threading

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


class FrontEnd:
    """A socket with the token in its URL. A family adds its path and its gestures. Further sockets
    are tabs: each has a name, which stands in whatever is said of it."""

    path = "/ws/notifications/"

    def __init__(self, base, token):
        self.base, self.token = base, token
        self.last = 0  # the highest number seen: what a client that resumes asks for
        self.tabs = {}
        self.output = threading.Lock()

    def say(self, what):
        """Hands a value to the test."""
        with self.output:
            print(json.dumps(what), flush=True)

    def open(self, query=""):
        """Opens the family's socket; `query` is what follows the token."""
        self.socket = self.connect(self.path, query)

    def connect(self, path, query="", tab=None):
        try:
            socket = connect(proxy=None, **self.address(path, query))
        except InvalidStatus:
            # As other makes tell it: a socket that ended without a closing frame.
            self.say({"tab": tab, "closed": 1006})
            return None
        threading.Thread(target=self.listen, args=(socket, tab), daemon=True).start()
        return socket

    def address(self, path, query):
        """What a socket is made of: where it leads, and the subprotocols that it offers, if any."""
        return {"uri": f"{self.base}{path}?token={self.token}{query}"}

    def listen(self, socket, tab):
        try:
            while True:
                frame = json.loads(socket.recv())
                self.last = max(self.last, self.number(frame))
                self.say({"tab": tab, "frame": frame})
                self.receive(frame)
        except ConnectionClosed:
            self.say({"tab": tab, **self.ended(socket)})

    def number(self, frame):
        """The number that a frame carries in this family; 0 where it carries none."""
        return frame.get("seq", 0)

    def receive(self, frame):
        """What the family does with a frame, beyond the log."""

    def ended(self, socket):
        """What is told of a socket's end."""
        return {"closed": socket.close_code}

    def send(self, frame, tab=None):
        socket = self.socket if tab is None else self.tabs[tab]
        socket.send(json.dumps(frame))

    # Gestures.

    def ping(self, timestamp=None, tab=None):
        self.send({"type": "ping", **({} if timestamp is None else {"timestamp": timestamp})}, tab)

    def blurt(self, text):
        """Sends what no front end of the field would."""
        self.socket.send(text)

    def leave(self):
        self.socket.close(1000)

    def come_back(self):
        self.open()

    def come_back_since(self):
        self.open(f"&since={self.last}")

    def open_tab(self, tab, path):
        self.tabs[tab] = self.connect(path, tab=tab)

    def close_tab(self, tab):
        self.tabs[tab].close(1000)


def play(family):
    """Runs a family's front end: SCRIPT BASE TOKEN."""
    front_end = family(*sys.argv[1:3])
    front_end.open()
    for line in sys.stdin:
        gesture, *rest = json.loads(line)
        getattr(front_end, gesture)(*rest)
