"""Time stamps of checkpoints, as RFC 3161 has them: a trusted authority signs that these bytes existed at that time.

What is stamped is the signed checkpoint as it is stored, so that ``openssl ts -verify`` can check the answer against that file.
The only room that knows rfc3161-client.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any, NamedTuple

from bus.errors import ConfigError, EvidenceError

_SIGNED, _OCTETS = 0xA0, 4
_NAMES = {bytes.fromhex("2a864886f70d010910020c"), bytes.fromhex("2a864886f70d010910022f")}
"""The attributes signingCertificate and signingCertificateV2."""
_HASHES = ("sha1", "sha256", "sha384", "sha512")
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
        _names_its_certificate(response)
        time: dt.datetime = response.tst_info.gen_time
    except (VerificationError, ValueError, IndexError) as error:
        hint = "is the root of whoever gave it in the file, also one of before? it takes several, one behind the other"
        raise EvidenceError(f"a time stamp that does not hold: {error}", code="evidence.timestamp", hint=hint) from error
    return time.astimezone(dt.UTC)


def _names_its_certificate(response: Any) -> None:
    """RFC 3161, 2.4.2: what was signed names the authority's certificate (RFC 5035), so that no other one of its key passes for it.

    rfc3161-client does not look. Raises `ValueError`, IndexError.
    """
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    ((_, token),) = _der(response.time_stamp_token())
    ((_, signed),) = _der(_der(token)[1][1])
    ((_, signer),) = _der(_der(signed)[-1][1])  # SignedData ends with its SignerInfos
    attributes = [_der(attribute) for tag, attributes in _der(signer) if tag == _SIGNED for _, attribute in _der(attributes)]
    named = [values for (_, kind), (_, values) in attributes if kind in _NAMES]
    [signs] = response.signed_data.signer_infos
    certificates = map(load_der_x509_certificate, response.signed_data.certificates)
    known = [one for one in certificates if (one.issuer, one.serial_number) == (signs.issuer, signs.serial_number)]
    fingerprints = {hashlib.new(name, one.public_bytes(Encoding.DER)).digest() for one in known for name in _HASHES}
    if not any(_first_octets(values) in fingerprints for values in named):
        raise ValueError("it does not name the certificate with which it was signed (ESSCertID)")


def _first_octets(values: bytes) -> bytes:
    """The hash of the certificate that comes first in a SigningCertificate, or a SigningCertificateV2."""
    ((_, said),) = _der(values)
    ((_, certificate), *_) = _der(_der(said)[0][1])
    return next((octets for tag, octets in _der(certificate) if tag == _OCTETS), b"")


def _der(raw: bytes) -> list[tuple[int, bytes]]:
    """The values that stand one behind the other (DER): tag and content of each. `bus.bundle.verify` stands alone, and has its own."""
    found, left = [], memoryview(raw)
    while left:
        size, head = left[1], 2
        if size >= 128:
            head += size - 128
            size = int.from_bytes(left[2:head], "big")
        found.append((left[0], bytes(left[head : head + size])))
        left = left[head + size :]
    return found


def roots(pem: bytes) -> list[Any]:
    """The certificates in a PEM file; raises `ConfigError`."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(f"no certificate of an authority: {error}", code="config.authority", hint="a PEM file with its root") from error
