"""The Python package: its clients, its Django app and its channel layer, on a real hub."""

import asyncio
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_project.settings")

import django

django.setup()

import httpx
from asgiref.sync import async_to_sync
from channels.layers import channel_layers, get_channel_layer
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TestCase, override_settings

import bellpull
from bellpull.django import client, notify
from bellpull.django.checks import hub_is_there, layers_are_good, settings_are_good
from bellpull.django.rules import Rules, notification
from bellpull.django.testing import outbox

HUB = json.loads(os.environ["HUB"])
PEOPLE = HUB["people"]
TOKEN = bellpull.service_token(HUB["secret"], "tests")
LONG_S = 30


def inbox(person):
    headers = {"Authorization": f"Bearer {person['token']}"}
    answer = httpx.get(f"{HUB['base']}/api/notifications/?page_size=100", headers=headers)
    answer.raise_for_status()
    return answer.json()["results"]


def titles(person):
    return [row["title"] for row in inbox(person)]


def until(condition):
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@contextmanager
def answering(*statuses):
    """A server that answers with these, one after the other; what it was asked."""
    asked, left = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.headers.get("Idempotency-Key"))
            status = left.pop(0)
            if status is None:
                return self.connection.close()
            body = b'{"id": 1, "recipients": 1, "scheduled": false}' if status == 202 else b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


class Clients(TestCase):
    def test_a_send_happens_once_with_its_key(self):
        with bellpull.Client(HUB["base"], TOKEN) as hub:
            first = hub.notify([PEOPLE[0]["id"]], "Once", "Text", key="k-1", metadata={"n": 7})
            again = hub.notify([PEOPLE[0]["id"]], "Once", "Text", key="k-1", metadata={"n": 7})
            self.assertEqual((first.id, first.recipients, first.replayed), (again.id, 1, False))
            self.assertTrue(again.replayed)
            with self.assertRaises(bellpull.Conflict):
                hub.notify([PEOPLE[0]["id"]], "Other", "Text", key="k-1")
        self.assertEqual(titles(PEOPLE[0]), ["Once"])

    def test_the_same_without_blocking(self):
        async def both():
            async with bellpull.AsyncClient(HUB["base"], TOKEN) as hub:
                ids = [PEOPLE[1]["id"]]
                sends = (hub.notify(ids, f"No. {n}", "Text") for n in range(10))
                return await asyncio.gather(*sends)

        self.assertEqual(len({sent.id for sent in asyncio.run(both())}), 10)
        self.assertEqual(len(titles(PEOPLE[1])), 10)

    def test_errors_name_what_was_refused(self):
        with bellpull.Client(HUB["base"], TOKEN) as hub:
            with self.assertRaisesRegex(bellpull.Invalid, "'Hi'.*400.*priority") as caught:
                hub.notify([1], "Hi", "Text", priority="URGENT")
            self.assertIn("priority", caught.exception.fields)
            with self.assertRaises(bellpull.Invalid):
                hub.notify([987654321], "Hi", "Text")
        for token in ("nothing", bellpull.service_token("another secret", "tests")):
            with bellpull.Client(HUB["base"], token) as hub:
                self.assertRaises(bellpull.Unauthorized, hub.notify, [1], "Hi", "Text")
        with bellpull.Client(HUB["base"], PEOPLE[0]["token"]) as hub:
            self.assertRaises(bellpull.Forbidden, hub.notify, [1], "Hi", "Text")
        self.assertRaises(ValueError, bellpull.Client, "hub.example.com", TOKEN)
        self.assertRaises(ValueError, bellpull.service_token, HUB["secret"], "two words")

    def test_only_a_send_with_a_key_is_repeated(self):
        with answering(503, None, 202) as (url, asked), bellpull.Client(url, TOKEN) as hub:
            hub.notify([1], "Hi", "Text", key="k")
            self.assertEqual(asked, ["k", "k", "k"])
        for status in (503, None):
            with answering(status) as (url, asked), bellpull.Client(url, TOKEN) as hub:
                self.assertRaises(bellpull.Unavailable, hub.notify, [1], "Hi", "Text")
                self.assertEqual(asked, [None])

    def test_a_hub_that_accepts_and_says_nothing_is_given_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with bellpull.Client(url, TOKEN, timeout=0.3) as hub:
                with self.assertRaisesRegex(bellpull.Unavailable, "no answer from http"):
                    hub.notify([1], "Hi", "Text", key="k")

            async def later():
                async with bellpull.AsyncClient(url, TOKEN, timeout=0.3) as hub:
                    await hub.notify([1], "Hi", "Text", key="k")

            self.assertRaises(bellpull.Unavailable, asyncio.run, later())

    def test_a_user_is_brought_to_a_state(self):
        with bellpull.Client(HUB["base"], TOKEN) as hub:
            made = hub.put_user(700_001, "from_django", email="a@example.com", full_name="A")
            again = hub.put_user(700_001, "from_django", full_name="B")
            self.assertEqual((made.id, again.raw["full_name"]), (700_001, "B"))


