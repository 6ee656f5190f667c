"""Django tells a Bellpull hub: two settings and one call.

    INSTALLED_APPS = [..., "bellpull.django"]
    BELLPULL = {"URL": "https://hub.example.com", "SECRET": env("BELLPULL_JWT_SECRET")}

    from bellpull.django import notify

    notify([order.customer], "Order shipped", "It arrives tomorrow.", key=f"order-{order.pk}-shipped")
"""

from .sending import client, notify

__all__ = ["client", "notify"]
