"""A board of tickets: toasts that are known by their ids, and for each project that is open a
socket for its tickets and one for who is there."""

from front_end import FrontEnd, play


class Project(FrontEnd):
    def number(self, frame):
        return frame.get("data", {}).get("seq", 0)

    def receive(self, frame):
        if frame["type"] == "notification_message":
            self.say({"toast": frame["data"]["id"]})

    def watch(self, tab, project, stream):
        """Opens a project's tickets or its presence in a tab."""
        self.open_tab(tab, f"/ws/projects/{project}/{stream}/")

    def look_at(self, tab, ticket):
        self.send({"type": "ticket_viewing", "ticket_id": ticket}, tab)

    def type_on(self, tab, ticket, is_typing):
        self.send({"type": "user_typing", "ticket_id": ticket, "is_typing": is_typing}, tab)


play(Project)
