"""Python's WebSocket libraries, each by its own means."""

import asyncio
import queue
import socket
import struct
import threading
from urllib.parse import urlsplit

from seats import Seat, play


class Socket(Seat):
    """A family's token is in its URL, as its front ends have it; that of `bellpull.v1` is in the
    header that back ends use."""

    @property
    def is_v1(self):
        return self.dialect == "bellpull.v1"

    @property
    def url(self):
        if self.is_v1:
            since = f"?since={self.last}&epoch={self.epoch}" if self.epoch else ""
            return f"{self.base}/ws/{since}"
        since = f"&since={self.last}" if self.last else ""
        return f"{self.base}/ws/notifications/?token={self.token}&dialect={self.dialect}{since}"

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"} if self.is_v1 else {}

    @property
    def protocols(self):
        return ["bellpull.v1"] if self.is_v1 else []


def asynchronous(work):
    """A library of asyncio: a loop of its own in the seat's thread."""

    def run(seat):
        return asyncio.run(work(seat))

    return run


def from_afar(function):
    """Has the present loop call a coroutine function from another thread."""
    loop = asyncio.get_running_loop()
    return lambda *given: asyncio.run_coroutine_threadsafe(function(*given), loop).result(10)


def websockets_sync(seat):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    given = {"additional_headers": seat.headers, "subprotocols": seat.protocols or None}
    with connect(seat.url, proxy=None, **given) as line:
        seat.opened(line.send, lambda: line.close(1000))
        try:
            for text in line:
                seat.hear(text)
        except ConnectionClosed:
            pass
        return line.close_code


@asynchronous
async def websockets_asyncio(seat):
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    given = {"additional_headers": seat.headers, "subprotocols": seat.protocols or None}
    async with connect(seat.url, proxy=None, **given) as line:
        seat.opened(from_afar(line.send), from_afar(line.close))
        try:
            async for text in line:
                seat.hear(text)
        except ConnectionClosed:
            pass
        return line.close_code


def websocket_client(seat):
    import websocket

    given = {"header": seat.headers, "subprotocols": seat.protocols or None}
    line = websocket.create_connection(seat.url, enable_multithread=True, **given)
    seat.opened(line.send, lambda: line.send_close(1000))
    while True:
        try:
            opcode, data = line.recv_data()
        except websocket.WebSocketConnectionClosedException:
            return None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            line.shutdown()
            return struct.unpack("!H", data[:2])[0]
        seat.hear(data)


def websocket_client_app(seat):
    import websocket

    codes, opened = [], []

    def on_open(app):
        opened.append(app)
        seat.opened(app.send, app.close)

    app = websocket.WebSocketApp(
        seat.url,
        header=seat.headers,
        subprotocols=seat.protocols or None,
        on_open=on_open,
        on_message=lambda _, text: seat.hear(text),
        on_close=lambda _, code, reason: codes.append(code),
    )
    app.run_forever()
    if not opened:
        raise ConnectionError
    return codes[0]


@asynchronous
async def aiohttp(seat):
    from aiohttp import ClientSession, WSMsgType

    given = {"headers": seat.headers, "protocols": seat.protocols}
    async with ClientSession() as session, session.ws_connect(seat.url, **given) as line:
        seat.opened(from_afar(line.send_str), from_afar(line.close))
        async for message in line:
            if message.type == WSMsgType.TEXT:
                seat.hear(message.data)
        return line.close_code


@asynchronous
async def picows(seat):
    from picows import WSCloseCode, WSListener, WSMsgType, ws_connect

    class Listener(WSListener):
        def on_ws_frame(self, transport, frame):
            if frame.msg_type == WSMsgType.TEXT:
                seat.hear(frame.get_payload_as_utf8_text())
            elif frame.msg_type == WSMsgType.CLOSE:
                codes.append(int(frame.get_close_code()))
                transport.send_close(frame.get_close_code())
                transport.disconnect()

    codes = []
    headers = dict(seat.headers)
    if seat.protocols:
        headers["Sec-WebSocket-Protocol"] = ", ".join(seat.protocols)
    line, _ = await ws_connect(Listener, seat.url, extra_headers=headers)
    later = asyncio.get_running_loop().call_soon_threadsafe
    seat.opened(
        lambda text: later(line.send, WSMsgType.TEXT, text.encode()),
        lambda: later(line.send_close, WSCloseCode.OK),
    )
    await line.wait_disconnected()
    return codes[0] if codes else None


@asynchronous
async def tornado(seat):
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    request = HTTPRequest(seat.url, headers=seat.headers)
    line = await websocket_connect(request, subprotocols=seat.protocols or None)
    later = asyncio.get_running_loop().call_soon_threadsafe
    seat.opened(lambda text: later(line.write_message, text), lambda: later(line.close, 1000))
    while (text := await line.read_message()) is not None:
        seat.hear(text)
    return line.close_code


@asynchronous
async def autobahn(seat):
    from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

    loop = asyncio.get_running_loop()
    later, ended = loop.call_soon_threadsafe, loop.create_future()

    class Protocol(WebSocketClientProtocol):
        def onOpen(self):
            seat.opened(
                lambda text: later(self.sendMessage, text.encode()),
                lambda: later(self.sendClose, 1000),
            )

        def onMessage(self, payload, isBinary):
            seat.hear(payload)

        def onClose(self, wasClean, code, reason):
            if not ended.done():
                ended.set_result(code)

    at = urlsplit(seat.url)
    factory = WebSocketClientFactory(seat.url, headers=seat.headers, protocols=seat.protocols)
    factory.protocol = Protocol
    await loop.create_connection(factory, at.hostname, at.port)
    return await ended


