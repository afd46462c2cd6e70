"""Documents cannot drift: links resolve, snippets are real, every error code and every setting is explained."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bus.log.record import KINDS
from tests.unit.sources import PROJECT, PYTHON

DOCS = sorted({*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "adapters").rglob("*.md")})
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
# Codes of findings are passed by position to one of these methods, or made elsewhere and of one of these families.
REPORTERS = ("at", "_at", "report", "refuse", "fail", "Failure", "Finding", "error_of", "_cannot_ask")
FINDINGS = ("yaml", "route", "mapping", "table", "schema", "name", "type", "types", "services", "service", "step", "test", "rules")
CODE = re.compile(r"^[a-z]+(?:-[a-z]+)*\.[a-z0-9]+(?:-[a-z0-9]+)*$")


def text_of(relative: str) -> str:
    return (PROJECT / relative).read_text(encoding="utf-8")


# -- links ------------------------------------------------------------------------------------------------------------


def links_of(text: str) -> list[str]:
    """Targets inside the repository; code blocks do not count."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"[a-z]+:", target)]


def anchors_of(text: str) -> set[str]:
    """As the forges make them from headings: lowercase, blanks to hyphens, punctuation gone."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> Iterator[str]:
    for target in links_of(path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors_of(file.read_text(encoding="utf-8"))):
            yield target


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_link_leads_somewhere(path):
    assert list(broken_links(path)) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](no.md) [b](#one) [c](#two) [d](page.md#one) [e](https://comune.example)\n")
    assert list(broken_links(page)) == ["no.md", "#two"]


def test_every_decision_is_listed():
    listed = set(links_of(text_of("docs/decisions/README.md")))
    assert listed == {path.name for path in (PROJECT / "docs/decisions").glob("*.md")} - {"README.md"}


# -- snippets ---------------------------------------------------------------------------------------------------------


def snippets(language: str) -> list[tuple[str, str]]:
    """(place, text) of every fenced block in that language."""
    found = []
    for path in DOCS:
        blocks = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        found += [(str(path.relative_to(PROJECT)), block) for block in blocks]
    return found


@pytest.mark.parametrize(("place", "text"), snippets("python"))
def test_python_snippets_parse_and_import_what_exists(place, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in {"bus", "adapters"}:
            module = __import__(node.module, fromlist=["*"])
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]


def test_yaml_and_json_snippets_parse():
    for _, text in snippets("yaml"):
        assert yaml.safe_load(text) is not None
    for _, text in snippets("json"):
        json.loads(text)


@pytest.mark.parametrize(("place", "text"), snippets("sh"))
def test_make_targets_named_in_shell_snippets_exist(place, text):
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", text, flags=re.MULTILINE)) <= targets


def bodies_sent() -> list[dict]:
    """The message that the README sends by curl, and the one that the portal's page sends by Python."""
    [curl] = [text for place, text in snippets("sh") if place == "README.md" and "curl" in text]
    message = json.loads(curl[curl.index("-d '") + 4 : curl.rindex("'")])
    [client] = [text for place, text in snippets("python") if place == "docs/portal-developer.md"]
    dicts = [ast.literal_eval(node) for node in ast.walk(ast.parse(client)) if isinstance(node, ast.Dict)]
    return [message["data"], next(found for found in dicts if "istanza" in found)]


def test_the_messages_that_the_pages_send_are_valid():
    import jsonschema_rs

    schema = yaml.safe_load(text_of("mappings/types/edilizia.pratica.presentata.yaml"))["schema"]
    for body in bodies_sent():
        jsonschema_rs.Draft202012Validator(schema).validate(body)


# -- error codes ------------------------------------------------------------------------------------------------------


