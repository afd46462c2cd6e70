"""Verifica un fascicolo di Snodo / verifies a bundle of Snodo. One file, standard library only, no network, nothing written.

    python3 -I verify.py FASCICOLO.zip [--key VKEY]... [--witness VKEY]... [--lang it|en]

What is shown: every record is, byte by byte, at its place in the log of which the checkpoint was signed; every payload is what its record
committed to; every other file is listed in the manifest, whose digest stands in the record ``exported`` of the same log. So nothing in
the bundle can be changed, added or taken away unseen. Give the log's key, as published, with --key: without it the key is taken from
the bundle itself, and the result holds for whoever made that key.

Exit codes: 0 verified, 5 not verified, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime as dt
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

APART = {"manifest.json", "seal.json"}
"""Files that the manifest does not list: itself, and the proof that the log knows it."""
DAMAGED = "damaged.jsonl"
"""Only where something is: payloads that nobody could open when the bundle was made, though no record said that they were erased."""
SAYS = {
    "manifest.json": {"v", "origin", "keys", "size", "scope", "records", "payloads", "files"},
    "seal.json": {"checkpoint", "consistency", "index", "proof", "record"}, "records.jsonl": {"index", "proof", "record"},
    "payloads.jsonl": {"id", "type", "nonce", "sealed", "key"}, DAMAGED: {"id", "why"},
}  # fmt: skip
"""What is said there, and nothing else: what nobody compares with anything could be anything."""
REGISTERED = {"message", "giorno", "reply", "sha256"}
ANCHOR = re.compile(r"(anchors/(?:([1-9][0-9]{0,18})/)?)(?:(timestamp|register)-[0-9]+|checkpoint|consistency)")
"""What others said of the bundle's checkpoint, or of one of another size, with which lies the proof that it is of the same log."""
HASHES = {bytes.fromhex("6086480165030402" + last): name for last, name in (("01", "sha256"), ("02", "sha384"), ("03", "sha512"))}
SIGNED, STAMP = bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d0109100104")
"""Names of objects as they are encoded: hashes, a CMS that is signed (1.2.840.113549.1.7.2), a stamp in it (1.2.840.113549.1.9.16.1.4)."""
MOST = 100
"""Signatures in a note, keys of a log, files in `anchors/`: more would only keep us busy."""
PLACE = re.compile(r"(?:(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:[./]|$))[\w-](?:[\w.-]*[\w-])?(?:/(?!$)|$))+", re.ASCII | re.IGNORECASE)
"""How files in a bundle are called: an unpacked one lies in its own folder, also on Windows, which has devices of some names in each."""
RULE = re.compile(r"rules/(?:route|file|edition)/(.+?)(?:\.json)?")
WORDS = {
    "ok": ("VERIFICATO. Annotazioni: {records}, contenuti: {payloads}, file: {files}; registro {origin}, sigillo di {size} annotazioni.",
           "VERIFIED. Records: {records}, payloads: {payloads}, files: {files}; log {origin}, checkpoint of {size} records."),
    "failed": ("NON VERIFICATO. Rilievi: {count}.", "NOT VERIFIED. Findings: {count}."),
    "own-key": ("ATTENZIONE: chiave presa dal fascicolo, da confrontare con quella pubblicata (--key): {what}",
                "WARNING: the key is the one in the bundle; compare it with the published one (--key): {what}"),
    "absent": ("Contenuti indicati dalle annotazioni e assenti (cancellati, o non esportati): {what}.",
               "Payloads that records name and that are not here (erased, or not exported): {what}."),
    "damaged": ("DANNEGGIATO, non cancellato, {nth} di {count}: contenuto {payload} ({role} di {kind} {id}, messaggio {message}): {why}",
                "DAMAGED, not erased, {nth} of {count}: payload {payload} ({role} of {kind} {id}, message {message}): {why}"),
    "unruled": ("Regole indicate dalle annotazioni e assenti: {what}", "Rules that records name and that are not here: {what}"),
    "witnessed": ("Testimoni: {what}", "Witnesses: {what}"),
    "unverified": ("Firme sul sigillo NON verificate, manca la loro chiave (--witness, --key): {what}",
                   "Signatures on the checkpoint that are NOT verified, for lack of their key (--witness, --key): {what}"),
    "witness": ("nessuna firma di {key} sul sigillo, che ha: {by}", "no cosignature of the witness {key} on the checkpoint; it has: {by}"),
    "unwitnessed": ("Nessun testimone verificato (--witness).", "No witness was verified (--witness)."),
    "read": ("il file non è un fascicolo integro: {why}", "the file is no bundle, or a damaged one: {why}"),
    "container": ("il contenitore ZIP non è quello che lo strumento scrive: byte o voci in più, fuori posto o modificati",
                  "the ZIP container is not the one that is written: bytes or entries added, moved or changed"),
    "missing": ("manca {name}", "{name} is missing"),
    "malformed": ("{name} non ha la forma attesa: {why}", "{name} has not the expected form: {why}"),
    "key": ("nessuna firma valida della chiave data su {name}, firmato da {by}: se l'ente pubblica anche questa, --key per entrambe",
            "no good signature of the key given on {name}; signed by {by}: if the municipality publishes that one too, --key for both"),
    "false": ("firma falsa su {name} a nome di {key}", "a false signature on {name} in the name of {key}"),
    "origin": ("{name} è di un altro registro: {found}", "{name} is of another log: {found}"),
    "leaf": ("annotazione n. {index} ({kind} {id}, messaggio {message}): non è quella sigillata nel registro",
             "record {index} ({kind} {id}, message {message}): not the one sealed in the log"),
    "order": ("annotazione n. {index}: ripetuta o fuori ordine", "record {index}: repeated or out of order"),
    "payload": ("contenuto {payload} ({role} di {kind} {id}, messaggio {message}): non corrisponde all'impronta scritta nell'annotazione",
                "payload {payload} ({role} of {kind} {id}, message {message}): not what the record committed to"),
    "stranger": ("contenuto {id}: nessuna annotazione lo indica, o è ripetuto", "payload {id}: no record names it, or it is repeated"),
    "uncovered": ("{name}: non coperto da alcuna prova", "{name}: no proof covers it"),
    "changed": ("{name}: modificato dopo l'esportazione", "{name}: changed after the export"),
    "seal": ("il registro non conosce questo fascicolo: il manifesto non è quello annotato come esportato",
             "the log does not know this bundle: its manifest is not the one recorded as exported"),
    "grown": ("il registro che ha annotato l'esportazione non è la continuazione di quello del sigillo",
              "the log that recorded the export does not go on from that of the checkpoint"),
    "rules": ("{name}: non corrisponde alla propria impronta", "{name}: not what its fingerprint says"),
    "apart": ("{name}: il suo registro non è quello del sigillo", "{name}: its log is not that of the checkpoint"),
    "unfit": ("{name}: non riguarda {what}", "{name}: not of {what}"),
    "timestamp": ("{name}: marca temporale del {time}; annotazioni per cui vale: {covered} su {records}.",
                  "{name}: a stamp of {time}; records for which it holds: {covered} of {records}."),
    "register": ("{name}: sigillo del {time} protocollato; annotazioni per cui vale: {covered} su {records}.",
                 "{name}: the checkpoint of {time} was registered; records for which it holds: {covered} of {records}."),
    "apart-timestamp": ("  NON verificata qui (serve la CA): openssl ts -verify -attime {at} -data {what} -in {name} -CAfile RADICE.pem",
                        "  NOT verified here (it takes its CA): openssl ts -verify -attime {at} -data {what} -in {name} -CAfile ROOT.pem"),
    "apart-register": ("  NON verificato qui: il registro di protocollo deve avere questo file, SHA-256 {digest}",
                       "  NOT verified here: the protocol register must have this file, SHA-256 {digest}"),
    "counts": ("il manifesto conta altre annotazioni o altri contenuti", "the manifest counts other records or other payloads"),
}  # fmt: skip


