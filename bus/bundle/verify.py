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
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

APART = {"manifest.json", "seal.json"}
"""Files that the manifest does not list: itself, and the proof that the log knows it."""
SAYS = {
    "manifest.json": {"v", "origin", "keys", "size", "scope", "records", "payloads", "files"},
    "seal.json": {"checkpoint", "consistency", "index", "proof", "record"},
    "records.jsonl": {"index", "proof", "record"},
    "payloads.jsonl": {"id", "type", "nonce", "sealed", "key"},
}
"""What is said there, and nothing else: what nobody compares with anything could be anything."""
ANCHOR = re.compile(r"anchors/(?:([1-9][0-9]{0,18})/)?([^/]+)")
"""What others said of the bundle's checkpoint, or of one of another size, with which lies the proof that it is of the same log."""
RULE = re.compile(r"rules/(?:route|file|edition)/([0-9a-f]{64})(?:\.json)?")
WORDS = {
    "ok": ("VERIFICATO: {records} annotazioni, {payloads} contenuti, {files} file; registro {origin}, sigillo a {size}.",
           "VERIFIED: {records} records, {payloads} payloads, {files} files; log {origin}, checkpoint at {size}."),
    "failed": ("NON VERIFICATO: {count} rilievi.", "NOT VERIFIED: {count} findings."),
    "own-key": ("ATTENZIONE: chiave presa dal fascicolo, confrontala con quella pubblicata (--key): {keys}",
                "WARNING: the key is the one in the bundle; compare it with the published one (--key): {keys}"),
    "absent": ("Contenuti nominati che non ci sono (cancellati, o non esportati): {count}.",
               "Payloads that records name and that are not here (erased, or not exported): {count}."),
    "witnessed": ("Testimoni: {names}", "Witnesses: {names}"),
    "witness": ("nessuna firma del testimone {key} sul sigillo", "no cosignature of the witness {key} on the checkpoint"),
    "unwitnessed": ("Nessun testimone verificato (--witness).", "No witness was verified (--witness)."),
    "read": ("il file non si legge: {why}", "the file cannot be read: {why}"),
    "container": ("il contenitore ZIP non è quello che lo strumento scrive: byte o voci in più, fuori posto o cambiati",
                  "the ZIP container is not the one that is written: bytes or entries added, moved or changed"),
    "missing": ("manca {name}", "{name} is missing"),
    "malformed": ("{name} non ha la forma attesa: {why}", "{name} has not the expected form: {why}"),
    "key": ("nessuna firma valida della chiave del registro su {name}", "no good signature of the log's key on {name}"),
    "false": ("firma falsa su {name} a nome di {key}", "a false signature on {name} in the name of {key}"),
    "origin": ("{name} è di un altro registro: {found}", "{name} is of another log: {found}"),
    "leaf": ("annotazione n. {index} ({id}): non è quella sigillata nel registro", "record {index} ({id}): not the one sealed in the log"),
    "order": ("annotazione n. {index}: ripetuta o fuori ordine", "record {index}: repeated or out of order"),
    "payload": ("contenuto {id}: non è quello a cui l'annotazione si è impegnata", "payload {id}: not what the record committed to"),
    "stranger": ("contenuto {id}: nessuna annotazione lo nomina, o è ripetuto", "payload {id}: no record names it, or it is repeated"),
    "uncovered": ("{name}: nessuna prova lo copre", "{name}: no proof covers it"),
    "changed": ("{name}: cambiato dopo l'esportazione", "{name}: changed after the export"),
    "seal": ("il registro non conosce questo fascicolo: il manifesto non è quello annotato come esportato",
             "the log does not know this bundle: its manifest is not the one recorded as exported"),
    "grown": ("il registro che ha annotato l'esportazione non continua quello del sigillo",
              "the log that recorded the export does not go on from that of the checkpoint"),
    "rules": ("{name}: non corrisponde alla propria impronta", "{name}: not what its fingerprint says"),
    "apart": ("{name}: il suo registro non è quello del sigillo", "{name}: its log is not that of the checkpoint"),
    "anchored": ("{name}: vale per {covered} annotazioni su {records}, si verifica a parte (openssl ts, registro di protocollo).",
                 "{name}: holds for {covered} of {records} records, to be verified apart (openssl ts, protocol register)."),
    "counts": ("il manifesto conta altre annotazioni o altri contenuti", "the manifest counts other records or other payloads"),
}  # fmt: skip
Finding = "tuple[str, dict[str, Any]]"


