"""What can go wrong: one class an outcome, and each names what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class BellpullError(Exception):
    """The hub did not do it. `status` is None where no answer came."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        fields: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = dict(fields or {})
        self.retry_after = retry_after


class Invalid(BellpullError):
    """The request: `fields` says what is wrong with which."""


class Unauthorized(BellpullError):
    """The token: expired, of another secret, or of a clock that is wrong."""


class Forbidden(BellpullError):
    """The token's right."""


class NotFound(BellpullError):
    """There is no such thing."""


class Conflict(BellpullError):
    """A name that is taken, or an Idempotency-Key that was used with another body."""


class Throttled(BellpullError):
    """Too many requests: `retry_after` seconds."""


class Unavailable(BellpullError):
    """No answer, or one that says "later". Whether it was done is not known: repeat it with its key."""


_BY_STATUS: dict[int, type[BellpullError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: Throttled,
}


def error_of(what: str, status: int, body: object, retry_after: float | None) -> BellpullError:
    """The error of an answer."""
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else BellpullError)
    fields: dict[str, Any] = {}
    code = None
    reasons = []
    if isinstance(body, dict):
        code = body.get("code")
        detail = body.get("detail")
        fields = {name: why for name, why in body.items() if name not in ("code", "detail")}
        reasons = [str(detail)] if detail else []
    for name, why in fields.items():
        text = "; ".join(map(str, why)) if isinstance(why, list) else str(why)
        reasons.append(f"{name}: {text}")
    message = f"{what} was refused ({status}): {' '.join(reasons) or 'no reason was given'}"
    return kind(message, status=status, code=code, fields=fields, retry_after=retry_after)