class Notify(TestCase):
    def test_what_is_rolled_back_is_never_told_and_what_commits_is(self):
        user = get_user_model()(pk=PEOPLE[2]["id"])
        with outbox() as sent, self.captureOnCommitCallbacks(execute=True):
            notify([user], "Shipped", "Text", key="k", metadata={"order": 7})
            try:
                with transaction.atomic():
                    notify(user, "Never", "Text")
                    raise ValueError
            except ValueError:
                pass
            self.assertEqual(sent, [])
        self.assertEqual([(one.recipients, one.title, one.key) for one in sent], [([user.pk], "Shipped", "k")])
        self.assertEqual(sent[0].options, {"metadata": {"order": 7}})

    def test_it_reaches_the_hub_and_a_hub_that_is_down_costs_the_request_nothing(self):
        with self.captureOnCommitCallbacks(execute=True):
            notify([PEOPLE[2]["id"]], "Here", "Text")
        self.assertEqual(titles(PEOPLE[2]), ["Here"])
        done = []
        with override_settings(BELLPULL={**HUB_SETTINGS, "URL": "http://127.0.0.1:9"}):
            with self.assertLogs("bellpull", logging.ERROR) as logs:
                with self.captureOnCommitCallbacks(execute=True):
                    notify([1], "Lost", "Text")
                    transaction.on_commit(lambda: done.append(True))
            self.assertIn("'Lost': no answer from http://127.0.0.1:9", logs.output[0])
            self.assertEqual(done, [True])
            self.assertRaises(bellpull.Unavailable, client().notify, [1], "Lost", "Text")


class Wheel(TestCase):
    def test_the_lines_of_the_readme_run_with_the_built_wheel(self):
        package = Path(__file__).parents[2] / "clients/python"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "source")
            shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__"))
            pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
            here = ["--no-build-isolation", "--no-deps", "--no-index"]
            subprocess.run([*pip, "wheel", *here, "--wheel-dir", folder, source], check=True)
            (wheel,) = Path(folder).glob("*.whl")
            fresh = Path(folder, "fresh")
            subprocess.run([*pip, "install", *here[1:], "--target", fresh, wheel], check=True)
            self.assertTrue(Path(fresh, "bellpull/py.typed").exists())
            lines = (package / "README.md").read_text().split("```python\n")[1].split("```")[0]
            own = {"PYTHONPATH": str(fresh), "BELLPULL_URL": HUB["base"], "BELLPULL_JWT_SECRET": HUB["secret"]}
            said = subprocess.run(
                [sys.executable, "-c", lines.replace("[1]", f"[{PEOPLE[4]['id']}]")],
                env=os.environ | own, cwd=folder, check=True, capture_output=True, text=True,
            )
            self.assertRegex(said.stdout, r"^\d+ 1\n$")
        self.assertEqual(titles(PEOPLE[4]), ["Order shipped"])


HUB_SETTINGS = {"URL": HUB["base"], "SECRET": HUB["secret"]}


class Checks(TestCase):
    def ids(self, check):
        return [one.id for one in check(None)]

    def test_settings_are_checked_at_start(self):
        call_command("check")
        self.assertEqual(self.ids(settings_are_good), [])
        for given, wanted in [
            (None, ["bellpull.E001"]),
            ({**HUB_SETTINGS, "Url": "x"}, ["bellpull.E002"]),
            ({"URL": "hub.example.com", "SECRET": " "}, ["bellpull.E003", "bellpull.E004"]),
            ({**HUB_SETTINGS, "SERVICE": "two words", "TIMEOUT": 0}, ["bellpull.E005", "bellpull.E006"]),
        ]:
            with override_settings(BELLPULL=given):
                self.assertEqual(self.ids(settings_are_good), wanted)
        name = "bellpull.django.layer.BellpullChannelLayer"
        for config in ({}, {"layer": {"BACKEND": "x"}, "groups": {"user_{id}": "room"}}):
            with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": name, "CONFIG": config}}):
                self.assertIn("bellpull.E008", self.ids(layers_are_good))

    def test_the_hub_is_checked_before_a_deployment(self):
        self.assertEqual(self.ids(hub_is_there), [])
        for change, wanted in [
            ({"URL": "http://127.0.0.1:9"}, "bellpull.W002"),
            ({"SECRET": "another secret"}, "bellpull.W003"),
        ]:
            with override_settings(BELLPULL={**HUB_SETTINGS, **change}):
                self.assertEqual(self.ids(hub_is_there), [wanted])


