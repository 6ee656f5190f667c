"""The app: registers its checks."""

from __future__ import annotations

from django.apps import AppConfig


class BellpullConfig(AppConfig):
    name = "bellpull.django"
    label = "bellpull"
    verbose_name = "Bellpull"

    def ready(self) -> None:
        from . import checks

        checks.register_all()