class Malformed(Exception):
    """A file is not of the form that it should have."""


def packed(files: Mapping[str, bytes]) -> bytes:
    """The ZIP of these files: sorted by name, stored, all of one time: written in one way, so that every byte is accounted for."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, files[name])
    return out.getvalue()


def unpacked(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(entry.file_size if entry.compress_type == zipfile.ZIP_STORED else len(raw) + 1 for entry in archive.infolist()) > len(raw):
            raise Malformed("it unpacks to more than it has")
        return {entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()}


# -- Ed25519 (RFC 8032), signed notes, the tree of RFC 6962 ----------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)  # noqa: E741 - the square root of -1, as the RFC's readers know it


def _add(a: Any, b: Any) -> Any:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def _times(scalar: int, point: Any) -> Any:
    found = (0, 1, 1, 0)
    while scalar:
        found = _add(found, point) if scalar & 1 else found
        point, scalar = _add(point, point), scalar >> 1
    return found


def _point(raw: bytes) -> Any:
    """The point that 32 bytes say; None when they say none, or not in the one allowed way."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * I % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else P - x
    return (x, y, 1, x * y % P)


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) is that of ``key`` (32 bytes) over ``message``."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(key), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = _times(s, BASE), _add(r, _times(h, a))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


def unbase64(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if base64.b64encode(value).decode() != text:
        raise Malformed("base 64 with something left over")
    return value


class Key:
    """A public key as it is published: ``name+id+base64``. Type 1 is the log's, type 4 a witness's."""

    def __init__(self, said: str, type: int = 0) -> None:
        name, id, material = [*said.strip().split("+", 2), "", ""][:3]
        if not re.fullmatch("[A-Za-z0-9+/]{44}", material):  # 33 bytes: a type and a key
            raise Malformed(f"chiave / key {said!r}: NOME+NUMERO+BASE64")
        raw = unbase64(material)
        self.said, self.name, self.type, self.key = said.strip(), name, raw[0], raw[1:]
        self.id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if self.id.hex() != id or self.type not in ((type,) if type else (1, 4)):
            raise Malformed(f"chiave non valida qui / no key for this: {said}")

    def signed(self, text: str, value: bytes) -> bool:
        if self.type == 1:
            return ed25519(self.key, text.encode(), value)
        return ed25519(self.key, f"cosignature/v1\ntime {int.from_bytes(value[:8], 'big')}\n{text}".encode(), value[8:])


class Note:
    """A signed note (c2sp.org/signed-note): a text, and signatures as (name, key id, value)."""

    def __init__(self, raw: bytes) -> None:
        said = raw.decode()
        head, gap, tail = said.rpartition("\n\n")
        lines = tail[:-1].split("\n")
        if not gap or not tail.endswith("\n") or len(lines) > MOST:
            raise Malformed("no signed note")
        self.text, self.signatures = head + "\n", []
        for line in lines:
            mark, name, value = line.split(" ")
            if mark != "\u2014":
                raise Malformed("no line of a signature")
            self.signatures.append((name, unbase64(value)[:4], unbase64(value)[4:]))
        self.signers = ", ".join(f"{name}+{id.hex()}" for name, id, _ in self.signatures)

    def by(self, keys: Sequence[Key]) -> tuple[list[Key], list[Key]]:
        """The keys that signed it, and those in whose name it was signed falsely."""
        good, false = [], []  # type: list[Key], list[Key]
        distinct = {key.said: key for key in keys}.values()  # one that is given twice has signed once
        for name, id, value in self.signatures:
            for key in (key for key in distinct if (key.name, key.id) == (name, id)):
                (good if key.signed(self.text, value) else false).append(key)
        return good, false


class Checkpoint(Note):
    """The signed head of a tree: origin, size, root."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.origin, size, root = self.text.split("\n")[:3]
        if not re.fullmatch("0|[1-9][0-9]{0,18}", size):
            raise Malformed("no size of a tree")
        self.size, self.root = int(size), unbase64(root)


def once(pairs: Sequence[Any]) -> dict[str, Any]:
    """An object of JSON, in which no name stands twice: others might read the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("a name stands twice")
    return found


def said(name: str, text: str, *either: str) -> Any:
    """What a file, or a line of one, says: all of `SAYS`, and one of ``either``."""
    found = json.loads(text, object_pairs_hook=once)
    later = isinstance(found, dict) and found.get("v", 1) != 1
    if later or not isinstance(found, dict) or set(found) not in [SAYS[name] | {one} for one in either] + [SAYS[name]] * (not either):
        raise Malformed("it is of another version: take the verify.py of that" if later else "it says more, or less, than it should")
    return found


def read(text: str) -> Any:
    """The object that a text is; an empty one for what is none, such as a record that was damaged."""
    found = {}
    with contextlib.suppress(ValueError, TypeError, RecursionError, Malformed):
        found = json.loads(text, object_pairs_hook=once)
    return found if isinstance(found, dict) else {}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _roots(at: int, last: int, node: bytes, proof: Sequence[str]) -> tuple[bytes, bytes] | None:
    """Up from a node: the root of the tree that ends there, and of the one that ends with ``last``; None where the proof is of another."""
    old = new = node
    for step in map(unbase64, proof):
        if last == 0 or len(step) != 32 or not isinstance(proof, list):  # in an object more would stand than its names
            return None
        if at & 1 or at == last:
            old, new = _node(step, old), _node(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = _node(new, step)
        at, last = at >> 1, last >> 1
    return None if last else (old, new)


def includes(root: bytes, size: int, index: int, record: str, proof: Sequence[str]) -> bool:
    """RFC 9162, 2.1.3.2."""
    leaf = hashlib.sha256(b"\0" + record.encode()).digest()
    found = _roots(index, size - 1, leaf, proof) if type(index) is int and 0 <= index < size else None
    return found is not None and found[1] == root


def extends(old: bytes, first: int, new: bytes, second: int, proof: Sequence[str]) -> bool:
    """RFC 9162, 2.1.4.2."""
    if not 0 < first < second or not isinstance(proof, list):
        return 0 < first == second and proof == [] and old == new
    node, proof = (unbase64(proof[0]), proof[1:]) if first & (first - 1) else (old, proof)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    return _roots(at, last, node, proof) == (old, new)


class Bundle:
    """A bundle that is being verified; ``found`` are the findings, as (word, values), in the order of the story."""

    def __init__(self, raw: bytes, keys: Sequence[Key] = (), witnesses: Sequence[Key] = ()) -> None:
        self.keys, self.witnesses = list(keys), list(witnesses)
        self.found, self.records, self.damaged, self.anchored = [], [], [], []  # type: list[Any], list[Any], list[Any], list[Any]
        self.indexes, self.own_keys, self.witnessed, self.unruled = [], [], [], []  # type: list[int], list[str], list[str], list[str]
        self.payloads, self.absent, self.files = 0, 0, {}  # type: int, int, Mapping[str, bytes]
        try:
            self.files = unpacked(raw)
            names = sorted(f"{name}/".lower().replace("/", "\0") for name in self.files)  # what lies below a name comes right behind it
            alone = not any(names[at].startswith(names[at - 1]) for at in range(1, len(names)))
            whole = alone and all(map(PLACE.fullmatch, self.files)) and packed(self.files) == raw
        except Exception as error:  # noqa: BLE001 - whatever a damaged archive makes of itself
            self.say("container" if isinstance(error, Malformed) else "read", why=error)
            return
        self._try("manifest.json, checkpoint", self._checkpoint)
        if hasattr(self, "checkpoint"):  # without it nothing else can be judged
            checks = {"records.jsonl": self._records, "anchors": self._anchors, "payloads.jsonl": self._payloads, "rules": self._rules}
            for name, check in {**checks, "manifest.json": self._manifest, "seal.json": self._seal}.items():
                self._try(name, check)
        if not whole:
            self.say("container")

    def _try(self, name: str, check: Any, *given: Any) -> None:
        try:
            check(*given)
        except KeyError as error:
            self.say("missing", name=error.args[0])
        except Exception as error:  # noqa: BLE001 - a hostile file may be anything
            self.say("malformed", name=name, why=str(error) if isinstance(error, Malformed) else repr(error)[:200])

    def say(self, word: str, **values: Any) -> None:
        self.found.append((word, values))

    def lines(self, name: str, *either: str) -> Iterator[Any]:
        return (said(name, line, *either) for line in self.files[name].decode().split("\n") if line)

    def _checkpoint(self) -> None:
        self.manifest = said("manifest.json", self.files["manifest.json"].decode())
        self.checkpoint = Checkpoint(self.files["checkpoint"])
        if self.manifest["size"] != self.checkpoint.size:
            self.say("counts")
        if not self.keys:
            self.own_keys = list(self.manifest["keys"])[:MOST]
            self.keys = [Key(said) for said in self.own_keys]
        self._trust("checkpoint", self.checkpoint)
        signed = self._by("checkpoint", self.checkpoint, self.witnesses)
        self.witnessed = [key.name for key in signed]
        for key in (key for key in self.witnesses if key.said not in {one.said for one in signed}):
            self.say("witness", key=key.said, by=self.checkpoint.signers)

    def _trust(self, name: str, checkpoint: Checkpoint) -> list[Key]:
        if not (known := self._by(name, checkpoint, self.keys)):
            self.say("key", name=name, by=checkpoint.signers)
        if checkpoint.origin != self.manifest["origin"]:
            self.say("origin", name=name, found=checkpoint.origin)
        return known

    def _by(self, name: str, checkpoint: Checkpoint, keys: Sequence[Key]) -> list[Key]:
        """Which of the keys have signed a checkpoint; a false signature is a finding."""
        good, false = checkpoint.by(keys)
        for key in false:
            self.say("false", name=name, key=key.name)
        return good

    def _records(self) -> None:
        for line in self.lines("records.jsonl"):
            index, record = line["index"], read(line["record"])
            if not record or not includes(self.checkpoint.root, self.checkpoint.size, index, line["record"], line["proof"]):
                self.say("leaf", index=index, **names_of(record))
            if self.indexes and index <= self.indexes[-1]:
                self.say("order", index=index)
            self.indexes.append(index)
            self.records.append(record)

    def _anchors(self) -> None:
        """That stamps and protocol numbers are of a checkpoint of this log; who gave them is for other tools to verify."""
        names = sorted(name for name in self.files if name.startswith("anchors/"))
        for name in names:
            if (match := ANCHOR.fullmatch(name)) and name != "anchors/consistency" and len(names) <= MOST:
                self._try(name, self._anchor, name, *match.groups())
            else:
                self.say("uncovered", name=name)

    def _anchor(self, name: str, folder: str, apart: Any, kind: Any) -> None:
        what, size, stamped = folder + "checkpoint", int(apart or self.checkpoint.size), self.files[folder + "checkpoint"]
        if name == what:
            self._stamped(what, folder + "consistency" if apart else "", size)
        elif kind:
            time = (stamped_at if kind == "timestamp" else registered_on)(self.files[name], stamped)
            if not time:
                self.say("unfit", name=name, what=what)
                return
            at = int(dt.datetime.fromisoformat(f"{time[:10]} {time[11:19] or '00:00:00'}+00:00").timestamp())
            told = {"name": name, "time": time, "at": at, "what": what, "digest": digest_of(stamped)}
            self.anchored.append((kind, {**told, "covered": sum(index < size for index in self.indexes)}))

    def _stamped(self, name: str, consistency: str, size: int) -> None:
        """A checkpoint that others vouch for is the bundle's, or of this log: no signature of ours is needed for that, the proof tells."""
        other = Checkpoint(self.files[name])
        self._by(name, other, [*self.keys, *self.witnesses])
        if not consistency:
            if other.text != self.checkpoint.text or not set(other.signatures) <= set(self.checkpoint.signatures):
                self.say("uncovered", name=name)
            return
        proof = self.files[consistency].decode().split("\n")[:-1]
        old, new = sorted((self.checkpoint, other), key=lambda one: one.size)
        if (other.origin, other.size) != (self.checkpoint.origin, size) or not extends(old.root, old.size, new.root, new.size, proof):
            self.say("apart", name=name)

    def _payloads(self) -> None:
        named = {one["id"]: (one, record) for record in self.records for one in record.get("payloads", ())}
        for line in self.lines("payloads.jsonl", "text", "base64"):
            id, nonce, sealed, own = line["id"], unbase64(line["nonce"]), unbase64(line["sealed"]), unbase64(line["key"])
            text = unbase64(line["base64"]) if "base64" in line else line["text"].encode()
            content = sealed or text
            opened = sealed[-32:] == hashlib.sha256(b"snodo.text/1" + own + text).digest() if sealed or len(nonce) == 33 else not own
            # the commitment is over nonce and content, one behind the other: their lengths say where they are parted
            parted = (len(nonce), len(content)) == ((33, len(text) + 48) if sealed else (32, len(text)))
            digest = digest_of(nonce + content)
            one, record = named.pop(id, ({}, {}))
            whole = opened and parted and id in (nonce[1:9].hex() + digest, digest)
            if not whole or (one and (one["size"], one["type"]) != (len(text), line["type"])):
                self.say("payload", payload=id, role=one.get("role", "-"), **names_of(record))
            if not one:
                self.say("stranger", id=id)
            self.payloads += 1
        for line in self.lines(DAMAGED) if DAMAGED in self.files else ():
            one, record = named.pop(line["id"], ({}, {}))
            self.damaged.append({"payload": line["id"], "role": one.get("role", "-"), "why": line["why"], **names_of(record)})
            if not one:
                self.say("stranger", id=line["id"])
        self.absent = len(named)

    def _rules(self) -> None:
        for name, content in self.files.items():
            if (match := RULE.fullmatch(name)) and digest_of(content) != match[1]:
                self.say("rules", name=name)
        self.unruled = unruled(rules_of(self.records), self.files)

    def _manifest(self) -> None:
        listed = self.manifest["files"]
        for name, content in self.files.items():
            if name not in APART and name not in listed:
                self.say("uncovered", name=name)
            elif name in listed and listed[name] != digest_of(content):
                self.say("changed", name=name)
        for name in sorted(set(listed) - set(self.files)):
            self.say("missing", name=name)
        if (self.manifest["records"], self.manifest["payloads"]) != (len(self.records), self.payloads):
            self.say("counts")

    def _seal(self) -> None:
        seal = said("seal.json", self.files["seal.json"].decode())
        if json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False).encode() != self.files["seal.json"]:
            self.say("uncovered", name="seal.json")
        old, newer = self.checkpoint, Checkpoint(seal["checkpoint"].encode())
        known = self._trust("seal.json", newer)
        good = newer.by([*self.keys, *map(Key, self.manifest["keys"][:MOST])])[0]
        if len(good) < len(newer.signatures) or len(set(newer.signatures)) < len(newer.signatures):
            self.say("uncovered", name="seal.json")
        record = read(seal["record"])
        if not includes(newer.root, newer.size, seal["index"], seal["record"], seal["proof"]):
            self.say("leaf", index=seal["index"], **names_of(record))
        if not extends(old.root, old.size, newer.root, newer.size, seal["consistency"]):
            self.say("grown")
        elif known:  # then the checkpoint needs no key that we know (it has one of before): its root is part of one that has
            self.found = [one for one in self.found if (one[0], one[1].get("name")) != ("key", "checkpoint")]
        if record.get("kind") != "exported" or record["data"]["manifest"] != digest_of(self.files["manifest.json"]):
            self.say("seal")


def names_of(record: Any) -> dict[str, Any]:
    """What a reader needs to look a record up in the log: its kind and id, and the message that it concerns, if any."""
    return {name: record.get(name, "-") for name in ("kind", "id", "message")}


def rules_of(records: Iterable[Any]) -> set[str]:
    """The files of the rules that records name: of the routes by which there are runs, and of the editions that came in force."""
    named = set()
    for record in records:
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # of a record that was changed
            data = record.get("data", {})
            if record["kind"] == "rules":
                named |= {f"rules/edition/{data['edition']}.json"} if "edition" in data else set()
                continue
            runs = data["runs"] if record["kind"] == "received" else ()
            named |= {f"rules/route/{digest}.json" for digest in (record.get("rules"), *(run["digest"] for run in runs)) if digest}
    return named


def unruled(named: Iterable[str], files: Mapping[str, bytes]) -> list[str]:
    """Which files of rules are not here: of those that are named, and of those that an edition consists of."""
    parts = [read(files[one].decode(errors="replace")).get("files") for one in named if one in files and one.startswith("rules/edition/")]
    consist = [f"rules/file/{address}" for held in parts if isinstance(held, dict) for address in held.values()]
    return sorted({*named, *consist} - set(files))


def der(raw: bytes) -> list[tuple[int, bytes]]:
    """The values that stand one behind the other in these bytes (X.690, DER): tag and content of each."""
    found, at = [], 0
    while at < len(raw):
        tag, size, at = raw[at], raw[at + 1], at + 2
        if size > 127:
            size, at = int.from_bytes(raw[at : at + (size & 127)], "big"), at + (size & 127)
        if at + size > len(raw):
            raise Malformed("it ends too early")
        found.append((tag, raw[at : at + size]))
        at += size
    return found


def inner(value: tuple[int, bytes], tag: int = 0x30) -> list[tuple[int, bytes]]:
    """The values within one, which is a sequence unless said otherwise."""
    if value[0] != tag:
        raise Malformed(f"a value of kind {value[0]} in the place of {tag}")
    return der(value[1])


def stamped_at(answer: bytes, stamped: bytes) -> str:
    """The time that an answer of RFC 3161 says; empty if its imprint is not that of these bytes. Its signature is not looked at."""
    (response,) = der(answer)
    status, token = inner(response)
    (_, kind), held = inner(token)
    if int.from_bytes(inner(status)[0][1], "big") > 1 or kind != SIGNED:
        raise Malformed("no stamp was granted")
    (data,) = inner(held, 0xA0)
    (_, kind), octets = inner(inner(data)[2])
    ((_, said),) = inner(octets, 0xA0)
    (info,) = der(said)
    _, _, imprint, _, (tag, time) = inner(info)[:5]
    if kind != STAMP or tag != 0x18 or not re.fullmatch(rb"[0-9]{14}(\.[0-9]+)?Z", time):
        raise Malformed("what was signed is no stamp")
    algorithm, (_, digest) = inner(imprint)
    if hashlib.new(HASHES.get(inner(algorithm)[0][1], ""), stamped).digest() != digest:
        return ""
    return re.sub("(....)(..)(..)(..)(..)(.*)Z", r"\1-\2-\3 \4:\5:\6 UTC", time.decode())


def registered_on(evidence: bytes, stamped: bytes) -> str:
    """The day of which the protocol register was given these bytes as the last checkpoint; empty if it was given others."""
    found = json.loads(evidence, object_pairs_hook=once)
    if set(found) not in (REGISTERED, REGISTERED - {"sha256"}) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", found["giorno"]):
        raise Malformed("it says more, or less, than it should")
    return str(found["giorno"]) if found.get("sha256", digest_of(stamped)) == digest_of(stamped) else ""


def shown(value: Any) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in str(value)[:500])


