"""Ticket alerts: a switch on `type` first and on `notification_type` otherwise. This family's
clients know nothing of sequences."""

from front_end import FrontEnd, play


class Incident(FrontEnd):
    def receive(self, frame):
        if frame.get("type") in ("connection_established", "pong"):
            return
        ticket = frame.get("ticket")
        if frame.get("notification_type") in ("ticket_created", "ticket_opened", "work_finished"):
            shown = [ticket["priority_display"], ticket["title"], frame["message"]]
            self.say({"shown": " · ".join(shown)})
        else:
            self.say({"unknown": frame.get("type", frame.get("notification_type"))})


play(Incident)
