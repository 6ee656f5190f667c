"""A client of `bellpull.v1`: everything on one socket. The token is offered as a subprotocol, which
keeps it out of the URL."""

from front_end import FrontEnd, play


class BellpullV1(FrontEnd):
    path = "/ws/"
    epoch = ""

    def address(self, path, query):
        offered = ["bellpull.v1", f"bearer.{self.token}"]
        return {"uri": f"{self.base}{path}?{query.lstrip('&')}", "subprotocols": offered}

    def receive(self, frame):
        if frame["type"] == "welcome":
            self.epoch = frame["epoch"]
        elif frame["type"] == "reset":
            self.last = 0

    def ended(self, socket):
        """A reason may say when to come back."""
        return {"closed": socket.close_code, "reason": socket.close_reason}

    def come_back_since(self):
        self.open(f"&since={self.last}&epoch={self.epoch}")

    def move_to(self, base):
        """Where the hub is from now on."""
        self.base = base

    def use(self, token):
        """What it shows from now on."""
        self.token = token

    def repeat(self, count, frame):
        """Sends a frame so many times without waiting for an answer."""
        for number in range(1, count + 1):
            self.send({**frame, "id": str(number)})


play(BellpullV1)
