"""What `bus validate` found before: it says the same as a check of everything, or it is not asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from adapters.openapi.document import document_of
from adapters.openapi.schema import loaded
from bus import earlier
from bus.cli import main
from bus.cli.rules import offered
from bus.config import load
from bus.earlier import Earlier, ground_of, of_folder
from bus.examine import examine, review
from bus.route.parse import parse_route
from bus.rulefiles import files_of
from bus.sharing import Share, shared
from bus.source import Finding, Place, Source
from tests.corpus.world.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
FINDING = Finding(
    "routes/a.yaml",
    3,
    7,
    "wait.no-deadline",
    "warning",
    "step `p` may wait for ever",
    "say one",
    "  - {id: p}",
    others=(Place("b.yaml", 1, 2),),
)
ROUTE = (
    "route: prova.nuovo\nversion: 1\non: edilizia.pratica.presentata\nsteps:\n  - {id: attesa, wait: edilizia.pratica.presentata, as: a}\n"
)

T = TypeVar("T")
Edit = Callable[[dict[str, bytes]], object]


def _in(path: str, old: str, new: str) -> Edit:
    def edit(files: dict[str, bytes]) -> None:
        text = files[path].decode()
        assert old in text, (path, old)
        files[path] = text.replace(old, new, 1).encode()

    return edit


def _new(path: str, text: str) -> Edit:
    return lambda files: files.update({path: text.encode()})


EDITS: dict[str, Edit] = {
    "nothing": lambda files: None,
    "a comment in a route": _in("routes/edilizia/presenta-pratica.yaml", "\nsteps:", "\n# detto\nsteps:"),
    "a route with a warning": _new("routes/prova/nuovo.yaml", ROUTE),
    "a route with an error": _in("routes/edilizia/presenta-pratica.yaml", "anagrafe.cerca-soggetto", "anagrafe.cerca-sogetto"),
    "a second error": _new(
        "routes/prova/rotta.yaml", ROUTE.replace("prova.nuovo", "prova.rotta") + "  - {id: b, set: {x: bodi.y + nome}}\n"
    ),
    "a route that gives a name": _new("routes/prova/nome.yaml", ROUTE.replace("nuovo", "nome") + "  - {id: b, set: {nome: '1'}}\n"),
    "a route that cannot be read": _new("routes/prova/nuovo.yaml", ROUTE + "  - {id: c, \n"),
    "the error mended": _in("routes/edilizia/presenta-pratica.yaml", "anagrafe.cerca-sogetto", "anagrafe.cerca-soggetto"),
    "the route mended": _new("routes/prova/nuovo.yaml", ROUTE),
    "a name for the second time": _new("routes/altro/nuovo.yaml", ROUTE),
    "the other one gone": lambda files: files.pop("routes/prova/nuovo.yaml"),
    "a key of the case": _new(
        "routes/prova/chiave.yaml", ROUTE.replace("nuovo", "chiave").replace("steps:", "case: {chiave: body.x}\nsteps:")
    ),
    "tests beside a route": _new("routes/prova/chiave.test.yaml", "tests:\n  - {name: una, expect: {state: done}}\n"),
    "tests that cannot be read": _new("routes/prova/chiave.test.yaml", "tests:\n  - {name: una\n"),
    "tests that are no map": _new("routes/prova/chiave.test.yaml", "- una\n"),
    "tests that doubt": _new(
        "routes/prova/chiave.test.yaml", "given: {scrivania.assegna: {refuses: MAI}}\ntests:\n  - {name: una, expect: {state: done}}\n"
    ),
    "tests beside no route": _new("routes/prova/nessuna.test.yaml", "tests: []\n"),
    "a table": lambda files: files.pop("mappings/tables/uffici.csv"),
    "a mapping": lambda files: files.pop(next(path for path in files if path.startswith("mappings/edilizia/"))),
    "all services": lambda files: files.pop("routes/servizi.yaml"),
}


def test_after_every_edit_it_says_what_a_check_of_everything_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one process and by three, each with what it has found before, and by three that know nothing."""
    operations = offered(load(ROOT / "config.yaml", secrets=False))
    files, alone, several = files_of(ROOT), Earlier(), Earlier()
    for edit in EDITS.values():
        edit(files)
        whole = _all_of(examine(files, operations)[1])
        monkeypatch.setattr("bus.examine.processes", lambda pieces, least: 1)
        assert whole == _all_of(review(files, operations, alone))
        assert whole == _all_of(review(files, operations, alone)), "what was kept of this very edit"
        monkeypatch.setattr("bus.examine.processes", lambda pieces, least: min(3, max(pieces, 1)))
        assert whole == _all_of(review(files, operations, several))
        assert whole == _all_of(review(files, operations))


