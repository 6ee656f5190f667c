"""A real SMTP server that does what it is told on its standard input, one word a line, and prints
its port first and then each e-mail that it took as a line of JSON.

ok      takes everything
later   answers each recipient with 451
refuse  answers each recipient with 550
away    answers each recipient with 421 and closes
hang    answers the text of an e-mail never
drop    takes the text of an e-mail and closes without a word
"""

import asyncio
import json
import sys

from aiosmtpd.smtp import SMTP


class Sink:
    word = "ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        answers = {
            "later": "451 4.3.0 Try again later",
            "refuse": "550 5.1.1 No such mailbox",
        }
        if self.word in answers:
            return answers[self.word]
        if self.word == "away":
            await server.push("421 4.3.2 Going away")
            server.transport.close()
            return "421 4.3.2 Going away"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode(),
            "word": self.word,
        }
        # What was dropped may have been taken too: nobody who was not told can know.
        if self.word != "hang":
            print(json.dumps(taken), flush=True)
        if self.word == "hang":
            await asyncio.Event().wait()
        if self.word == "drop":
            server.transport.close()
        return "250 2.0.0 Ok: queued"


async def main():
    loop = asyncio.get_running_loop()
    sink = Sink()
    server = await loop.create_server(lambda: SMTP(sink, hostname="sink"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while word := (await words.readline()).decode().strip():
        sink.word = word
        print(json.dumps({"told": word}), flush=True)


asyncio.run(main())