def wsproto(seat):
    from wsproto import ConnectionType, WSConnection, events

    at = urlsplit(seat.url)
    line = socket.create_connection((at.hostname, at.port))
    state = WSConnection(ConnectionType.CLIENT)
    headers = [(name.encode(), value.encode()) for name, value in seat.headers.items()]
    target = f"{at.path}?{at.query}"
    request = events.Request(at.netloc, target, subprotocols=seat.protocols, extra_headers=headers)

    def send(event):
        line.sendall(state.send(event))

    send(request)
    parts = []
    try:
        while True:
            state.receive_data(line.recv(65_536) or None)
            for event in state.events():
                if isinstance(event, events.AcceptConnection):
                    seat.opened(
                        lambda text: send(events.TextMessage(text)),
                        lambda: send(events.CloseConnection(1000)),
                    )
                elif isinstance(event, events.RejectConnection):
                    raise ConnectionError(event.status_code)
                elif isinstance(event, events.Ping):
                    send(event.response())
                elif isinstance(event, events.TextMessage):
                    parts.append(event.data)
                    if event.message_finished:
                        seat.hear("".join(parts))
                        parts.clear()
                elif isinstance(event, events.CloseConnection):
                    if state.state.name == "REMOTE_CLOSING":
                        send(event.response())
                    return event.code
    finally:
        line.close()


def simple_websocket(seat):
    from simple_websocket import Client, ConnectionClosed

    line = Client.connect(seat.url, headers=seat.headers, subprotocols=seat.protocols or None)
    seat.opened(line.send, lambda: line.close(1000))
    try:
        while True:
            seat.hear(line.receive())
    except ConnectionClosed as closed:
        return closed.reason and int(closed.reason)


def trio_websocket(seat):
    import trio
    from trio_websocket import ConnectionClosed, open_websocket_url

    async def run():
        headers = [(name.encode(), value.encode()) for name, value in seat.headers.items()]
        given = {"subprotocols": seat.protocols or None, "extra_headers": headers}
        async with open_websocket_url(seat.url, **given) as line:
            here = trio.lowlevel.current_trio_token()
            seat.opened(
                lambda text: trio.from_thread.run(line.send_message, text, trio_token=here),
                lambda: trio.from_thread.run(line.aclose, 1000, trio_token=here),
            )
            try:
                while True:
                    seat.hear(await line.get_message())
            except ConnectionClosed as closed:
                return closed.reason and closed.reason.code

    return trio.run(run)


def lomond(seat):
    from lomond import WebSocket

    line = WebSocket(seat.url, protocols=seat.protocols)
    for name, value in seat.headers.items():
        line.add_header(name.encode(), value.encode())
    code, is_open = None, False
    for event in line.connect(ping_rate=0):
        if event.name == "ready":
            is_open = True
            seat.opened(line.send_text, lambda: line.close(1000))
        elif event.name == "text":
            seat.hear(event.text)
        elif event.name in ("closing", "closed"):
            code = event.code
    if not is_open:
        raise ConnectionError
    return code


def ws4py(seat):
    from ws4py.client.threadedclient import WebSocketClient

    class Line(WebSocketClient):
        code = None

        def received_message(self, message):
            seat.hear(message.data)

        def closed(self, code, reason=None):
            self.code = code

    line = Line(seat.url, protocols=seat.protocols, headers=list(seat.headers.items()))
    line.daemon = True
    line.connect()
    seat.opened(line.send, lambda: line.close(1000))
    line.run_forever()
    return line.code


def httpx_ws(seat):
    from httpx_ws import WebSocketDisconnect, WebSocketNetworkError, connect_ws

    given = {"headers": seat.headers, "subprotocols": seat.protocols or None}
    with connect_ws(seat.url.replace("ws:", "http:", 1), **given) as line:
        leaving = threading.Event()
        seat.opened(line.send_text, leaving.set)
        while not leaving.is_set():
            try:
                # A close by another thread would leave it waiting.
                seat.hear(line.receive_text(timeout=0.1))
            except queue.Empty:
                pass
            except WebSocketDisconnect as closed:
                return closed.code
            except WebSocketNetworkError:
                return None
        return 1000


@asynchronous
async def aiosonic(seat):
    from aiosonic import WebSocketClient
    from aiosonic.exceptions import ConnectionDisconnected

    given = {"headers": seat.headers, "subprotocols": seat.protocols}
    async with WebSocketClient() as client:
        line = await client.connect(seat.url, **given)
        seat.opened(from_afar(line.send_text), from_afar(line.close))
        try:
            while True:
                seat.hear(await line.receive_text())
        except ConnectionDisconnected:
            return None


def curl_cffi(seat):
    from curl_cffi import requests

    codes = []
    headers = dict(seat.headers)
    if seat.protocols:
        headers["Sec-WebSocket-Protocol"] = ", ".join(seat.protocols)
    line = requests.WebSocket(
        on_open=lambda line: seat.opened(line.send_str, line.close),
        on_message=lambda _, data: seat.hear(data),
        on_close=lambda _, code, reason: codes.append(code),
    )
    line.run_forever(seat.url, headers=headers)
    return codes[0] if codes else None


play(Socket, {name: work for name, work in list(globals().items()) if callable(work)})
