"""Client of a Bellpull notification hub.

    import bellpull

    client = bellpull.Client("https://hub.example.com", bellpull.service_token(SECRET, "shop"))
    client.notify([42], "Order shipped", "It arrives tomorrow.", key="order-7-shipped")
"""

from .client import AsyncClient, Client
from .errors import (
    BellpullError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Throttled,
    Unauthorized,
    Unavailable,
)
from .requests import Recipients, Sent, User
from .tokens import ServiceToken, service_token

__all__ = [
    "AsyncClient",
    "BellpullError",
    "Client",
    "Conflict",
    "Forbidden",
    "Invalid",
    "NotFound",
    "Recipients",
    "Sent",
    "ServiceToken",
    "Throttled",
    "Unauthorized",
    "Unavailable",
    "User",
    "service_token",
]