class Malformed(Exception):
    """A file is not of the form that it should have."""


# -- the container: one way to write it, so that every byte is accounted for -----------------------------------------


def packed(files: Mapping[str, bytes]) -> bytes:
    """The ZIP of these files: sorted by name, stored, all of one time, so that the same files are the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, files[name])
    return out.getvalue()


def unpacked(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(raw):
            raise Malformed("it unpacks to more than it has")
        return {entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()}


# -- Ed25519 (RFC 8032), signed notes, the tree of RFC 6962 ----------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)  # noqa: E741 - the square root of -1, as the RFC's readers know it
Point = "tuple[int, int, int, int]"


def _add(a: Any, b: Any) -> Any:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def _times(scalar: int, point: Any) -> Any:
    found = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
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
    if x & 1 != sign:
        x = P - x
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

    def __init__(self, said: str) -> None:
        name, id, material = [*said.strip().split("+", 2), "", ""][:3]
        if not material:
            raise Malformed(f"chiave / key {said!r}: NOME+NUMERO+BASE64")
        raw = unbase64(material)
        self.said, self.name, self.type, self.key = said.strip(), name, raw[0], raw[1:]
        self.id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if self.id.hex() != id or self.type not in (1, 4) or len(self.key) != 32:
            raise Malformed(f"no key: {said}")

    def signed(self, text: str, value: bytes) -> bool:
        if self.type == 1:
            return ed25519(self.key, text.encode(), value)
        time = int.from_bytes(value[:8], "big")
        return ed25519(self.key, f"cosignature/v1\ntime {time}\n{text}".encode(), value[8:])


class Note:
    """A signed note (c2sp.org/signed-note): a text, and signatures as (name, key id, value)."""

    def __init__(self, raw: bytes) -> None:
        said = raw.decode()
        head, gap, tail = said.rpartition("\n\n")
        if not gap or not tail.endswith("\n"):
            raise Malformed("no signed note")
        self.text, self.signatures = head + "\n", []
        for line in tail[:-1].split("\n"):
            mark, name, value = line.split(" ")
            if mark != "\u2014":
                raise Malformed("no line of a signature")
            self.signatures.append((name, unbase64(value)[:4], unbase64(value)[4:]))

    def by(self, keys: Sequence[Key]) -> tuple[list[str], list[str]]:
        """The names of the keys that signed it, and of those in whose name it was signed falsely."""
        good: list[str] = []
        false: list[str] = []
        for name, id, value in self.signatures:
            for key in keys:
                if (key.name, key.id) == (name, id):
                    (good if key.signed(self.text, value) else false).append(name)
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
    if not isinstance(found, dict) or set(found) not in [SAYS[name] | {one} for one in either] + [SAYS[name]] * (not either):
        raise Malformed("it says more, or less, than it should")
    return found


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, hash = index, size - 1, leaf
    for step in proof:
        if last == 0 or len(step) != 32:
            return False
        if at & 1 or at == last:
            hash = _node(step, hash)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hash = _node(hash, step)
        at, last = at >> 1, last >> 1
    return last == 0 and hash == root


def extends(old: bytes, first: int, new: bytes, second: int, proof: Sequence[bytes]) -> bool:
    """RFC 9162, 2.1.4.2."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and old == new
    path = list(proof) if first & (first - 1) else [old, *proof]
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for step in path[1:]:
        if last == 0 or len(step) != 32:
            return False
        if at & 1 or at == last:
            before, after = _node(step, before), _node(step, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = _node(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old and after == new


# -- the bundle ------------------------------------------------------------------------------------------------------


class Bundle:
    """A bundle that is being verified; ``found`` are the findings, as (word, values), in the order of the story."""

    def __init__(self, raw: bytes, keys: Sequence[Key] = (), witnesses: Sequence[Key] = ()) -> None:
        self.found: list[Any] = []
        self.witnessed: list[str] = []
        self.keys, self.witnesses = list(keys), list(witnesses)
        self.records: list[Any] = []
        self.indexes: list[int] = []
        self.payloads = self.absent = 0
        self.own_keys: list[str] = []
        self.anchored: list[tuple[str, int]] = []
        self.checkpoint: Any = None
        try:
            self.files = unpacked(raw)
            whole = packed(self.files) == raw
        except Malformed:
            self.say("container")
            return
        except Exception as error:  # noqa: BLE001 - whatever a damaged archive makes of itself
            self.say("read", why=repr(error))
            return
        for check in (self._checkpoint, self._records, self._anchors, self._payloads, self._rules, self._manifest, self._seal):
            try:
                check()
            except KeyError as error:
                self.say("missing", name=error.args[0])
            except Exception as error:  # noqa: BLE001 - a hostile file may be anything
                self.say("malformed", name=check.__name__[1:], why=repr(error)[:200])
        if not whole:
            self.say("container")

    def say(self, word: str, **values: Any) -> None:
        self.found.append((word, values))

    def lines(self, name: str, *either: str) -> Iterator[Any]:
        return (said(name, line, *either) for line in self.files[name].decode().split("\n") if line)

    def _checkpoint(self) -> None:
        self.manifest = said("manifest.json", self.files["manifest.json"].decode())
        self.checkpoint = Checkpoint(self.files["checkpoint"])
        if self.manifest["size"] != self.checkpoint.size:
            self.say("counts")
        stamped = self.files.get("anchors/checkpoint")
        if stamped is not None and Note(stamped).text != self.checkpoint.text:
            self.say("uncovered", name="anchors/checkpoint")
        if not self.keys:
            self.own_keys = list(self.manifest["keys"])
            self.keys = [Key(said) for said in self.own_keys]
        self._trust("checkpoint", self.checkpoint)
        self.witnessed, false = self.checkpoint.by(self.witnesses)
        for name in false:
            self.say("false", name="checkpoint", key=name)
        for key in self.witnesses:
            if key.name not in self.witnessed:
                self.say("witness", key=key.said)

    def _trust(self, name: str, checkpoint: Any) -> None:
        good, false = checkpoint.by(self.keys)
        if not good:
            self.say("key", name=name)
        for key in false:
            self.say("false", name=name, key=key)
        if checkpoint.origin != self.manifest["origin"]:
            self.say("origin", name=name, found=checkpoint.origin)

    def _records(self) -> None:
        last, size, root = -1, self.checkpoint.size, self.checkpoint.root
        for line in self.lines("records.jsonl"):
            index, content = line["index"], line["record"].encode()
            record = json.loads(content, object_pairs_hook=once)
            if not includes(root, size, index, leaf_hash(content), [unbase64(step) for step in line["proof"]]):
                self.say("leaf", index=index, id=record.get("id", "?"))
            if index <= last:
                self.say("order", index=index)
            last = index
            self.indexes.append(index)
            self.records.append(record)

    def _anchors(self) -> None:
        """Stamps and numbers themselves are for others to verify; which records they hold for is said."""
        for name in self.files:
            match = ANCHOR.fullmatch(name)
            if match and match[2] not in ("checkpoint", "consistency"):
                size = self._apart(f"anchors/{match[1]}/", int(match[1])) if match[1] else self.checkpoint.size
                self.anchored.append((name, sum(index < size for index in self.indexes)))

    def _apart(self, folder: str, size: int) -> int:
        """The size of the checkpoint there, which is of this log: no signature of ours is needed for that, the proof tells."""
        other = Checkpoint(self.files[folder + "checkpoint"])
        proof = [unbase64(step) for step in self.files[folder + "consistency"].decode().split("\n")[:-1]]
        old, new = sorted((self.checkpoint, other), key=lambda one: one.size)
        if (other.origin, other.size) != (self.checkpoint.origin, size) or not extends(old.root, old.size, new.root, new.size, proof):
            self.say("apart", name=folder + "checkpoint")
        return size

    def _payloads(self) -> None:
        named = {one["id"]: (one["size"], one["type"]) for record in self.records for one in record.get("payloads", ())}
        for line in self.lines("payloads.jsonl", "text", "base64"):
            id, nonce, sealed, own = line["id"], unbase64(line["nonce"]), unbase64(line["sealed"]), unbase64(line["key"])
            text = unbase64(line["base64"]) if "base64" in line else line["text"].encode()
            content = sealed or text
            bound = hashlib.sha256(b"snodo.text/1" + own + text).digest()
            opened = sealed[-32:] == bound if sealed or len(nonce) == 33 else not own
            # the commitment is over nonce and content, one behind the other: their lengths say where they are parted
            parted = (len(nonce), len(content)) == ((33, len(text) + 48) if sealed else (32, len(text)))
            if not (opened and parted) or hashlib.sha256(nonce + content).hexdigest() != id:
                self.say("payload", id=id)
            if id not in named:
                self.say("stranger", id=id)
            elif named.pop(id) != (len(text), line["type"]):
                self.say("payload", id=id)
            self.payloads += 1
        self.absent = len(named)

    def _rules(self) -> None:
        for name, content in self.files.items():
            match = RULE.fullmatch(name)
            if match and hashlib.sha256(content).hexdigest() != match[1]:
                self.say("rules", name=name)

    def _manifest(self) -> None:
        listed = self.manifest["files"]
        for name, content in self.files.items():
            if name not in APART and name not in listed:
                self.say("uncovered", name=name)
            elif name in listed and listed[name] != hashlib.sha256(content).hexdigest():
                self.say("changed", name=name)
        for name in sorted(set(listed) - set(self.files)):
            self.say("missing", name=name)
        if (self.manifest["records"], self.manifest["payloads"]) != (len(self.records), self.payloads):
            self.say("counts")

    def _seal(self) -> None:
        seal = said("seal.json", self.files["seal.json"].decode())
        if json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False).encode() != self.files["seal.json"]:
            self.say("uncovered", name="seal.json")
        newer = Checkpoint(seal["checkpoint"].encode())
        self._trust("seal.json", newer)
        good = newer.by([*self.keys, *map(Key, self.manifest["keys"])])[0]
        if len(good) < len(newer.signatures) or len(set(newer.signatures)) < len(newer.signatures):
            self.say("uncovered", name="seal.json")
        proof = [unbase64(step) for step in seal["proof"]]
        record = json.loads(seal["record"])
        if not includes(newer.root, newer.size, seal["index"], leaf_hash(seal["record"].encode()), proof):
            self.say("leaf", index=seal["index"], id=record.get("id", "?"))
        old = self.checkpoint
        if not extends(old.root, old.size, newer.root, newer.size, [unbase64(step) for step in seal["consistency"]]):
            self.say("grown")
        if record.get("kind") != "exported" or record["data"]["manifest"] != hashlib.sha256(self.files["manifest.json"]).hexdigest():
            self.say("seal")


def shown(value: Any) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in str(value)[:500])