class Layer(TestCase):
    def tearDown(self):
        channel_layers.backends.clear()

    def test_everything_reaches_the_present_layer_and_what_matches_the_hub(self):
        user = PEOPLE[3]
        layer = get_channel_layer()

        async def talk():
            own = await layer.new_channel()
            await layer.group_add(f"user_{user['id']}", own)
            await layer.group_add("news", own)
            for n in range(20):
                message = {"type": "notify.message", "notification": {"title": f"No. {n}", "body": "Text"}}
                await layer.group_send(f"user_{user['id']}", message)
            await layer.group_send("news", {"type": "notify.message", "message": "To all"})
            await layer.send(own, {"type": "direct", "x": 1})
            heard = [await asyncio.wait_for(layer.receive(own), LONG_S) for _ in range(22)]
            await layer.group_discard("news", own)
            return heard

        heard = async_to_sync(talk)()
        # No order is promised there between messages of one moment.
        self.assertEqual(len([one for one in heard if "notification" in one]), 20)
        self.assertIn({"type": "direct", "x": 1}, heard)
        self.assertTrue(layer.queue.flush(LONG_S))
        rows = inbox(user)
        self.assertEqual([row["title"] for row in rows], [f"No. {n}" for n in reversed(range(20))])
        self.assertEqual(rows[0]["metadata"], {"title": "No. 19", "body": "Text"})

    def test_a_forked_process_sends_by_itself(self):
        layer = get_channel_layer("default")
        user = PEOPLE[5]

        def say(title):
            async_to_sync(layer.group_send)(f"user_{user['id']}", {"type": "x", "message": title})

        say("Parent")
        self.assertTrue(layer.queue.flush(LONG_S))
        child = os.fork()
        if child == 0:
            say("Child")
            os._exit(0 if layer.queue.flush(LONG_S) else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(titles(user), ["Child", "Parent"])

    def test_a_hub_that_is_down_costs_the_sender_nothing(self):
        figures = {}
        message = {"type": "notify.message", "title": "T", "message": "M", "id": 7}
        layers = {"present": get_channel_layer("present"), "hub up": get_channel_layer()}

        async def time_of(layer):
            await layer.group_send("user_0", message)
            begun = time.perf_counter()
            for _ in range(200):
                await layer.group_send("user_0", message)
            return (time.perf_counter() - begun) / 200 * 1e6

        for name, layer in layers.items():
            figures[name] = async_to_sync(time_of)(layer)
        channel_layers.backends.clear()
        with override_settings(BELLPULL={**HUB_SETTINGS, "URL": "http://127.0.0.1:9"}):
            down = get_channel_layer()
            figures["hub down"] = async_to_sync(time_of)(down)
            for _ in range(down.queue._length + 5):
                down.queue.put(object())  # it is full, and still nobody waits
            self.assertGreater(down.queue.dropped, 0)
            figures["hub down, full"] = async_to_sync(time_of)(down)
            down.queue._waiting.queue.clear()
        print("  µs a group_send:", {name: round(figure) for name, figure in figures.items()})

    def test_what_of_a_message_is_a_notification(self):
        rules = Rules({"user_{id}": "user", "u.{id}.all": "user"})
        found = [rules.user(one) for one in ("user_7", "u.7.all", "user_x", "user_7_x", "u-7-all")]
        self.assertEqual(found, [7, 7, None, None, None])
        for message, wanted in [
            ({"type": "x.y", "message": "Hi"}, {"title": "Hi", "message": "Hi", "metadata": {"message": "Hi"}}),
            (
                {"type": "x", "data": {"subject": "S", "text": "T", "link": "/a/", "event": "paid"}},
                {"title": "S", "message": "T", "action_url": "/a/", "event": "paid"},
            ),
            ({"type": "typing", "user": 3}, None),
        ]:
            made = notification(message)
            if wanted and "metadata" not in wanted:
                made.pop("metadata")
            self.assertEqual(made, wanted)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=1, keepdb=False)
    suite = runner.test_loader.loadTestsFromModule(sys.modules["__main__"])
    runner.setup_test_environment()
    databases = runner.setup_databases()
    result = runner.run_suite(suite)
    runner.teardown_databases(databases)
    sys.exit(not result.wasSuccessful())
