"""A school's bell: a list with a badge. What is read, unread or gone anywhere shows here."""

from front_end import FrontEnd, play


class Academy(FrontEnd):
    badge = 0

    def number(self, frame):
        return frame.get("notification", {}).get("seq", 0)

    def receive(self, frame):
        if frame["type"] == "new_notification":
            self.badge += not frame["notification"]["is_read"]
        elif frame["type"] == "notification_updated":
            self.badge = frame["unread_count"]
        else:
            return
        self.say({"badge": self.badge})


play(Academy)
