"""Time stamps of checkpoints, as RFC 3161 has them: a trusted authority signs that these bytes existed at that time.

What is stamped is the signed checkpoint as it is stored, so that ``openssl ts -verify`` can check the answer against that file.
The only room that knows rfc3161-client.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from bus.errors import ConfigError, EvidenceError

MOST_BYTES = 100_000
"""Of an answer; real ones have 1 to 7 thousand, with the certificates."""


class Asked(NamedTuple):
    """A request that is under way: its bytes for the authority, and what its answer must fit."""

    content: bytes
    request: Any


def ask(stamped: bytes) -> Asked:
    """A request for a stamp over these bytes, with a random nonce, and for the authority's certificate."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = (
        TimestampRequestBuilder()
        .data(stamped)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    return Asked(request.as_bytes(), request)


def verified(answer: bytes, stamped: bytes, authorities: bytes, asked: Asked | None = None) -> dt.datetime:
    """The time (UTC) that an answer vouches for, over exactly these bytes, by an authority whose root is in ``authorities`` (PEM).

    ``asked``: of a fresh answer, also that it is the one to this request. Raises `EvidenceError`.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    if len(answer) > MOST_BYTES:
        raise EvidenceError(f"a time stamp of {len(answer):,} bytes", code="evidence.timestamp")
    builder = VerifierBuilder() if asked is None else VerifierBuilder.from_request(asked.request)
    for certificate in roots(authorities):
        builder = builder.add_root_certificate(certificate)
    try:
        response = decode_timestamp_response(answer)
        builder.build().verify_message(response, stamped)
        time: dt.datetime = response.tst_info.gen_time
    except (VerificationError, ValueError) as error:
        raise EvidenceError(f"a time stamp that does not hold: {error}", code="evidence.timestamp") from error
    return time.astimezone(dt.UTC)


def roots(pem: bytes) -> list[Any]:
    """The certificates in a PEM file; raises `ConfigError`."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(f"no certificate of an authority: {error}", code="config.authority", hint="a PEM file with its root") from error
