"""Python's clients of event streams, and curl, each by its own means. One that reconnects by itself
does; the others are opened again with the last id."""

import asyncio
import logging
import subprocess
from datetime import timedelta

from seats import Seat, play

logging.disable()  # of a hub that is away


class Stream(Seat):
    last_id = ""

    @property
    def url(self):
        return f"{self.base}/api/notifications/stream/?dialect={self.dialect}"

    @property
    def headers(self):
        """Those of a client that does not set the last id itself."""
        last = {"Last-Event-ID": self.last_id} if self.last_id else {}
        return {**self.authorization, **last}

    @property
    def authorization(self):
        return {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream"}

    def event(self, event_id, data):
        if event_id:
            self.last_id = event_id
        self.hear(data)


def httpx_sse(seat):
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(timeout=None) as client:
        with connect_sse(client, "GET", seat.url, headers=seat.headers) as source:
            for event in source.iter_sse():
                seat.event(event.id, event.data)


def sseclient_py(seat):
    import requests
    from sseclient import SSEClient

    response = requests.get(seat.url, headers=seat.headers, stream=True)
    response.raise_for_status()
    for event in SSEClient(response).events():
        seat.event(event.id, event.data)


def sseclient_py_urllib3(seat):
    import urllib3
    from sseclient import SSEClient

    get = urllib3.PoolManager(retries=False).request
    response = get("GET", seat.url, preload_content=False, headers=seat.headers)
    for event in SSEClient(response).events():
        seat.event(event.id, event.data)


def requests_sse(seat):
    from requests_sse import EventSource

    soon = timedelta(seconds=0.1)
    given = {"reconnection_time": soon, "latest_event_id": seat.last_id}
    with EventSource(seat.url, headers=seat.authorization, **given) as source:
        for event in source:
            seat.event(event.last_event_id, event.data)


def launchdarkly_eventsource(seat):
    from ld_eventsource import SSEClient
    from ld_eventsource.config import ConnectStrategy, ErrorStrategy

    client = SSEClient(
        ConnectStrategy.http(seat.url, headers=seat.authorization),
        initial_retry_delay=0.1,
        error_strategy=ErrorStrategy.always_continue(),
        last_event_id=seat.last_id or None,
    )
    for event in client.events:
        seat.event(event.last_event_id, event.data)


def aiohttp_sse_client2(seat):
    from aiohttp_sse_client2.client import EventSource

    async def run():
        async with EventSource(seat.url, headers=dict(seat.headers)) as source:
            async for event in source:
                seat.event(event.last_event_id, event.data)

    asyncio.run(run())


def aiosseclient(seat):
    import aiosseclient

    async def run():
        given = {"last_id": seat.last_id, "headers": seat.authorization}
        async for event in aiosseclient.aiosseclient(seat.url, raise_for_status=True, **given):
            seat.event(event.id, event.data)

    asyncio.run(run())


def curl(seat):
    command = ["curl", "--silent", "--no-buffer", "--fail", seat.url]
    for name, value in seat.headers.items():
        command += ["--header", f"{name}: {value}"]
    event_id = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout:
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                event_id = value
            elif name == "data":
                seat.event(event_id, value)
        if running.wait() == 7:
            raise ConnectionError


play(Stream, {name: work for name, work in list(globals().items()) if callable(work)})
