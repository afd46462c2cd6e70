"""What we sign for PDND and ModI: claims in a JWS of the compact form (RFC 7515), by our RSA key (RS256)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def signed(file: Path, kid: str, claims: Mapping[str, Any]) -> str:
    """Claims, signed by the key in a file (PEM); ``kid`` names it. Raises OSError, ValueError, TypeError as `private`."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    head = {"alg": "RS256", "kid": kid, "typ": "JWT"}
    text = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
    return f"{text}.{_part(private(file).sign(text.encode(), PKCS1v15(), hashes.SHA256()))}"


def private(file: Path) -> Any:
    """The private RSA key in a PEM file. Raises OSError, ValueError, TypeError (it is locked by a password)."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it is of another kind")  # noqa: TRY004 - of a file, and not of a type in Python
    return key


def unsigned(token: str) -> str:
    """A JWS without its signature; of a token that is none, nothing."""
    return token.rpartition(".")[0]


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