def report(bundle: Bundle, language: str) -> str:
    """What was found, in words. What the bundle says is shown without the characters that move about on a terminal."""
    at = 0 if language == "it" else 1
    said = [WORDS[word][at].format(**{name: shown(value) for name, value in values.items()}) for word, values in bundle.found]
    if bundle.found:
        return "\n".join([*said[:50], WORDS["failed"][at].format(count=len(said))])
    if bundle.own_keys:
        said.append(WORDS["own-key"][at].format(keys=shown(", ".join(bundle.own_keys))))
    if bundle.absent:
        said.append(WORDS["absent"][at].format(count=bundle.absent))
    names = shown(", ".join(bundle.witnessed))
    said.append(WORDS["witnessed" if names else "unwitnessed"][at].format(names=names))
    for name, covered in bundle.anchored:
        said.append(WORDS["anchored"][at].format(name=shown(name), covered=covered, records=len(bundle.records)))
    counts = {"records": len(bundle.records), "payloads": bundle.payloads, "files": len(bundle.files)}
    return "\n".join([*said, WORDS["ok"][at].format(**counts, origin=shown(bundle.checkpoint.origin), size=bundle.checkpoint.size)])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verifica un fascicolo di Snodo / verifies a bundle of Snodo")
    parser.add_argument("bundle", type=Path, help="il fascicolo / the bundle (.zip)")
    parser.add_argument("--key", action="append", default=[], help="chiave pubblicata del registro / published key of the log")
    parser.add_argument("--witness", action="append", default=[], help="chiave di un testimone / key of a witness")
    parser.add_argument("--lang", choices=("it", "en"), default="it")
    options = parser.parse_args(argv)
    try:
        keys, witnesses = [[Key(said) for said in given] for given in (options.key, options.witness)]
        raw = options.bundle.read_bytes()
    except (OSError, ValueError, IndexError, Malformed) as error:
        parser.error(str(error))
    bundle = Bundle(raw, keys, witnesses)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(report(bundle, options.lang) + "\n")
    return 5 if bundle.found else 0


if __name__ == "__main__":
    sys.exit(main())