def _all_of(findings: list[Finding]) -> list[tuple[Finding, str]]:
    return [(one, one.excerpt) for one in findings]


def test_a_route_that_is_as_it_was_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    files = files_of(ROOT)
    operations, known = offered(load(ROOT / "config.yaml", secrets=False)), Earlier()
    review(files, operations, known)

    def noted(document: object, source: Source) -> object:
        read.append(source.file)
        return parse_route(document, source)

    monkeypatch.setattr("bus.examine.parse_route", noted)
    EDITS["a comment in a route"](files)
    review(files, operations, known)
    assert ["routes/edilizia/presenta-pratica.yaml"] == read


def test_who_shares_the_work_keeps_what_all_of_them_found(monkeypatch: pytest.MonkeyPatch) -> None:
    files, operations = files_of(ROOT), offered(load(ROOT / "config.yaml", secrets=False))
    alone, several = Earlier(), Earlier()
    review(files, operations, alone)
    monkeypatch.setattr("bus.examine.processes", lambda pieces, least: 3)
    review(files, operations, several)
    assert alone._new == several._new


def test_a_route_that_changes_what_all_depend_on_has_all_checked_again_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def noted(work: Callable[[Share], T], size: int) -> list[T]:
        sizes.append(size)
        return shared(work, size)

    monkeypatch.setattr("bus.examine.processes", lambda pieces, least: 2 if pieces > 2 else 1)
    monkeypatch.setattr("bus.examine.shared", noted)
    files, known = files_of(ROOT), Earlier()
    operations = offered(load(ROOT / "config.yaml", secrets=False))
    for edit in ("nothing", "a comment in a route", "a key of the case"):
        EDITS[edit](files)
        review(files, operations, known)
    assert [2, 1, 1, 2] == sizes


# --- the file ------------------------------------------------------------------------------------------------------------


def test_what_is_kept_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    first = Earlier("ground", path)
    first.keep(first.key(b"a"), [FINDING])
    first.keep_outline(first.key(b"b"), {"route": "x"})
    first.save()
    then = Earlier("ground", path)
    assert [FINDING] == then.findings(then.key(b"a"))
    [kept] = then.findings(then.key(b"a")) or []
    assert (FINDING.excerpt, FINDING.others) == (kept.excerpt, kept.others)
    assert {"route": "x"} == then.outline(then.key(b"b"))
    assert 0o600 == path.stat().st_mode & 0o777
    assert None is then.findings(then.key(b"b"))
    assert None is then.findings(Earlier("other ground").key(b"a"))


def test_parts_are_told_from_each_other() -> None:
    known = Earlier()
    assert len({known.key(b"ab", b"c"), known.key(b"a", b"bc"), known.key(b"abc"), known.key(b"abc", b"")}) == 4


