"""Links from Django's admin to the hub's console."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.utils.html import format_html

from .conf import conf


class BellpullLinks:
    """Mixed into the `ModelAdmin` of users: a link to the console beside each."""

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)  # type: ignore[misc]
        return [*fields, "bellpull"] if obj is not None else fields

    def get_list_display(self, request: Any) -> Any:
        return [*super().get_list_display(request), "bellpull"]  # type: ignore[misc]

    def bellpull(self, obj: Any) -> str:
        """The user's account there."""
        query = urlencode({"search": obj.get_username()})
        url = f"{conf().url.rstrip('/')}/console/users?{query}"
        return str(format_html('<a href="{}">Bellpull</a>', url))
