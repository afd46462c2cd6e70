"""What ModI has signed beside a voucher: who on our side asks (AUDIT_REST_02), and what is sent (INTEGRITY_REST_02)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from typing import Any

from pydantic import Field

from bus.adapter import Call, Settings, Text

EVIDENCE, SIGNATURE = "Agid-JWT-TrackingEvidence", "Agid-JWT-Signature"
_EARLIER = 5
"""Seconds by which ``nbf`` is before now: the other clock may be behind ours."""


class Audit(Settings):
    """Who on our side asks. It leaves the house, so it names nobody: whoever reads our log finds the person by it."""

    user: str = Field("", description="userID, the same for all; empty: the id of the message, by which our log says whom it is about")
    location: Text = Field(description="userLocation: the workstation, or the machine, from which is asked")
    loa: Text = Field(description="LoA: how surely the user was identified, such as LOA3")


def claims(ctx: Call, audience: str, lasts: int, **more: Any) -> dict[str, Any]:
    """What every signed header says: for whom, and for how many seconds; its ``jti`` is used once."""
    now = int(ctx.now.timestamp())
    return {"aud": audience, "iat": now, "nbf": now - _EARLIER, "exp": now + lasts, "jti": str(uuid.uuid4()), **more}


def tracked(ctx: Call, audit: Audit) -> dict[str, Any]:
    """What a tracking evidence says more."""
    nonce = 10**12 + secrets.randbelow(9 * 10**12)
    return {"dnonce": nonce, "userID": audit.user or ctx.message_id, "userLocation": audit.location, "LoA": audit.loa}


def digest(content: bytes) -> str:
    """The header ``Digest`` of a body (RFC 3230)."""
    return "SHA-256=" + base64.b64encode(hashlib.sha256(content).digest()).decode()
