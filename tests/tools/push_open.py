"""A browser as a push service's other end sees it: prints its keys as a line of JSON, then opens
each push that it is given as a line of JSON (`body` in base64, `authorization`), and prints what it
says and what its sender has signed. By another implementation (`http_ece`) than the hub's.
"""

import base64
import json
import os
import sys

import http_ece
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def pack(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unpack(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(authorization):
    """What a VAPID header says, if its own key has signed it."""
    scheme, rest = authorization.split(" ", 1)
    assert scheme == "vapid", scheme
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    head, claims, signature = parts["t"].split(".")
    raw = unpack(signature)
    numbers = [int.from_bytes(raw[at : at + 32], "big") for at in (0, 32)]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unpack(parts["k"]))
    text = f"{head}.{claims}".encode()
    key.verify(encode_dss_signature(*numbers), text, ec.ECDSA(hashes.SHA256()))
    head, claims = (json.loads(unpack(part)) for part in (head, claims))
    return {"head": head, "claims": claims, "key": parts["k"]}


own = ec.generate_private_key(ec.SECP256R1())
auth = os.urandom(16)
public = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
print(json.dumps({"p256dh": pack(public), "auth": pack(auth)}), flush=True)
for line in sys.stdin:
    push = json.loads(line)
    text = http_ece.decrypt(
        base64.b64decode(push["body"]), private_key=own, auth_secret=auth, version="aes128gcm"
    )
    opened = {"text": json.loads(text), "signed": signed(push["authorization"])}
    print(json.dumps(opened), flush=True)
