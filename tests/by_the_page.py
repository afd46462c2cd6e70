"""A verifier of the log's evidence by somebody who has `docs/design/evidence.md` alone: nothing of Snodo is imported here.

Each function raises `Wrong`, or what Python does with rubbish, for what is not as that page says. It takes other ways than our own
verifiers where there are any: roots and proofs by the recursion of RFC 6962, Ed25519 and AES by a library, the ZIP by its bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NAME = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?(/[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?)*")
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


class Wrong(Exception):
    """It is not as the page says."""


class Key(NamedTuple):
    name: str
    id: bytes
    type: int
    key: bytes


class Head(NamedTuple):
    """A checkpoint: ``text`` is what was signed, ``lines`` the signatures as (name, id, value)."""

    origin: str
    size: int
    root: bytes
    text: str
    lines: tuple[tuple[str, bytes, bytes], ...]


def must(fits: object, what: str) -> None:
    if not fits:
        raise Wrong(what)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def b64(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    must(base64.b64encode(value).decode() == text, "base 64 of two spellings")
    return value


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    must(len({name for name, _ in pairs}) == len(pairs), "a name twice")
    return dict(pairs)


def object_of(text: str, *names: str) -> dict[str, Any]:
    found = json.loads(text, object_pairs_hook=once)
    must(isinstance(found, dict) and (not names or set(found) == set(names)), f"it does not say {names}")
    return dict(found)


# -- signed notes ------------------------------------------------------------------------------------------------------


def key(said: str) -> Key:
    name, id, material = said.split("+", 2)
    raw = b64(material)
    must(bytes.fromhex(id) == sha(name.encode(), b"\n", raw)[:4] and len(raw) == 33, "no key")
    return Key(name, bytes.fromhex(id), raw[0], raw[1:])


def note(raw: bytes) -> tuple[str, tuple[tuple[str, bytes, bytes], ...]]:
    text, gap, below = raw.decode().rpartition("\n\n")
    must(gap and below.endswith("\n"), "no note")
    lines = []
    for line in below[:-1].split("\n"):
        dash, name, value = line.split(" ")
        must(dash == "\N{EM DASH}", "no signature")
        lines.append((name, b64(value)[:4], b64(value)[4:]))
    return text + "\n", tuple(lines)


def signers(text: str, lines: Iterable[tuple[str, bytes, bytes]], known: Sequence[Key]) -> list[Key]:
    """Those of the known keys that signed; a false signature in the name of one is wrong."""
    found = []
    for name, id, value in lines:
        for one in known:
            if (one.name, one.id) == (name, id):
                timed = b"cosignature/v1\ntime %d\n" % struct.unpack(">Q", value[:8]) if one.type == 4 else b""
                try:
                    Ed25519PublicKey.from_public_bytes(one.key).verify(value[8:] if timed else value, timed + text.encode())
                except InvalidSignature:
                    raise Wrong(f"a false signature of {name}") from None
                found.append(one)
    return found


def head(raw: bytes) -> Head:
    text, lines = note(raw)
    origin, size, root = text.split("\n")[:3]
    must(re.fullmatch("0|[1-9][0-9]*", size) and len(b64(root)) == 32, "no checkpoint")
    return Head(origin, int(size), b64(root), text, lines)


def announced(record: Mapping[str, Any], known: set[Key]) -> set[Key]:
    """The log's keys from a record `keys` on, for whoever knew these before it."""
    data = record["data"]
    text, lines = note(data["signed"].encode())
    named, lost = {key(one) for one in data["keys"]}, {key(one) for one in data.get("lost", ())}
    said = ["snodo.keys/v1", f"purpose {data['purpose']}", f"origin {data['origin']}"]
    said += [f"key {one}" for one in data["keys"]] + [f"lost {one}" for one in data.get("lost", ())]
    must(text == "".join(f"{line}\n" for line in said), "another text was signed")
    must((named <= known and not lost) or signers(text, lines, list(known)), "no key that is known vouches for these")
    return (known | named) - lost


# -- the tree, by the recursion of RFC 6962 ----------------------------------------------------------------------------


def leaf(data: bytes) -> bytes:
    return sha(b"\0", data)