@pytest.mark.parametrize("broken", [b"", b"{}", b"\x80\x04\x95.", b"cut", b"changed", b"a folder", b"shared"])
def test_a_file_that_is_not_exactly_what_we_wrote_is_passed_over(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "snodo" / "findings"
    first = Earlier("", path)
    first.keep("k", [FINDING])
    first.save()
    good = path.read_bytes()
    if broken == b"shared":
        path.parent.chmod(0o777)
    elif broken == b"a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({b"cut": good[:-9], b"changed": good.replace(b"ever", b"once")}.get(broken, broken))
    then = Earlier("", path)
    assert None is then.findings("k")
    then.keep("k", [])
    then.save()  # no error, whatever is there
    assert Earlier("", path).findings("k") == (None if broken in {b"shared", b"a folder"} else [])
    assert {path} == set(path.parent.iterdir())


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    for turn in range(20):
        known = Earlier("", tmp_path / "findings")
        known.keep(str(turn), [])
        known.save()
    kept = Earlier("", tmp_path / "findings")
    assert ["12", "13", "14", "15", "16", "17", "18", "19"] == [one for one in map(str, range(20)) if kept.findings(one) is not None]


# --- what findings depend on ---------------------------------------------------------------------------------------------


def test_the_ground_changes_with_whatever_a_check_can_see(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    grounds = [ground_of(OPERATIONS, {})]
    assert grounds == [ground_of(OPERATIONS, {"http": "no matter"})]
    grounds.append(ground_of(OPERATIONS, {"adapters.sys": "digest"}))
    name, one = next(iter(OPERATIONS.items()))
    others = (replace(one, timeout=one.timeout + 1), replace(one, refusals={"X": "y"}), replace(one, answer=one.request))
    grounds += [ground_of({**OPERATIONS, name: other}, {}) for other in others]
    (tmp_path / "cel-99.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    grounds.append(ground_of(OPERATIONS, {}))
    monkeypatch.setattr(earlier, "_code_of", lambda package: iter([b"changed"]))
    grounds.append(ground_of(OPERATIONS, {}))
    assert len(set(grounds)) == len(grounds)


def test_the_code_of_the_bus_and_of_adapters_is_in_it(tmp_path: Path) -> None:
    ours = list(earlier._code_of("bus"))
    assert Path(earlier.__file__).read_bytes() in ours
    contract = next((ROOT / "adapters" / "anagrafe" / "contract").glob("*.wsdl"))
    assert contract.read_bytes() in list(earlier._code_of("adapters"))


# --- the command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)
    for part in ("routes", "mappings"):
        shutil.copytree(ROOT / part, tmp_path / "rules" / part)
    return tmp_path / "rules"


def said(capsys: pytest.CaptureFixture[str], rules: Path, *options: str) -> tuple[int, list[dict[str, object]]]:
    code = main(["validate", str(rules), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def test_the_command_says_the_same_with_what_it_kept_and_without(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (rules / "routes" / "nuovo.yaml").write_text(ROUTE)
    first = said(capsys, rules, "--no-cache")
    assert not (rules.parent / "cache").exists()
    assert [first] * 3 == [said(capsys, rules), said(capsys, rules), said(capsys, rules, "--no-cache")]
    assert 1 == len(list((rules.parent / "cache" / "snodo").iterdir()))
    (rules / "routes" / "nuovo.yaml").write_text(ROUTE.replace("as: a", "az: a"))
    code, found = said(capsys, rules)
    assert (1, found) == said(capsys, rules, "--no-cache") == (code, found)
    assert "field.unknown" in [one["code"] for one in found]


@pytest.mark.parametrize("work", ["bus.examine.review", "bus.cli.rules.offered"])
def test_no_rules_are_read_into_a_catalog_and_no_adapter_is_asked_when_all_is_as_it_was(
    rules: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    first = said(capsys, rules)
    monkeypatch.setattr(work, None)
    assert first == said(capsys, rules)


def test_without_a_folder_of_its_own_all_is_checked(
    rules: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = said(capsys, rules)
    (rules.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(rules.parent / "file" / "inside"))
    assert first == said(capsys, rules)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert None is of_folder(rules, "")._path
    assert first == said(capsys, rules)


def test_a_folder_without_routes_is_told_as_ever(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(rules / "routes")
    code, found = said(capsys, rules)
    assert (1, "catalog.no-routes") == (code, found[-1]["code"])


CONTRACT = """
openapi: 3.0.3
info: {title: Anagrafe, version: "1"}
paths:
  /persone:
    get:
      operationId: leggi
      responses: {"200": {description: una, content: {application/json: {schema: {type: object, properties: {nome: {type: string}}}}}}}
"""
ASKS = """
route: prova.chiede
version: 1
on: edilizia.pratica.presentata
steps:
  - {id: chiede, call: fuori.leggi, with: {}, as: persona}
  - {id: usa, set: {nome: persona.nome}}
"""


def test_a_contract_that_the_settings_name_is_read_again(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, contract = rules.parent / "config.yaml", rules.parent / "fuori.yaml"
    system = {
        "use": "rest",
        "url": "http://127.0.0.1:1",
        "openapi": str(contract),
        "operations": {"leggi": {"operation": "leggi", "effect": "read"}},
    }
    named = {"organization": {"name": "Comune", "fiscal_code": "80001130857"}, "adapters": {"fuori": system}}
    settings.write_text(json.dumps(named))
    contract.write_text(CONTRACT)
    shutil.rmtree(rules / "routes")
    (rules / "routes").mkdir()
    (rules / "routes" / "chiede.yaml").write_text(ASKS)
    option = ("--config", str(settings))
    first = said(capsys, rules, *option)
    assert first == said(capsys, rules, *option)
    contract.write_text(CONTRACT.replace("nome", "cognome"))
    for read_once in (document_of, loaded):
        read_once.cache_clear()  # as in a new process
    then = said(capsys, rules, *option)
    assert then == said(capsys, rules, *option, "--no-cache") != first
