"""A bounded queue and a thread that empties it to the hub, in order, one process' own."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from typing import Any

from bellpull import requests
from bellpull.errors import BellpullError, Throttled, Unavailable
from bellpull.requests import Request

from .sending import client

log = logging.getLogger("bellpull")

LENGTH = 10_000
FLUSH_S = 2.0  # when the process ends
PAUSES_S = (0.1, 5.0)  # between two tries at a hub that is down
SAY_EVERY_S = 60.0


class Queue:
    """`put` never waits and never raises."""

    def __init__(self, length: int = LENGTH) -> None:
        self._length = length
        self._lock = threading.Lock()
        self._said_at = -SAY_EVERY_S
        #: What was not sent: the queue was full, or the hub refused it.
        self.dropped = 0
        self.sent = 0
        self._start()
        atexit.register(self.flush, FLUSH_S)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._waiting: queue.Queue[Request] = queue.Queue(self._length)
        self._thread: threading.Thread | None = None

    def put(self, request: Request) -> None:
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._start()  # the parent's thread is not here, and what waits is the parent's
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="bellpull", daemon=True)
                    self._thread.start()
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            self._drop("the queue is full: the hub has been out of reach for long")

    def flush(self, within_s: float) -> bool:
        """Whether all was sent in time."""
        deadline = time.monotonic() + within_s
        while self._waiting.unfinished_tasks and self._pid == os.getpid():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True

    def _drop(self, why: str) -> None:
        self.dropped += 1
        now = time.monotonic()
        if now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            log.error("A message did not reach the hub: %s (%d so far)", why, self.dropped)

    def _run(self) -> None:
        while True:
            request = self._waiting.get()
            try:
                self._send(request)
            except Exception as error:  # a mistake of ours must not end the thread
                self._drop(f"{type(error).__name__}: {error}")
            finally:
                self._waiting.task_done()

    def _send(self, request: Request) -> None:
        pause = PAUSES_S[0]
        while True:
            try:
                client().ask(request)
            except (Unavailable, Throttled) as error:
                time.sleep(max(error.retry_after or 0, pause))
                pause = min(pause * 2, PAUSES_S[1])
            except BellpullError as error:
                return self._drop(str(error))
            else:
                self.sent += 1
                return None


def send(user: int, body: dict[str, Any], key: str) -> Request:
    """A send to one user."""
    options = {name: value for name, value in body.items() if name not in ("title", "message")}
    return requests.notify(
        [user], body["title"], body["message"], key=key, send_at=None, unknown=None, options=options
    )
