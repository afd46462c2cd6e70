"""Time stamps of checkpoints, as RFC 3161 has them: a trusted authority signs that these bytes existed at that time.

What is stamped is the signed checkpoint as it is stored, so that ``openssl ts -verify`` can check the answer against that file.
The only room that knows rfc3161-client.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any, NamedTuple

from bus.errors import ConfigError, EvidenceError

_SIGNED = _CERTIFICATES = 0xA0
_OCTETS, _SEQUENCE = 4, 0x30
_GRANTED, _WITH_CHANGES = bytes.fromhex("3003020100"), 1
"""The status of an answer that is simply a stamp, and the number of that which says that it is one with changes."""
_NAMES = {bytes.fromhex("2a864886f70d010910020c"), bytes.fromhex("2a864886f70d010910022f")}
"""The attributes signingCertificate and signingCertificateV2."""
_HASHES = ("sha1", "sha256", "sha384", "sha512")
_STATUS = (
    "granted it",
    "granted it with changes of its own, and sent none",
    "refused it",
    "will give it later",
    "warns that it is to be revoked",
    "is revoked",
)
_CAUSES = (
    ("Nonce mismatch", "it answers another request than ours",
     "a proxy between us keeps answers, or the authority passes over the number (nonce) of a request: name another one"),
    ("InvalidSetOrdering", "it is not written as DER wants it", "tell who runs the authority, or name another one"),
    ("ASN.1 parse error", "it is none at all",
     "is the address that of a time-stamping authority (RFC 3161)? a proxy, or a page to log in, answers something else"),
    ("certificate has expired", "a certificate of the authority had expired when it was given",
     "it has to renew its certificate, or its clock is ahead; until then name another one"),
    ("certificate is not yet valid", "a certificate of the authority was not valid yet when it was given",
     "its clock is behind, or it stamps with a certificate of the future"),
)  # fmt: skip
"""What the library and OpenSSL say of an answer, what it means, and what to do."""
_ROOT = (
    "is the root of whoever gave it in the file, also an earlier one? it takes several, one behind the other, and those between too "
    "where the authority sends its own certificate alone"
)
_REASONS = (re.compile(r'Verify error: ([^"]+)"'), re.compile(r'reason: "([^"]+)"'))
"""What a person reads of an error of OpenSSL, the more exact part first."""
MOST_BYTES = 100_000
"""The length of an answer at most; real ones have 1 to 7 thousand bytes, with the certificates."""


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
    from rfc3161_client import VerificationError, VerifierBuilder

    if len(answer) > MOST_BYTES:
        raise EvidenceError(f"a time stamp of {len(answer):,} bytes", code="evidence.timestamp")
    builder = VerifierBuilder() if asked is None else VerifierBuilder.from_request(asked.request)
    for certificate in roots(authorities):
        builder = builder.add_root_certificate(certificate)
    try:
        response = _decoded(answer)
        _is_granted(response)
        builder.build().verify_message(response, stamped)
        _names_its_certificate(response)
        time: dt.datetime = response.tst_info.gen_time
    except (VerificationError, ValueError, IndexError) as error:
        raise _told(str(error)) from error
    return time.astimezone(dt.UTC)


def _decoded(answer: bytes) -> Any:
    """An answer, read: a stamp that was granted with changes as one that was granted (RFC 3161 §2.4.2: either has its token).

    What may have been changed is nothing that we asked for, which is judged all the same. Raises `ValueError`, IndexError.
    """
    response = _read(answer)
    ((_, parts),) = _der(answer)
    _status, *token = _der(parts)
    if int(response.status) != _WITH_CHANGES or not token:
        return response
    return _read(_sequence(_GRANTED, _tlv(*token[0])))


def _read(answer: bytes) -> Any:
    """An answer as it is. rfc3161-client wants the certificates in the order of DER, in which many authorities do not send theirs.

    Nobody signed that order, so another one proves the same. Raises `ValueError`, IndexError.
    """
    from rfc3161_client import decode_timestamp_response

    try:
        return decode_timestamp_response(answer)
    except ValueError as error:
        if "InvalidSetOrdering" not in str(error):
            raise
    ((_, response),) = _der(answer)
    status, (_, token) = _der(response)
    kind, (_, content) = _der(token)
    ((_, signed),) = _der(content)
    parts = [(tag, b"".join(sorted(_tlv(*one) for one in _der(part))) if tag == _CERTIFICATES else part) for tag, part in _der(signed)]
    again = _sequence(_tlv(*status), _sequence(_tlv(*kind), _tlv(_CERTIFICATES, _sequence(*(_tlv(*part) for part in parts)))))
    return decode_timestamp_response(again)


def _is_granted(response: Any) -> None:
    """Raises `EvidenceError` for an answer that is not simply a stamp, with what the authority says of it."""
    if status := int(response.status):
        does = _STATUS[status] if 0 < status < len(_STATUS) else "says nothing that is known"
        why = "; ".join(response.status_string)
        said = f"no time stamp: the authority {does} (status {status}){why and f': {why}'}"
        raise EvidenceError(said, code="evidence.timestamp", hint="ask who runs the authority; a quota, or an account, is theirs")


def _told(said: str) -> EvidenceError:
    """What the library says of a stamp, in our words."""
    reason = next((found[1] for one in _REASONS if (found := one.search(said))), said)
    causes = ((means, remedy) for mark, means, remedy in _CAUSES if mark in said)
    means, remedy = next(causes, (reason, _ROOT))
    return EvidenceError(f"a time stamp that does not hold: {means}", code="evidence.timestamp", hint=remedy)


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


def _sequence(*parts: bytes) -> bytes:
    return _tlv(_SEQUENCE, b"".join(parts))


def _tlv(tag: int, content: bytes) -> bytes:
    """A value of DER, as `_der` takes it apart."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes(-(-size.bit_length() // 8), "big")
    return bytes([tag, 128 + len(length)]) + length + content


def roots(pem: bytes) -> list[Any]:
    """The certificates in a PEM file; raises `ConfigError`."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        hint = "a PEM file with its root; one that is DER: openssl x509 -inform DER -in FILE"
        raise ConfigError("no certificate of an authority is in its file", code="config.authority", hint=hint) from error
