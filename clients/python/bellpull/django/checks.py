"""`manage.py check`: settings at once, the hub itself with `--deploy`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from . import conf
from .rules import LAYER, Rules

_LOCAL = ("localhost", "127.0.0.1", "::1")


def register_all() -> None:
    register(settings_are_good)
    register(layers_are_good)
    register(hub_is_there, Tags.security, deploy=True)


def settings_are_good(app_configs: Any, **_: Any) -> list[CheckMessage]:
    return [Error(text, hint=hint, id=number) for number, text, hint in conf.problems()]


def layers_are_good(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """The layer's own settings."""
    found: list[CheckMessage] = []
    for name, layer in (getattr(settings, "CHANNEL_LAYERS", None) or {}).items():
        if layer.get("BACKEND") != LAYER:
            continue
        given = layer.get("CONFIG", {})
        if not isinstance(given.get("layer"), dict) or "BACKEND" not in given["layer"]:
            text = f"CHANNEL_LAYERS[{name!r}]['CONFIG']['layer'] is not the present layer."
            hint = 'It is what stood there before: {"BACKEND": …, "CONFIG": …}.'
            found.append(Error(text, hint=hint, id="bellpull.E007"))
        try:
            Rules(given.get("groups", {}))
        except ValueError as error:
            hint = 'Write {"user_{id}": "user"}.'
            found.append(Error(f"CHANNEL_LAYERS[{name!r}]: {error}", hint=hint, id="bellpull.E008"))
    return found


def hub_is_there(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """With `--deploy`: the line is encrypted, the hub answers, and it takes the token."""
    if conf.problems():
        return []
    from .sending import client

    given = conf.conf()
    found: list[CheckMessage] = []
    url = urlsplit(given.url)
    if url.scheme == "http" and url.hostname not in _LOCAL:
        text = "BELLPULL['URL'] is not https: the token may be read on the way."
        found.append(Warning(text, hint="Use https, or a line that is encrypted.", id="bellpull.W001"))
    what = "Is it running, and can this machine reach it?"
    try:
        status = client().status()
    except httpx.HTTPError as error:
        text = f"The hub at {given.url} does not answer ({type(error).__name__})."
        return [*found, Warning(text, hint=what, id="bellpull.W002")]
    if status in (401, 403):
        text = f"The hub at {given.url} does not accept this project's tokens."
        hint = "SECRET must be its jwt_secret, ISSUER its auth.issuer, and both clocks right."
        found.append(Warning(text, hint=hint, id="bellpull.W003"))
    elif status != 200:
        text = f"{given.url} answered {status}, as no hub does."
        found.append(Warning(text, hint="Is URL the hub's address?", id="bellpull.W004"))
    return found