def report(bundle: Bundle, language: str) -> str:
    """What was found, in words. What the bundle says is shown without the characters that move about on a terminal."""

    def tell(word: str, **values: Any) -> str:
        return WORDS[word][language != "it"].format(**{name: shown(value) for name, value in values.items()})

    if bundle.found:
        return "\n".join([*(tell(word, **values) for word, values in bundle.found[:50]), tell("failed", count=len(bundle.found))])
    known = {f"{key.name}+{key.id.hex()}" for key in (*bundle.keys, *bundle.witnesses)}
    unverified = sorted({f"{name}+{id.hex()}" for name, id, _ in bundle.checkpoint.signatures} - known)
    told = {"own-key": bundle.own_keys, "unruled": bundle.unruled, "witnessed": bundle.witnessed, "unverified": unverified}
    said = [tell(word, what=", ".join(what)) for word, what in told.items() if what]
    said += [tell("damaged", nth=nth, count=len(bundle.damaged), **values) for nth, values in enumerate(bundle.damaged[:50], 1)]
    said += [tell("absent", what=bundle.absent)] * bool(bundle.absent) + [tell("unwitnessed")] * (not bundle.witnessed)
    for kind, values in bundle.anchored:
        said += [tell(word, **values, records=len(bundle.records)) for word in (kind, f"apart-{kind}")]
    counts = {"records": len(bundle.records), "payloads": bundle.payloads, "files": len(bundle.files)}
    return "\n".join([*said, tell("ok", **counts, origin=bundle.checkpoint.origin, size=bundle.checkpoint.size)])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verifica un fascicolo di Snodo / verifies a bundle of Snodo")
    parser.add_argument("bundle", type=Path, help="il fascicolo / the bundle (.zip)")
    parser.add_argument("--key", action="append", default=[], help="chiave pubblicata del registro / published key of the log")
    parser.add_argument("--witness", action="append", default=[], help="chiave di un testimone / key of a witness")
    parser.add_argument("--lang", choices=("it", "en"), default="it")
    options = parser.parse_args(argv)
    try:
        keys, witnesses = [[Key(said, type) for said in given] for given, type in ((options.key, 1), (options.witness, 4))]
        raw = options.bundle.read_bytes()
    except (OSError, ValueError, IndexError, Malformed) as error:
        parser.error(f"non si può leggere / cannot be read: {shown(options.bundle)}" if isinstance(error, OSError) else str(error))
    bundle = Bundle(raw, keys, witnesses)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(report(bundle, options.lang) + "\n")
    return 5 if bundle.found else 0


if __name__ == "__main__":
    sys.exit(main())
