"""The signature of webhooks: HMAC-SHA256 over "timestamp.body", with a secret that nobody has to store.

A channel's secret is derived from the installation's key and the channel's salt: the database alone does not hold it.
"""

import base64
import hashlib
import hmac

from django.utils.crypto import salted_hmac

HEADER = "X-Dex-Signature"


def secret_of(salt: str) -> str:
    """The signing secret of a channel with this salt, as its receiver is given it."""
    digest = salted_hmac("runs.alerts.signing", salt, algorithm="sha256").digest()
    return "dexwh_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of X-Dex-Signature. In: `timestamp`, seconds since 1970, UTC."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signed}"
