"""Bundles are packed piece by piece, into the bytes that the verifier expects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bus.bundle import verify
from bus.bundle.packing import File, digest_of, measured, packed
from bus.errors import StoreError

WHOLE = {"records.jsonl": b"{}\n", "empty": b"", "rules/file/à.yaml": b"route: x\n", "payloads.jsonl": b"uno\ndue\ntre\n"}


def test_a_bundle_is_the_same_whether_it_is_packed_at_once_or_piece_by_piece() -> None:
    files: dict[str, File] = {**WHOLE, "payloads.jsonl": measured(lambda: WHOLE["payloads.jsonl"].splitlines(keepends=True))}
    made = packed(files)
    content = b"".join(made.pieces)
    assert (content, made.size) == (verify.packed(WHOLE), len(content))
    assert {name: digest_of(file) for name, file in files.items()} == {name: verify.digest_of(content) for name, content in WHOLE.items()}


def test_what_is_long_is_read_as_it_is_packed_and_no_sooner() -> None:
    read: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"uno", b"due", b"tre"):
            read.append(piece)
            yield piece

    made = packed({"payloads.jsonl": measured(pieces)})
    read.clear()
    head, first = next(made.pieces), next(made.pieces)
    assert (head[:2], first, read) == (b"PK", b"uno", [b"uno"])


def test_a_bundle_ends_before_it_is_whole_when_something_in_it_is_gone_meanwhile() -> None:
    there = [b"uno", b"due"]
    made = packed({"payloads.jsonl": measured(lambda: list(there))})
    there.pop()
    taken = [next(made.pieces), next(made.pieces)]
    with pytest.raises(StoreError, match="was erased") as told:
        next(made.pieces)
    assert (told.value.code, len(taken[-1])) == ("export.erased", 3)
