"""The setting `BELLPULL`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from bellpull.tokens import service_token

KEYS = {
    "URL": "the hub's address, such as https://hub.example.com",
    "SECRET": "the hub's jwt_secret (BELLPULL_JWT_SECRET)",
    "SERVICE": "the name in this project's tokens (django)",
    "ISSUER": "the hub's auth.issuer, where it has one",
    "TIMEOUT": "seconds that a request may take in all (5)",
}


@dataclass(frozen=True)
class Conf:
    url: str
    secret: str
    service: str = "django"
    issuer: str | None = None
    timeout: float = 5.0


def problems() -> list[tuple[str, str, str]]:
    """What is wrong with the setting: an id, what it is, and what to do."""
    given = getattr(settings, "BELLPULL", None)
    if not isinstance(given, dict):
        hint = 'Add BELLPULL = {"URL": "https://…", "SECRET": "…"} to the settings.'
        return [("bellpull.E001", "The setting BELLPULL is missing.", hint)]
    found = []
    for key in sorted(set(given) - set(KEYS), key=str):
        hint = f"The keys are {', '.join(KEYS)}."
        found.append(("bellpull.E002", f"BELLPULL has no key {key!r}.", hint))
    url = given.get("URL")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        text = f"BELLPULL['URL'] is {url!r}."
        found.append(("bellpull.E003", text, f"It is {KEYS['URL']}."))
    if not isinstance(given.get("SECRET"), str) or not given["SECRET"].strip():
        text = "BELLPULL['SECRET'] is missing."
        found.append(("bellpull.E004", text, f"It is {KEYS['SECRET']}; take it from the environment."))
    try:
        service_token("x", given.get("SERVICE", "django"))
    except (TypeError, ValueError) as error:
        found.append(("bellpull.E005", f"BELLPULL['SERVICE']: {error}", f"It is {KEYS['SERVICE']}."))
    timeout = given.get("TIMEOUT", 5)
    if not isinstance(timeout, (int, float)) or timeout <= 0:
        found.append(("bellpull.E006", f"BELLPULL['TIMEOUT'] is {timeout!r}.", KEYS["TIMEOUT"]))
    return found


def conf() -> Conf:
    wrong = problems()
    if wrong:
        raise ImproperlyConfigured(" ".join(f"{text} {hint}" for _, text, hint in wrong))
    given: dict[str, Any] = settings.BELLPULL
    return Conf(**{key.lower(): value for key, value in given.items()})
