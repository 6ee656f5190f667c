"""A channel layer around the present one, which tells the hub as well.

    CHANNEL_LAYERS = {"default": {
        "BACKEND": "bellpull.django.layer.BellpullChannelLayer",
        "CONFIG": {
            "layer": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {...}},
            "groups": {"user_{id}": "user"},
        },
    }}

Everything goes to the present layer as it is. What is sent to a group that matches goes to the hub,
too, off the caller's path: by a bounded queue, so a hub that is down costs nothing here.
"""

from __future__ import annotations

import copy
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.module_loading import import_string

from bellpull.requests import Request

from . import rules
from .queueing import LENGTH, Queue, send

log = logging.getLogger("bellpull")


class BellpullChannelLayer:
    """Whatever is not here is the present layer's. `message`: a function (or its dotted name) that
    makes of a message what is sent (`title`, `message`, …), or None for nothing."""

    def __init__(
        self,
        layer: Mapping[str, Any],
        groups: Mapping[str, str],
        message: str | Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None,
        queue: int = LENGTH,
    ) -> None:
        self.layer: Any = import_string(layer["BACKEND"])(**layer.get("CONFIG", {}))
        self._rules = rules.Rules(groups)
        made = import_string(message) if isinstance(message, str) else message
        self._notification = made or rules.notification
        self.queue = Queue(queue)

    def __getattr__(self, name: str) -> Any:
        if name == "layer":  # not made yet
            raise AttributeError(name)
        return getattr(self.layer, name)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        request = self._request(group, message)
        try:
            await self.layer.group_send(group, message)
        finally:
            # Last: the thread that it wakes takes its share of the interpreter.
            if request is not None:
                self.queue.put(request)

    def _request(self, group: str, message: Mapping[str, Any]) -> Request | None:
        """What the hub is asked. Made before the present layer has the message, which may change it."""
        try:
            user = self._rules.user(group)
            body = self._notification(copy.deepcopy(message)) if user is not None else None
            return send(user, body, uuid.uuid4().hex) if user is not None and body else None
        except Exception:
            log.exception("A message to %s could not be told to the hub.", group)
            return None
