"""Which groups of the channel layer are a user's, and what of a message is a notification."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: The backend's name in `CHANNEL_LAYERS`.
LAYER = "bellpull.django.layer.BellpullChannelLayer"
KINDS = ("user",)

_TITLES = ("title", "subject", "heading")
_TEXTS = ("message", "body", "text", "content")
_LINKS = ("action_url", "link", "url")
_EVENTS = ("event", "notification_type")
_EVENT = re.compile(r"^[a-z0-9_.-]{1,64}$")


class Rules:
    """`{"user_{id}": "user"}`: what the groups of users are called."""

    def __init__(self, groups: Mapping[str, str]) -> None:
        if not groups:
            raise ValueError("no group is named, so nothing would be sent")
        self._patterns = []
        for pattern, kind in groups.items():
            if kind not in KINDS:
                raise ValueError(f"{pattern!r} is {kind!r}, which is none of {', '.join(KINDS)}")
            if pattern.count("{id}") != 1:
                raise ValueError(f"{pattern!r} has not one {{id}}")
            before, after = (re.escape(part) for part in pattern.split("{id}"))
            self._patterns.append(re.compile(f"{before}([0-9]{{1,18}}){after}"))

    def user(self, group: str) -> int | None:
        """The user whose group it is."""
        for pattern in self._patterns:
            found = pattern.fullmatch(group)
            if found:
                return int(found[1])
        return None


def _text(of: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        if isinstance(of.get(name), str) and of[name].strip():
            return str(of[name])
    return None


def notification(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a message says, as a send's body without recipients; None: nothing that a user reads.

    It looks where projects write it: at the top, or in the one object below it (`data`,
    `notification`, `payload`, …). The whole object goes along as `metadata`.
    """
    inner = [value for value in message.values() if isinstance(value, Mapping)]
    for one in [message, *inner]:
        text = _text(one, _TEXTS)
        title = _text(one, _TITLES)
        if text is None and title is None:
            continue
        # At the top, `type` names the handler.
        metadata = {name: value for name, value in one.items() if one is not message or name != "type"}
        body = {"title": (title or text or "")[:200], "message": text or title, "metadata": metadata}
        link = _text(one, _LINKS)
        if link:
            body["action_url"] = link
        event = _text(one, _EVENTS)
        if event and _EVENT.match(event):
            body["event"] = event
        return body
    return None
