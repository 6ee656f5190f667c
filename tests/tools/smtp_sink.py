"""A real SMTP server that does what it is told on its standard input, one word a line, and prints
its port first and then each e-mail that it took as a line of JSON.

ok      takes everything
later   answers each recipient with 451
refuse  answers each recipient with 550
away    answers each recipient with 421 and closes
hang    answers the text of an e-mail never
drop    takes the text of an e-mail and closes without a word

--tls starttls|smtps   with a certificate for 127.0.0.1, made now
--ca FILE              where the one who signed it is written
--login MECHANISM      PLAIN or LOGIN: takes e-mails of `desk` with the password `p@ss:word/1` alone
"""

import argparse
import asyncio
import datetime
import ipaddress
import json
import pathlib
import ssl
import sys
import tempfile

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = b"desk", b"p@ss:word/1"


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
            "encrypted": server.transport.get_extra_info("cipher") is not None,
        }
        # What was dropped may have been taken too: without an answer the client cannot know.
        if self.word != "hang":
            print(json.dumps(taken), flush=True)
        if self.word == "hang":
            await asyncio.Event().wait()
        if self.word == "drop":
            server.transport.close()
        return "250 2.0.0 Ok: queued"


def encryption(ca_file):
    """What TLS is spoken with: a certificate for 127.0.0.1, signed by an unknown CA."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, *extensions):
        builder = x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + datetime.timedelta(days=1),
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer_key, hashes.SHA256())

    def named(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = named("A CA of the tests"), named("A mail server")
    is_ca = (x509.BasicConstraints(ca=True, path_length=0), True)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    ca = certificate(ca_name, ca_key, ca_name, ca_key, is_ca)
    own = certificate(name, key, ca_name, ca_key, (here, False))
    pathlib.Path(ca_file).write_bytes(ca.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as chain:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain.write(own.public_bytes(Encoding.PEM) + pem)
        chain.flush()
        context.load_cert_chain(chain.name)
    return context


def login(server, session, envelope, mechanism, data):
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=is_right, handled=is_right)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=["starttls", "smtps"])
    parser.add_argument("--ca")
    parser.add_argument("--login", choices=["PLAIN", "LOGIN"])
    asked = parser.parse_args()
    context = encryption(asked.ca) if asked.tls else None
    rules = {}
    if asked.tls == "starttls":
        rules |= {"tls_context": context, "require_starttls": True}
    if asked.login:
        others = [one for one in ("PLAIN", "LOGIN") if one != asked.login]
        rules |= {"authenticator": login, "auth_required": True, "auth_require_tls": False}
        rules |= {"auth_exclude_mechanism": others}
    sink = Sink()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(sink, hostname="sink", **rules),
        "127.0.0.1",
        0,
        ssl=context if asked.tls == "smtps" else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while word := (await words.readline()).decode().strip():
        sink.word = word
        print(json.dumps({"told": word}), flush=True)


asyncio.run(main())
