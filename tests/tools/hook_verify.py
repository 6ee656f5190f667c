"""Verifies a webhook's calls as its owner would, by Python's own hmac.

A line of JSON in: {"secret", "signature", "body" (base64)}; a line out: whether one of the
signatures is made with that secret, how many there are, and the time that was signed.
"""

import base64
import hashlib
import hmac
import json
import sys

for line in sys.stdin:
    call = json.loads(line)
    parts = [part.partition("=") for part in call["signature"].split(",")]
    time = next(value for name, _, value in parts if name == "t")
    signatures = [value for name, _, value in parts if name == "v1"]
    said = time.encode() + b"." + base64.b64decode(call["body"])
    wanted = hmac.new(call["secret"].encode(), said, hashlib.sha256).hexdigest()
    is_good = any(hmac.compare_digest(wanted, signature) for signature in signatures)
    print(json.dumps({"good": is_good, "count": len(signatures), "time": int(time)}), flush=True)
