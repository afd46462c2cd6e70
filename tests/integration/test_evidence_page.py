"""`docs/design/evidence.md` suffices to verify us: a program that was written from it says of everything what ours say, and imports none.

Of bundles also of those that the holder of the log's key makes as he likes, seal and all: what then is wrong is told by nothing but their form.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.bundle import verify
from bus.cli import main
from bus.clock import SystemClock
from bus.engine.arrival import Submission
from bus.log import keys, note, tree
from bus.log.record import content
from bus.message import canonical
from bus.testing.patience import until
from tests import by_the_page as page
from tests.small_bus import running

Lines = list[dict[str, Any]]
OWNER = note.Signer.new("registro.example")


def test_it_knows_nothing_of_ours():
    imported = [
        ast.unparse(one)
        for one in ast.walk(ast.parse(Path(page.__file__).read_text("utf-8")))
        if isinstance(one, ast.Import | ast.ImportFrom)
    ]
    assert not [one for one in imported if "bus" in one.split() or "tests" in one.split()]


def test_a_bundle_is_verified_and_whatever_is_changed_in_it_is_wrong(exported):
    raw, key = exported
    assert [record["kind"] for record in page.bundle(raw, [page.key(key)])] == ["rules", "received", "replied", "done"]
    with pytest.raises(page.Wrong, match="nobody known signed the seal"):
        page.bundle(raw, [page.key(str(OWNER.verifier))])
    for at in range(0, len(raw), 997):
        with pytest.raises((page.Wrong, LookupError, ValueError)):
            page.bundle(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], [page.key(key)])


def test_receipts_and_the_folder_of_tiles_are_verified_and_a_change_of_keys_is_followed(tmp_path):
    config = ["--config", str(tmp_path / "config.yaml")]
    with running(tmp_path) as server:
        told = [server.app.send(Submission("prova.saluto", {"nome": f"n{n}"}, "portale", role="portal")) for n in range(100)]
        receipts = [one.result(60).receipt for one in told]
        until(server.app.engine.idle, "all is done")
    first = page.key(str(note.read_signer(tmp_path / "var/log.key").verifier))
    door = page.key(str(note.read_signer(tmp_path / "var/receipts.key").verifier))
    assert main(["log", "key", "new", str(tmp_path / "var/new.key"), *config]) == 0
    with running(tmp_path, log={"key": "var/new.key", "previous_key": "var/log.key"}):
        pass
    assert main(["log", "tiles", str(tmp_path / "registro"), *config]) == 0
    records = page.entries(tmp_path / "registro", [first])
    assert len(records) > 256
    leaves = [page.leaf(one) for one in records]
    for text in receipts:
        message, promised = page.receipt(text, [door])
        record = json.loads(records[leaves.index(promised)])
        assert (record["kind"], record["message"]) == ("received", message)
    with pytest.raises(page.Wrong):
        page.receipt(receipts[0].replace("index ", "index 1"), [door])
    known = {first}
    for record in map(json.loads, records):
        known = page.announced(record, known) if record["kind"] == "keys" and record["data"]["purpose"] == "checkpoints" else known
    assert known == {first, page.key(str(note.read_signer(tmp_path / "var/new.key").verifier))}
    strange = keys.announcement("checkpoints", "registro.example", [OWNER], SystemClock())
    with pytest.raises(page.Wrong, match="no key that is known"):
        page.announced(json.loads(content(strange)), known)
    [file] = (tmp_path / "registro/tile/entries").glob("000*")
    file.write_bytes(file.read_bytes().replace(b'"received"', b'"receIved"', 1))
    with pytest.raises(page.Wrong, match="another root"):
        page.entries(tmp_path / "registro", [first])


def test_cosignatures_are_verified():
    witness = note.Signer.new("testimone.example", note.COSIGNATURE)
    head = page.head(_head([b"a" * 32], witness))
    known = page.key(str(witness.verifier))
    assert page.signers(head.text, head.lines, [known]) == [known]
    name, id, value = head.lines[1]
    with pytest.raises(page.Wrong, match="a false signature of testimone"):
        page.signers(head.text, [(name, id, value[:7] + bytes([value[7] ^ 1]) + value[8:])], [known])


# -- bundles as the holder of the log's key makes them -----------------------------------------------------------------


def _b64(steps: list[bytes]) -> list[str]:
    return [base64.b64encode(step).decode() for step in steps]


def _head(leaves: list[bytes], *witnesses: note.Signer) -> bytes:
    text = f"registro.example\n{len(leaves)}\n{_b64([page.root_of(leaves)])[0]}\n"
    return note.Note(text, (OWNER.sign(text), *(one.sign(text, 1_800_000_000) for one in witnesses))).encode()


def sealed(
    raw: bytes,
    *,
    records: Callable[[list[str]], list[str]] = list,
    lines: Callable[[Lines], Lines] = list,
    payloads: Callable[[Lines], Lines] = list,
    files: Callable[[dict[str, bytes]], dict[str, bytes]] = dict,
    says: dict[str, Any] | None = None,
    export: Callable[[str], str] = str,
    seal: dict[str, Any] | None = None,
) -> bytes:
    """The bundle of another log, with changes at each of the places where its owner can make one before he seals it."""
    kept = verify.unpacked(raw)
    told = records([json.loads(line)["record"] for line in kept["records.jsonl"].splitlines()])
    leaves = [b"first" + bytes(27), *(tree.leaf_hash(one.encode()) for one in told)]
    made = lines([{"index": at, "proof": _proof(at, leaves), "record": one} for at, one in enumerate(told, 1)])
    opened = payloads([json.loads(line) for line in kept["payloads.jsonl"].splitlines()])
    kept |= {"checkpoint": _head(leaves), "records.jsonl": _jsonl(made), "payloads.jsonl": _jsonl(opened)}
    kept = files(kept)
    manifest = {
        **json.loads(kept["manifest.json"]), "origin": "registro.example", "keys": [str(OWNER.verifier)], "size": len(leaves),
        "records": len(made), "payloads": len(opened), "files": {},
    }  # fmt: skip
    manifest["files"] = {name: hashlib.sha256(one).hexdigest() for name, one in kept.items() if name not in verify.APART}
    kept["manifest.json"] = canonical(manifest | (says or {}))
    exported = export(canonical({"data": {"manifest": hashlib.sha256(kept["manifest.json"]).hexdigest()}, "kind": "exported"}).decode())
    grown = [*leaves, tree.leaf_hash(exported.encode())]
    made_seal = {
        "checkpoint": _head(grown).decode(), "consistency": _b64(tree.consistency(len(leaves), len(grown), _nodes(grown))),
        "index": len(leaves), "proof": _proof(len(leaves), grown), "record": exported, **(seal or {}),
    }  # fmt: skip
    return verify.packed({**kept, "seal.json": json.dumps(made_seal, sort_keys=True, indent=1, ensure_ascii=False).encode()})


def _nodes(leaves: list[bytes]) -> tree.Node:
    return lambda level, index: page.root_of(leaves[index << level : (index + 1) << level])


def _proof(index: int, leaves: list[bytes]) -> list[str]:
    return _b64(tree.inclusion(index, len(leaves), _nodes(leaves)))


def _jsonl(lines: Lines) -> bytes:
    return b"".join(canonical(line) + b"\n" for line in lines)


def _first(**changes: Any) -> Callable[[Lines], Lines]:
    return lambda lines: [{**lines[0], **changes}, *lines[1:]]


def _added(name: str, content: bytes = b"falso") -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {**files, name: content}


def _beside_the_rules(name: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {**files, name.format(next(one for one in files if one.startswith("rules/route/"))[12:]): b"falso"}


def _of_the_first(lines: Lines) -> Lines:
    """The proof as an object, in which a text stands under each step."""
    return _first(proof=dict.fromkeys(lines[0]["proof"], "falso"))(lines)


def _a_letter_of_the_text_in_the_key(lines: Lines) -> Lines:
    key, text = base64.b64decode(lines[0]["key"]), lines[0]["text"]
    return _first(key=_b64([key + text[:1].encode()])[0], text=text[1:])(lines)


WRONG: dict[str, dict[str, Any]] = {
    "records out of order": {"lines": lambda lines: lines[::-1]},
    "a record twice": {"lines": lambda lines: [*lines, lines[-1]]},
    "a place that is true": {"lines": _first(index=True)},
    "a place with a point": {"lines": _first(index=1.0)},
    "a proof with texts in it": {"lines": _of_the_first},
    "a record that is a list of pairs": {"records": lambda told: [*told, '[["kind","received"]]']},
    "a record that is a list": {"records": lambda told: [*told, "[]"]},
    "a record that says nothing": {"records": lambda told: [*told, "{}"]},
    "a record that says a name twice": {"records": lambda told: [*told, '{"kind":"x","kind":"y"}']},
    "an export that says a name twice": {"export": lambda told: told.replace('"kind"', '"kind":"received","kind"')},
    "an export that is none": {"export": lambda told: told.replace("exported", "received")},
    "a payload twice": {"payloads": lambda lines: [*lines, lines[0]]},
    "a payload that nobody names": {"payloads": _first(id="0" * 80)},
    "a payload of another type": {"payloads": _first(type="text/html")},
    "a payload without its key": {"payloads": _first(key="")},
    "a payload whose key ends elsewhere": {"payloads": _a_letter_of_the_text_in_the_key},
    "a damaged payload that is there": {"files": lambda files: {**files, "damaged.jsonl": _jsonl([
        {"id": json.loads(files["payloads.jsonl"].splitlines()[0])["id"], "why": "così"}])}},
    "a damaged payload that nobody names": {"files": _added("damaged.jsonl", b'{"id":"x","why":"y"}\n')},
    "other rules": {"files": _beside_the_rules("rules/route/{}")},
    "other rules under a longer name": {"files": _beside_the_rules("rules/route/{}.json")},
    "other rules in a folder below": {"files": _beside_the_rules("rules/route/x/{}")},
    "rules of another name": {"files": _added("rules/file/letto")},
    "a file over another": {"files": _added("SUMMARY.HTML")},
    "a file as a folder": {"files": _added("summary.html/x")},
    "a file as a folder, above": {"files": _added("rules")},
    "a device of Windows": {"files": _added("CON")},
    "a device of Windows in a folder": {"files": _added("rules/text/aux.txt")},
    "keys that are no list": {"says": {"keys": {str(OWNER.verifier): "falso"}}},
    "another origin": {"says": {"origin": "altro.example"}},
    "more payloads": {"says": {"payloads": 9}},
    "a seal without consistency": {"seal": {"consistency": []}},
    "a seal elsewhere": {"seal": {"index": 0}},
}  # fmt: skip


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_bundle_that_is_wrong_in_form_is_so_for_both_though_the_log_s_own_key_sealed_it(exported, change):
    made = sealed(exported[0], **change)
    assert verify.Bundle(made, [verify.Key(str(OWNER.verifier))]).found
    with pytest.raises((page.Wrong, LookupError, ValueError)):
        page.bundle(made, [page.key(str(OWNER.verifier))])


@pytest.mark.parametrize(
    "change",
    [{}, {"payloads": lambda lines: []}, {"files": _added("console/nulla.txt")}, {"records": lambda told: [*told, '{"kind":"x"}']}],
    ids=["nothing", "no payloads", "another file", "another record"],
)
def test_a_bundle_that_is_right_is_so_for_both(exported, change):
    made = sealed(exported[0], **change)
    assert verify.Bundle(made, [verify.Key(str(OWNER.verifier))]).found == []
    assert page.bundle(made, [page.key(str(OWNER.verifier))])


def test_a_name_of_many_folders_costs_no_more_than_its_bytes(exported):
    """Each folder of it, taken apart, would be a gigabyte."""
    made = sealed(exported[0], files=_added("a/" * 30_000 + "a"))
    tracemalloc.start()
    verify.Bundle(made, [verify.Key(str(OWNER.verifier))])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
