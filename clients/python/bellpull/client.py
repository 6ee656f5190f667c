"""The two clients, one for each way to wait. They do the same; what they ask is in `requests`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal

import httpx

from . import requests
from .requests import TIMEOUT, TRIES, Recipients, Request, Sent, Token, User

Unknown = Literal["reject", "skip", "create"]


def _base(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address of a hub: it begins with http:// or https://.")
    return url.rstrip("/") + "/"


class Client:
    """A hub's client. It may be shared by threads; `close()` it, or use it in a `with`.

    `token`: text, or what is called for each request (`ServiceToken`). Connecting takes 2 seconds at
    most and a whole request 5, unless `timeout` says otherwise. Only requests with a key, and those
    that say what is to be, are repeated.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        timeout: httpx.Timeout | float = TIMEOUT,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = _base(url)
        self._token = token
        self._tries = tries
        self._http = httpx.Client(base_url=self.url, timeout=timeout, transport=transport)
        self._limit_s = _limit(timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def notify(
        self,
        recipients: Recipients,
        title: str,
        message: str,
        *,
        key: str | None = None,
        type: str | None = None,
        event: str | None = None,
        action_url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        channels: Sequence[str] | None = None,
        priority: str | None = None,
        send_at: datetime | str | None = None,
        critical: bool | None = None,
        ticket: Mapping[str, Any] | None = None,
        unknown: Unknown | None = None,
    ) -> Sent:
        """Notifies users; stored when it returns. With the same `key` it happens once."""
        options = {
            "type": type, "event": event, "action_url": action_url, "metadata": metadata,
            "channels": channels, "priority": priority, "critical": critical, "ticket": ticket,
        }  # fmt: skip
        request = requests.notify(
            recipients, title, message, key=key, send_at=send_at, unknown=unknown, options=options
        )
        response = self._ask(request)
        return requests.sent(requests.read(request, response), response.headers)

    def put_user(
        self,
        user_id: int,
        username: str,
        *,
        email: str | None = None,
        full_name: str | None = None,
        role: str | None = None,
        is_active: bool | None = None,
        key: str | None = None,
    ) -> User:
        """Makes the account with this id, or brings it to this state."""
        options = {"email": email, "full_name": full_name, "role": role, "is_active": is_active}
        request = requests.put_user(user_id, username, options, key)
        body = requests.read(request, self._ask(request))
        return User(body["id"], body["username"], body)

    def ask(self, request: Request) -> dict[str, Any]:
        """Asks anything else of the hub; its answer."""
        return requests.read(request, self._ask(request))

    def _ask(self, request: Request) -> httpx.Response:
        deadline = time.monotonic() + self._limit_s
        for attempt in range(self._tries):
            left = deadline - time.monotonic()
            is_last = attempt + 1 == self._tries
            try:
                response = self._http.request(
                    request.method,
                    request.path,
                    json=request.body,
                    headers=request.headers(self._token),
                )
            except httpx.HTTPError as error:
                pause = requests.pause_s(attempt, None)
                if is_last or not requests.is_worth_repeating(request, None) or left < 0:
                    raise requests.lost(request, error, self.url) from error
            else:
                if is_last or not requests.is_worth_repeating(request, response.status_code):
                    return response
                pause = requests.pause_s(attempt, requests.retry_after(response))
                if pause is None or pause > left:
                    return response
            time.sleep(pause or 0)
        raise AssertionError("tries is at least 1")


class AsyncClient:
    """The same for `async` code: `async with AsyncClient(url, token) as client`."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        timeout: httpx.Timeout | float = TIMEOUT,
        tries: int = TRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = _base(url)
        self._token = token
        self._tries = tries
        self._http = httpx.AsyncClient(base_url=self.url, timeout=timeout, transport=transport)
        self._limit_s = _limit(timeout)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def notify(
        self,
        recipients: Recipients,
        title: str,
        message: str,
        *,
        key: str | None = None,
        type: str | None = None,
        event: str | None = None,
        action_url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        channels: Sequence[str] | None = None,
        priority: str | None = None,
        send_at: datetime | str | None = None,
        critical: bool | None = None,
        ticket: Mapping[str, Any] | None = None,
        unknown: Unknown | None = None,
    ) -> Sent:
        """Notifies users; stored when it returns. With the same `key` it happens once."""
        options = {
            "type": type, "event": event, "action_url": action_url, "metadata": metadata,
            "channels": channels, "priority": priority, "critical": critical, "ticket": ticket,
        }  # fmt: skip
        request = requests.notify(
            recipients, title, message, key=key, send_at=send_at, unknown=unknown, options=options
        )
        response = await self._ask(request)
        return requests.sent(requests.read(request, response), response.headers)

    async def put_user(
        self,
        user_id: int,
        username: str,
        *,
        email: str | None = None,
        full_name: str | None = None,
        role: str | None = None,
        is_active: bool | None = None,
        key: str | None = None,
    ) -> User:
        """Makes the account with this id, or brings it to this state."""
        options = {"email": email, "full_name": full_name, "role": role, "is_active": is_active}
        request = requests.put_user(user_id, username, options, key)
        body = requests.read(request, await self._ask(request))
        return User(body["id"], body["username"], body)

    async def ask(self, request: Request) -> dict[str, Any]:
        """Asks anything else of the hub; its answer."""
        return requests.read(request, await self._ask(request))

    async def _ask(self, request: Request) -> httpx.Response:
        deadline = time.monotonic() + self._limit_s
        for attempt in range(self._tries):
            is_last = attempt + 1 == self._tries
            left = max(deadline - time.monotonic(), 0.001)
            try:
                asked = self._http.request(
                    request.method,
                    request.path,
                    json=request.body,
                    headers=request.headers(self._token),
                )
                response = await asyncio.wait_for(asked, left)
            except (httpx.HTTPError, asyncio.TimeoutError) as error:
                failure = error if isinstance(error, httpx.HTTPError) else httpx.ReadTimeout(
                    f"not within {self._limit_s:g} s")
                pause = requests.pause_s(attempt, None)
                is_over = time.monotonic() >= deadline
                if is_last or is_over or not requests.is_worth_repeating(request, None):
                    raise requests.lost(request, failure, self.url) from error
            else:
                if is_last or not requests.is_worth_repeating(request, response.status_code):
                    return response
                pause = requests.pause_s(attempt, requests.retry_after(response))
                if pause is None or pause > left:
                    return response
            await asyncio.sleep(pause or 0)
        raise AssertionError("tries is at least 1")


def _limit(timeout: httpx.Timeout | float) -> float:
    """How long all of a request may take, with its repetitions."""
    if not isinstance(timeout, httpx.Timeout):
        return timeout
    return timeout.read if timeout.read is not None else float("inf")