def root_of(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha()
    middle = half(len(leaves))
    return sha(b"\1", root_of(leaves[:middle]), root_of(leaves[middle:]))


def half(size: int) -> int:
    """The largest power of two below it."""
    found = 1
    while found * 2 < size:
        found *= 2
    return found


def root_by(index: int, size: int, hash: bytes, steps: list[bytes]) -> bytes:
    """The root over a leaf, by the path of RFC 6962, 2.1.1: the last step is the one below the root."""
    if size == 1:
        return hash
    step, middle = steps.pop(), half(size)
    if index < middle:
        return sha(b"\1", root_by(index, middle, hash, steps), step)
    return sha(b"\1", step, root_by(index - middle, size - middle, hash, steps))


def included(where: Head, index: int, data: bytes, proof: Sequence[str]) -> None:
    must(isinstance(proof, list), "no list of hashes")
    steps = [b64(one) for one in proof]
    must(type(index) is int and 0 <= index < where.size, "no such place")
    must(root_by(index, where.size, leaf(data), steps) == where.root and not steps, f"leaf {index} is not in that tree")


def goes_on(old: Head, new: Head, proof: Sequence[str]) -> None:
    must(isinstance(proof, list), "no list of hashes")
    steps = [b64(one) for one in proof]
    must(old.origin == new.origin and 0 < old.size <= new.size, "of another log")
    before, after = roots_by(old.size, new.size, True, old.root, steps)
    must((before, after, steps) == (old.root, new.root, []), "it does not go on from there")


def roots_by(old: int, new: int, whole: bool, known: bytes, steps: list[bytes]) -> tuple[bytes, bytes]:
    """Both roots by the proof of RFC 6962, 2.1.2 (SUBPROOF); ``whole``: the old root is that of this subtree."""
    if old == new:
        found = known if whole else steps.pop(0)
        return found, found
    middle, step = half(new), steps.pop()
    if old <= middle:
        before, after = roots_by(old, middle, whole, known, steps)
        return before, sha(b"\1", after, step)
    before, after = roots_by(old - middle, new - middle, False, known, steps)
    return sha(b"\1", step, before), sha(b"\1", step, after)


# -- payloads, receipts, tiles -----------------------------------------------------------------------------------------


def payload(line: Mapping[str, Any], size: int, media_type: str) -> None:
    nonce, content, own = b64(line["nonce"]), b64(line["sealed"]), b64(line["key"])
    text = b64(line["base64"]) if "base64" in line else line["text"].encode()
    must((len(text), line["type"]) == (size, media_type), "a payload of another size or type")
    if not content:
        must((len(nonce), own, line["id"]) == (32, b"", sha(nonce, text).hex()), "an open payload of another text")
        return
    must((len(nonce), nonce[0], len(own), len(content)) == (33, 1, 32, size + 48), "a payload that is parted elsewhere")
    must(AESGCM(own).decrypt(nonce[-12:], content[:-32], None) == text, "another text")
    must(content[-32:] == sha(b"snodo.text/1", own, text), "another key or text")
    digest = sha(nonce, content).hex()
    must(line["id"] in (digest, nonce[1:9].hex() + digest), "another id")


def receipt(text: str, doors: Sequence[Key]) -> tuple[str, bytes]:
    """The message and the leaf that were promised."""
    above, _, below = text.partition("\n\n")
    said, lines = note(below.encode())
    must(signers(said, lines, doors), "nobody known signed the receipt")
    title, message, promised, index, *proof = above.split("\n")
    kind, origin, size, root, _, _ = said[:-1].split("\n")
    must((title, kind) == ("snodo.receipt/v1", "snodo.receipts/v1"), "no receipt")
    message, promised = message.removeprefix("message "), promised.removeprefix("leaf ")
    small = Head(origin.removeprefix("origin "), int(size.removeprefix("size ")), b64(root.removeprefix("root ")), "", ())
    included(small, int(index.removeprefix("index ")), f"{message}\n{promised}\n".encode(), proof)
    return message, b64(promised)


def entries(folder: Path, keys: Sequence[Key]) -> list[bytes]:
    """All records of a folder of tiles; each hash of each tile is looked at."""
    top = head((folder / "checkpoint").read_bytes())
    must(signers(top.text, top.lines, keys), "nobody known signed the checkpoint")
    found = [one for number, width in tiles(top.size) for one in _entries((folder / tile("entries", number, width)).read_bytes())]
    level, hashes = 0, [leaf(one) for one in found]
    must((len(hashes), root_of(hashes)) == (top.size, top.root), "another root")
    while hashes:
        for number, width in tiles(len(hashes)):
            there = (folder / tile(level, number, width)).read_bytes()
            must(there == b"".join(hashes[256 * number : 256 * number + width]), f"tile {number} of level {level}")
        hashes = [root_of(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
        level += 1
    return found


def tiles(size: int) -> Iterator[tuple[int, int]]:
    return ((number, min(256, size - 256 * number)) for number in range((size + 255) // 256))


def tile(level: int | str, number: int, width: int) -> str:
    groups = re.findall("...", f"{number:0{(len(str(number)) + 2) // 3 * 3}}")
    name = "/".join([*(f"x{one}" for one in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" + (f".p/{width}" if width < 256 else "")


def _entries(raw: bytes) -> Iterator[bytes]:
    while raw:
        size = int.from_bytes(raw[:2], "big")
        yield raw[2 : 2 + size]
        raw = raw[2 + size :]


# -- a bundle ----------------------------------------------------------------------------------------------------------


def unzipped(raw: bytes) -> dict[str, bytes]:
    """The files, read one behind the other, and the directory behind them: no byte is left over."""
    files, directory, at = dict[str, bytes](), b"", 0
    while raw[at : at + 4] == b"PK\3\4":
        fixed = struct.unpack("<4s5H3I2H", raw[at : at + 30])
        must(fixed[1:6] == (20, 0, 0, 0, 0x21) and fixed[7] == fixed[8] and fixed[10] == 0, "another way of writing a ZIP")
        name = raw[at + 30 : at + 30 + fixed[9]].decode()
        content = raw[at + 30 + fixed[9] :][: fixed[8]]
        must(NAME.fullmatch(name) and name > max(files, default=""), f"a file of that name: {name}")
        must(not any(map(DEVICE.fullmatch, name.lower().split("/"))), f"no file of Windows: {name}")
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 0x314, *fixed[1:10], 0, 0, 0, 0, 0o100644 << 16, at) + name.encode()
        files[name] = content
        at += 30 + fixed[9] + fixed[8]
    ends = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(files), len(files), len(directory), at, 0)
    must(raw[at:] == directory + ends, "something else in the ZIP")
    lower = [name.lower() for name in files]
    folders = {name[:at] for name in lower for at, letter in enumerate(name) if letter == "/"}
    must(len({*lower, *folders}) == len(files) + len(folders), "one file over another")
    return files


def bundle(raw: bytes, keys: Sequence[Key], witnesses: Sequence[Key] = ()) -> list[dict[str, Any]]:
    """The records of a bundle that is right."""
    files = unzipped(raw)
    names = ("v", "origin", "keys", "size", "scope", "records", "payloads", "files")
    manifest = object_of(files["manifest.json"].decode(), *names)
    must(isinstance(manifest["keys"], list), "no keys")
    must({name: sha(content).hex() for name, content in files.items() if name not in ("manifest.json", "seal.json")} == manifest["files"],
         "another file than the manifest says")  # fmt: skip
    top = head(files["checkpoint"])
    must((top.origin, top.size, manifest["v"]) == (manifest["origin"], manifest["size"], 1), "another checkpoint")
    signers(top.text, top.lines, keys)
    must(set(witnesses) <= set(signers(top.text, top.lines, witnesses)), "a witness has not signed")
    lines = [object_of(line, "index", "record", "proof") for line in _lines(files, "records.jsonl")]
    places = [line["index"] for line in lines]
    must(places == sorted(set(places)) and len(lines) == manifest["records"], "records twice, or not in order")
    for line in lines:
        included(top, line["index"], line["record"].encode(), line["proof"])
    records = [object_of(line["record"]) for line in lines]
    must(all(records), "a record that says nothing")
    _payloads(files, records, manifest["payloads"])
    for name, content in files.items():
        if name.startswith(("rules/route/", "rules/file/", "rules/edition/")):
            must(name.split("/")[2].removesuffix(".json") == sha(content).hex(), f"other rules: {name}")
    _seal(files, manifest, top, keys)
    return records


def _lines(files: Mapping[str, bytes], name: str) -> list[str]:
    return [line for line in files.get(name, b"").decode().split("\n") if line]


def _payloads(files: Mapping[str, bytes], records: Iterable[Mapping[str, Any]], count: int) -> None:
    named = {one["id"]: one for record in records for one in record.get("payloads", ())}
    lines = [object_of(line) for line in _lines(files, "payloads.jsonl")]
    damaged = [object_of(line, "id", "why")["id"] for line in _lines(files, "damaged.jsonl")]
    ids = [*damaged, *(line["id"] for line in lines)]
    must(len(lines) == count and len(ids) == len(set(ids)) and set(ids) <= named.keys(), "payloads twice, or some more")
    for line in lines:
        must(set(line) - {"text", "base64"} == {"id", "type", "nonce", "sealed", "key"} and len(line) == 6, "it says more")
        payload(line, named[line["id"]]["size"], named[line["id"]]["type"])


def _seal(files: Mapping[str, bytes], manifest: Mapping[str, Any], top: Head, keys: Sequence[Key]) -> None:
    text = files["seal.json"].decode()
    seal = object_of(text, "checkpoint", "consistency", "index", "proof", "record")
    must(json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False) == text, "a seal in another form")
    must(isinstance(seal["proof"], list) and isinstance(seal["consistency"], list), "no proof")
    newer = head(seal["checkpoint"].encode())
    must(signers(newer.text, newer.lines, keys), "nobody known signed the seal")
    covered = {*keys, *map(key, manifest["keys"])}
    must(len(signers(newer.text, newer.lines, list(covered))) == len(newer.lines) == len(set(newer.lines)), "a signature of nobody")
    included(newer, seal["index"], seal["record"].encode(), seal["proof"])
    goes_on(top, newer, seal["consistency"])
    record = object_of(seal["record"])
    must((record["kind"], record["data"]["manifest"]) == ("exported", sha(files["manifest.json"]).hex()), "the log knows another bundle")
