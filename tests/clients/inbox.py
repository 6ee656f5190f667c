"""An inbox in a side panel: everything is asked for over the socket, and answered there."""

import json

from front_end import FrontEnd, play


class Inbox(FrontEnd):
    def number(self, frame):
        return frame.get("notification", {}).get("seq", 0)

    def receive(self, frame):
        if frame["type"] == "notification" and not frame["notification"]["read"]:
            self.say({"bell": frame["notification"]["title"]})

    def notify(self, user_id, title, message, more):
        whom = {"user_id": user_id, "title": title, "message": message}
        self.send({"type": "send_notification", **whom, "notification_type": "approval", **more})

    def notify_of_type(self, user_id, title, message, own):
        """As this family's clients write it: the key twice, and as text both of them stay."""
        whom = json.dumps({"user_id": user_id, "title": title, "message": message})[1:-1]
        self.blurt(f'{{"type": "send_notification", {whom}, "type": {json.dumps(own)}}}')

    def show(self, more):
        self.send({"type": "get_notifications", **more})

    def read(self, notification_id):
        self.send({"type": "mark_read", "notification_id": notification_id})

    def read_all(self):
        self.send({"type": "mark_all_read"})

    def remove(self, notification_id):
        self.send({"type": "delete_notification", "notification_id": notification_id})


play(Inbox)
