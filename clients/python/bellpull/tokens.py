"""Tokens of back ends, signed with the hub's secret (HS256)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
import time

_NAME = re.compile(r"^[A-Za-z0-9._-]{1,80}$")
_EARLY_S = 60  # a token is replaced so long before its end


def service_token(secret: str, name: str, *, ttl: int = 3600, issuer: str | None = None) -> str:
    """A token for the back end `name`, as `bellpull token --service` makes: it may do all that a
    super admin may. The hub accepts no longer lives than `auth.service_ttl_s` (an hour)."""
    if not secret:
        raise ValueError("The secret is empty.")
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no service: 1 to 80 letters, digits, dots, - and _.")
    now = int(time.time())
    claims: dict[str, object] = {
        "user_id": 0,
        "token_type": "service",
        "service": name,
        "iat": now,
        "exp": now + ttl,
        "jti": secrets.token_urlsafe(16),
        "bellpull": True,
    }
    if issuer is not None:
        claims["iss"] = issuer
    parts = [_encoded({"typ": "JWT", "alg": "HS256"}), _encoded(claims)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _base64(signature)])


def _encoded(value: dict[str, object]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class ServiceToken:
    """A service token that is always good: for clients that live longer than a token."""

    def __init__(
        self, secret: str, name: str, *, ttl: int = 3600, issuer: str | None = None
    ) -> None:
        service_token(secret, name)  # refuses at once what could not be signed later
        self._secret, self._name, self._ttl, self._issuer = secret, name, ttl, issuer
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def __call__(self) -> str:
        with self._lock:
            now = time.monotonic()
            if now >= self._good_until:
                self._token = service_token(
                    self._secret, self._name, ttl=self._ttl, issuer=self._issuer
                )
                self._good_until = now + max(self._ttl - _EARLY_S, self._ttl / 2)
            return self._token
