"""`notify`: after the transaction, never in it."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Union

import httpx
from django.core.signals import setting_changed
from django.db import transaction

from bellpull.client import Client
from bellpull.tokens import ServiceToken

from .conf import conf

log = logging.getLogger("bellpull")


class HasKey(Protocol):
    """A user, or whatever else has the primary key of one."""

    @property
    def pk(self) -> Any: ...


Recipients = Union[Iterable[Union[int, HasKey]], int, HasKey, Mapping[str, Any], Literal["all"]]


@dataclass(frozen=True)
class Message:
    """What `notify` was given, as it goes to the hub."""

    recipients: Any
    title: str
    message: str
    key: str
    options: Mapping[str, Any] = field(default_factory=dict)


class DjangoClient(Client):
    """The project's client, with what the checks ask."""

    def status(self) -> int:
        """What a harmless question is answered with: whether the token is accepted."""
        token = self._token() if callable(self._token) else self._token
        headers = {"Authorization": f"Bearer {token}"}
        return self._http.get("api/channels/", headers=headers).status_code


_lock = threading.Lock()
_client: DjangoClient | None = None


def client() -> DjangoClient:
    """The project's client, one a process: a fork may not use its parent's sockets."""
    global _client
    with _lock:
        if _client is None:
            given = conf()
            token = ServiceToken(given.secret, given.service, issuer=given.issuer)
            limit = httpx.Timeout(given.timeout, connect=min(2.0, given.timeout))
            _client = DjangoClient(given.url, token, timeout=limit)
        return _client


def _after_fork() -> None:
    """Another thread of the parent may have held the lock, and its sockets are the parent's."""
    global _lock, _client
    _lock, _client = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _forget(*, setting: str, **_: Any) -> None:
    global _client
    if setting == "BELLPULL":
        with _lock:  # a thread may be making one of the old settings
            _client = None


setting_changed.connect(_forget, dispatch_uid="bellpull")


def _deliver(message: Message) -> None:
    client().notify(
        message.recipients, message.title, message.message, key=message.key, **message.options
    )


#: What sends; `testing.outbox` puts another in its place.
deliver: Callable[[Message], None] = _deliver


def ids_of(recipients: Recipients) -> Any:
    """The ids of users, or what else the hub understands as it is."""
    if isinstance(recipients, (str, Mapping)):
        return recipients
    several = recipients if isinstance(recipients, Iterable) else [recipients]
    return [one if isinstance(one, int) else one.pk for one in several]


def notify(
    recipients: Recipients,
    title: str,
    message: str,
    *,
    key: str | None = None,
    using: str | None = None,
    **options: Any,
) -> None:
    """Notifies users (or their ids, a queryset, `{"role": …}`, `"all"`) when the transaction
    commits, or at once where there is none; never when it is rolled back. `options` are those of
    `bellpull.Client.notify`.

    It does not raise when the hub cannot be reached or refuses it: that is logged (`bellpull`),
    and the request goes on. `client().notify(…)` raises.
    """
    one = Message(ids_of(recipients), str(title), str(message), key or uuid.uuid4().hex, options)

    def send() -> None:
        try:
            deliver(one)
        except Exception as error:
            log.error("%s", error, extra={"bellpull_key": one.key})

    transaction.on_commit(send, using=using)
