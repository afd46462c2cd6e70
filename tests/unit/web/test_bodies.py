"""Bodies of requests: what is taken in whole, to the byte."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from bus.errors import Malformed, TooLarge
from bus.web import bodies
from bus.web.problems import WrongMedia

MOST = 10


def taken(*pieces: bytes | None, headers: dict[bytes, bytes] | None = None) -> bytes:
    """What is taken of a body that comes in these pieces; None: the connection closes."""
    events = [
        {"type": "http.disconnect"} if piece is None else {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> dict[str, object]:
        return events.pop(0)

    return asyncio.run(bodies.whole(receive, headers or {}, MOST))  # type: ignore[arg-type]


@pytest.mark.parametrize("pieces", [(b"0123456789",), (b"01234", b"56789"), (b"0123456789", b"")])
def test_a_body_may_be_as_large_as_the_bound_and_not_a_byte_larger(pieces: tuple[bytes, ...]) -> None:
    assert taken(*pieces, headers={b"content-length": b"10"}) == b"0123456789"
    with pytest.raises(TooLarge):
        taken(pieces[0] + b"!", *pieces[1:])
    with pytest.raises(TooLarge):
        taken(*pieces, headers={b"content-length": b"11"})


@pytest.mark.parametrize("pieces", [(None,), (b"01", None)])
def test_a_body_that_breaks_off_is_no_body(pieces: tuple[bytes | None, ...]) -> None:
    with pytest.raises(Malformed) as refused:
        taken(*pieces)
    assert refused.value.code == "input.incomplete"


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(WrongMedia) as refused:
        taken(b"{}", headers={b"content-encoding": b"gzip"})
    assert refused.value.code == "input.encoding"


PACKED = gzip.compress(b"0123456789", mtime=0)


def inflated(content: bytes, coding: bytes = b"gzip") -> tuple[bytes, bool]:
    """What becomes of a body, and whether it is still said to be in that coding."""
    plain, headers = bodies.inflated(content, {b"content-encoding": coding, b"soapaction": b"x"}, MOST)
    assert headers[b"soapaction"] == b"x"
    return plain, b"content-encoding" in headers


def test_gzip_is_undone_up_to_the_bound() -> None:
    assert inflated(PACKED) == inflated(PACKED, b"X-Gzip") == (b"0123456789", False)
    for bomb in (b"0123456789!", bytes(50_000_000)):
        with pytest.raises(TooLarge):
            inflated(gzip.compress(bomb))


@pytest.mark.parametrize(
    ("content", "coding"),
    [(b"<a/>", b"gzip"), (PACKED[:-9], b"gzip"), (PACKED + b"x", b"gzip"), (b"", b"gzip"), (PACKED, b"br"), (b"<a/>", b"identity")],
    ids=["none", "cut off", "more behind", "empty", "another coding", "identity"],
)
def test_what_is_not_gzip_stays_as_it_came(content: bytes, coding: bytes) -> None:
    assert inflated(content, coding) == (content, True)