def codes_in(source: str) -> set[str]:
    """Every error code written in the code: given to ``default_code`` or ``code``, or said of a finding or a failure."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "default_code" for t in node.targets):
            found.add(ast.literal_eval(node.value))
        elif isinstance(node, ast.keyword | ast.Assign) and "code" in names_of(node):
            found.update(c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant) and isinstance(c.value, str))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in REPORTERS:
            found.update(c.value for c in node.args if isinstance(c, ast.Constant) and isinstance(c.value, str))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.partition(".")[0] in FINDINGS:
            found.add(node.value)
    return {code for code in found if CODE.match(code) and not code.endswith((".sql", ".yaml", ".csv", ".json"))}


def names_of(given: ast.keyword | ast.Assign) -> set[str | None]:
    """What a value is given to."""
    if isinstance(given, ast.keyword):
        return {given.arg}
    return {name.id for target in given.targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def documented_codes() -> set[str]:
    """Errors have a row in one page, findings a heading in the other."""
    errors = set(re.findall(r"^\| `([a-z0-9.-]+)` \|", text_of("docs/reference/errors.md"), flags=re.MULTILINE))
    return errors | set(re.findall(r"^## ([a-z0-9.-]+)$", text_of("docs/reference/findings.md"), flags=re.MULTILINE))


def test_every_error_code_is_documented_and_every_documented_code_exists():
    raised = {code for path in PYTHON for code in codes_in(path.read_text(encoding="utf-8"))}
    assert raised - documented_codes() == set(), "add them to docs/reference/errors.md, findings to bus/route/codes.py"
    everything = "\n".join(path.read_text(encoding="utf-8") for path in PYTHON)
    assert {code for code in documented_codes() if f'"{code}"' not in everything} == set(), "nobody raises these any more"


def test_codes_are_found_however_they_are_written():
    source = 'class E(X):\n    default_code = "a.b"\nraise Y("s", code="c.d-e")\nraise Y("s", code="f.g" if x else "h.i")\nz(code="NOT A CODE")\nat(1, 1, "yaml.j")\ncall("k.l")\nFailure("m.n", "s")\nstatus, code = 500, "o.p"\n'
    assert codes_in(source) == {"a.b", "c.d-e", "f.g", "h.i", "yaml.j", "m.n", "o.p"}


# -- generated pages, dependencies, publiccode -------------------------------------------------------------------------------


def test_the_reference_pages_say_what_the_code_says(capsys):
    from tools import reference

    assert reference.main(["--check"]) == 0, capsys.readouterr().out


def test_every_setting_has_a_meaning_and_no_page_of_the_reference_speaks_python():
    pages = {path.name: path.read_text("utf-8") for path in (PROJECT / "docs" / "reference").glob("*.md")}
    assert [line for line in pages["settings.md"].splitlines() if line.endswith("|  |")] == []
    told = [
        f"{name}: {line}" for name, text in pages.items() for line in text.splitlines() if re.search(r"PosixPath|Literal\[|\| None`", line)
    ]
    assert told == []


def test_every_dependency_has_its_reason():
    page = text_of("docs/decisions/dependencies.md")
    requirements = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"]["dev"]]
    names = {requirement.partition(">")[0].strip() for requirement in requirements}
    assert names == set(re.findall(r"^\| ([\w\[\].-]+) \| (?!why)", page, flags=re.MULTILINE)) - {"library", "---"}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_pins_with_hashes_and_names_no_index(name):
    text = text_of(name)
    pinned = [line for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert len(pinned) > 20
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert not re.search(r"https?:|file:|--index|--find-links|/(?:root|home|tmp|opt|work)/", text)


def test_the_lock_holds_every_dependency():
    for name, requirements in {
        "requirements.lock": PYPROJECT["project"]["dependencies"],
        "requirements-dev.lock": PYPROJECT["project"]["optional-dependencies"]["dev"],
    }.items():
        pinned = set(re.findall(r"^([a-z0-9.-]+)==", text_of(name), flags=re.MULTILINE))
        assert {requirement.partition(">")[0].partition("[")[0].strip().lower() for requirement in requirements} <= pinned


def test_publiccode_has_what_the_catalogue_asks_for():
    page = yaml.safe_load(text_of("publiccode.yml"))
    assert {"publiccodeYmlVersion", "name", "url", "releaseDate", "platforms", "developmentStatus", "softwareType", "description"} <= set(
        page
    )
    assert page["legal"]["license"] == PYPROJECT["project"]["license"] == "EUPL-1.2"
    assert page["softwareVersion"] == PYPROJECT["project"]["version"]
    assert page["maintenance"]["contacts"]
    assert page["it"]["riuso"]["codiceIPA"]
    for language in ("it", "en"):
        description = page["description"][language]
        assert len(description["shortDescription"]) <= 150
        assert 150 <= len(description["longDescription"]) <= 10_000
        assert description["features"]


def test_the_licence_is_the_whole_eupl():
    text = text_of("LICENSE")
    assert text.startswith("EUROPEAN UNION PUBLIC LICENCE v. 1.2")
    assert all(re.search(rf"^{article}\. ?[A-Z]", text, flags=re.MULTILINE) for article in range(1, 16))
    assert "Appendix" in text


def test_the_auditors_page_tells_every_kind_of_record():
    told = set(re.findall(r"`([a-z]+)`", text_of("docs/auditor.md")))
    assert told >= KINDS


def test_the_portal_s_page_tells_every_outcome_that_a_shipped_route_replies_with():
    section = text_of("docs/portal-developer.md").partition("### What a reply says")[2].partition("###")[0]
    routes = "".join(file.read_text("utf-8") for file in (PROJECT / "routes").rglob("*.yaml"))
    replied = set(re.findall(r"""\besito: "'([a-z-]+)'""", routes))
    assert len(replied) > 5
    assert replied <= set(re.findall(r"`([a-z-]+)`", section))
