"""Requests and answers, the same for both clients."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, Union
from urllib.parse import quote

import httpx

from .errors import BellpullError, Unavailable, error_of

#: Ids of users, a role's or a project's, or all.
Recipients = Union[Iterable[int], Mapping[str, Any], Literal["all"]]
Token = Union[str, Callable[[], str]]

TRIES = 3
TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_LATER = (408, 425, 429, 500, 502, 503, 504)
_PAUSE_MAX_S = 2.0


@dataclass(frozen=True)
class Sent:
    """A send that the hub has stored."""

    id: int
    recipients: int
    scheduled: bool
    #: Whether this key was known: nothing was done again.
    replayed: bool = False
    #: Ids without an account, where they are skipped.
    skipped: tuple[int, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class User:
    """An account."""

    id: int
    username: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Request:
    """What is asked, and what it is called in errors."""

    what: str
    method: str
    path: str
    body: Mapping[str, Any]
    key: str | None

    def headers(self, token: Token) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {token() if callable(token) else token}"}
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        return headers

    def checked(self) -> Request:
        if self.key is not None and not (
            0 < len(self.key) <= 255 and all("!" <= one <= "~" for one in self.key)
        ):
            raise ValueError(f"{self.key!r} is no key: 1 to 255 visible ASCII characters.")
        return self


def is_worth_repeating(request: Request, status: int | None) -> bool:
    """Without a key, or a method that says what is to be, a repetition might do it twice."""
    is_safe = request.key is not None or request.method == "PUT"
    return is_safe and (status is None or status in _LATER)


def pause_s(attempt: int, retry_after: float | None) -> float | None:
    """How long to wait before the next try; None: too long for a caller who waits."""
    if retry_after is not None:
        return retry_after if retry_after <= _PAUSE_MAX_S else None
    return random.uniform(0.05, 0.2 * 2.0**attempt)


def lost(request: Request, error: httpx.HTTPError, url: str) -> BellpullError:
    """The error where no answer came."""
    kind = type(error).__name__
    return Unavailable(f"{request.what}: no answer from {url} ({kind}: {error})".rstrip(": "))


def read(request: Request, response: httpx.Response) -> dict[str, Any]:
    """The answer's body, or the error that it is."""
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = {}
    if response.is_success and isinstance(body, dict):
        return body
    raise error_of(request.what, response.status_code, body, retry_after(response))


def retry_after(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None


def _time(at: datetime | str) -> str:
    if isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise ValueError("send_at needs a time zone: a naive time is another time elsewhere.")
    return at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def notify(
    recipients: Recipients,
    title: str,
    message: str,
    *,
    key: str | None,
    send_at: datetime | str | None,
    unknown: Literal["reject", "skip", "create"] | None,
    options: Mapping[str, Any],
) -> Request:
    """A send. What is None is not sent, and the hub's default holds."""
    if isinstance(recipients, int):
        recipients = [recipients]
    whom = recipients if isinstance(recipients, (str, Mapping)) else list(recipients)
    body: dict[str, Any] = {"recipients": whom, "title": title, "message": message}
    if send_at is not None:
        body["send_at"] = _time(send_at)
    if unknown is not None:
        body["unknown"] = unknown
    body.update({name: value for name, value in options.items() if value is not None})
    what = f"The notification {title!r}"
    return Request(what, "POST", "api/notifications/", body, key).checked()


def sent(body: Mapping[str, Any], response_headers: Mapping[str, str]) -> Sent:
    return Sent(
        id=body["id"],
        recipients=body["recipients"],
        scheduled=body["scheduled"],
        replayed=response_headers.get("Idempotency-Replayed") == "true",
        skipped=tuple(body.get("skipped") or ()),
        raw=body,
    )


def put_user(user_id: int, username: str, options: Mapping[str, Any], key: str | None) -> Request:
    """An account's state."""
    fields = {name: value for name, value in options.items() if value is not None}
    path = f"api/users/{quote(str(user_id))}/"
    return Request(f"The user {user_id}", "PUT", path, {"username": username, **fields}, key).checked()
