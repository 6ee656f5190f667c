"""A small project, as the tests' programs and the documentation's readers have it."""

import json
import os
import tempfile

HUB = json.loads(os.environ["HUB"])
SECRET_KEY = "of the tests alone"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(tempfile.mkdtemp(), "db")}}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "channels",
    "bellpull.django",
]
BELLPULL = {"URL": HUB["base"], "SECRET": HUB["secret"]}
PRESENT = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
if "TEST_REDIS" in os.environ:
    CONFIG = {"hosts": [os.environ["TEST_REDIS"]], "prefix": f"test-{os.getpid()}"}
    PRESENT = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": CONFIG}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "bellpull.django.layer.BellpullChannelLayer",
        "CONFIG": {"layer": PRESENT, "groups": {"user_{id}": "user"}},
    },
    "present": PRESENT,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
