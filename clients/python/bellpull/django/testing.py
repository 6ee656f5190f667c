"""For tests: what would have been sent, as `django.core.mail.outbox` has mails.

    with outbox() as sent:
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/orders/7/ship/")
    self.assertEqual([one.title for one in sent], ["Order shipped"])

What is notified in a transaction is there when that commits. A `TestCase` never commits:
`captureOnCommitCallbacks(execute=True)`, or pytest-django's `django_capture_on_commit_callbacks`,
says when it would have.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType
from typing import Callable

from . import sending
from .sending import Message


class outbox(ContextDecorator):
    """Nothing goes to a hub inside; what would is in the list. Also a decorator."""

    sent: list[Message]
    _before: list[Callable[[Message], None]]

    def __init__(self) -> None:
        self.sent = []
        self._before = []

    def __enter__(self) -> list[Message]:
        self._before.append(sending.deliver)
        self.sent = []
        sending.deliver = self.sent.append
        return self.sent

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sending.deliver = self._before.pop()
