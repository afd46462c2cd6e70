"""The architecture, asserted: floors, library rooms and sizes as declared in pyproject.toml under ``[tool.snodo]``.

Imports are read from the syntax tree, wherever they stand (top, function, ``TYPE_CHECKING``), and `importlib.import_module` of a
literal counts too: an import in the wrong place is wrong however it is written.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TABLE = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["snodo"]
FLOORS = {prefix: height for height, prefixes in enumerate(TABLE["floors"].values()) for prefix in prefixes}
FILES = sorted(path for folder in ("bus", "adapters") for path in (PROJECT / folder).rglob("*.py"))
OURS = {"bus", "adapters"}


def module_of(path: Path) -> str:
    """``bus/engine/__init__.py`` is ``bus.engine``."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and full name of every import; ``from a import b`` is ``a.b`` when that is a module of ours, else ``a``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in known else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def within(name: str, prefixes: list[str]) -> bool:
    return any(prefix in {"*", name} or name.startswith(prefix + ".") for prefix in prefixes)


def home_of(module: str) -> str | None:
    """The longest entry of the table that covers a module of the bus; ``bus`` itself covers nothing but its ``__init__``."""
    homes = [prefix for prefix in FLOORS if within(module, [prefix]) and (prefix != "bus" or module == "bus")]
    return max(homes, key=len, default=None)


def test_the_floors_in_the_architecture_page_are_those_of_the_table():
    page = (PROJECT / "docs/design/architecture.md").read_text(encoding="utf-8")
    lines = [line.split(maxsplit=1) for line in page.split("```")[1].strip().splitlines()]
    told = {floor: set(names.split("  ")[0].split(", ")) for floor, names in lines}
    assert told == {floor: {name.removeprefix("bus.") for name in names} - {"bus", "__main__"} for floor, names in TABLE["floors"].items()}


def wrong(module: str, imported: str) -> str | None:
    """Why ``module`` may not import ``imported``, or None when it may."""
    top = imported.partition(".")[0]
    if imported.startswith("."):
        return "relative imports hide where a name lives"
    if top in OURS:
        return _wrong_in_bus(module, imported) if within(module, ["bus"]) else _wrong_in_adapters(module, imported)
    if top in sys.stdlib_module_names:
        return None
    rooms = TABLE["libraries"].get(top)
    if rooms is None:
        return f"the library {top} has no room: give it one under [tool.snodo.libraries], with its reason in docs/decisions/dependencies.md"
    return None if within(module, rooms) else f"the library {top} lives in {', '.join(rooms)}"


def _wrong_in_bus(module: str, imported: str) -> str | None:
    if within(imported, ["adapters"]):
        return "the bus never imports adapters: config.yaml names them"
    home, other = home_of(module), home_of(imported)
    if home is None or other is None:
        return f"{module if home is None else imported} stands on no floor: add it under [tool.snodo.floors]"
    if home == other or FLOORS[other] < FLOORS[home] or other == "bus":
        return None
    if FLOORS[other] == FLOORS[home]:
        return None if other in TABLE["siblings"].get(home, []) else f"{home} is blind to its neighbour {other}"
    return f"{home} stands below {other}: imports go downwards only"


def _wrong_in_adapters(module: str, imported: str) -> str | None:
    seen = TABLE["adapters"]
    if within(imported, ["bus"]):
        return None if within(imported, seen["sees"]) else f"adapters see only {', '.join(seen['sees'])}"
    own = ".".join(module.split(".")[:2])
    if within(imported, [own, *seen["generic"]]) or imported == "adapters":
        return None
    return "adapters are blind to each other, except to the generic ones"


def complaints(module: str, source: str, known: frozenset[str] = frozenset()) -> list[str]:
    return [f"{module}:{line} imports {name}: {why}" for line, name in imports_of(ast.parse(source), known) if (why := wrong(module, name))]


KNOWN = frozenset(module_of(path) for path in FILES)


def test_every_import_goes_downwards_and_every_library_is_in_its_room():
    found = [line for path in FILES for line in complaints(module_of(path), path.read_text(encoding="utf-8"), KNOWN)]
    assert not found, "\n" + "\n".join(found)


def test_every_module_of_the_bus_stands_on_a_floor():
    homeless = [module for path in FILES if within(module := module_of(path), ["bus"]) and home_of(module) is None]
    assert not homeless


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("bus.message", "from bus.engine import intake", "imports go downwards only"),
        ("bus.store.sqlite", "import bus.route.model", "imports go downwards only"),
        ("bus.store.sqlite", "from bus.channel import Channel", "blind to its neighbour"),
        ("bus.engine.intake", "import kombu", "kombu lives in bus.channel"),
        ("bus.engine.intake", "def late():\n    import yaml", "yaml lives in bus.source"),
        ("bus.engine.intake", "if TYPE_CHECKING:\n    from bus.web import api", "imports go downwards only"),
        ("bus.engine.intake", "importlib.import_module('adapters.soap')", "never imports adapters"),
        ("bus.engine.intake", "from . import steps", "relative imports"),
        ("bus.engine.intake", "import celery", "has no room"),
        ("bus.somewhere", "import bus.errors", "stands on no floor"),
        ("bus.route.check", "from adapters.soap import client", "never imports adapters"),
        ("adapters.anagrafe.adapter", "from bus.engine import intake", "adapters see only"),
        ("adapters.anagrafe.adapter", "from adapters.protocollo import adapter", "blind to each other"),
        ("adapters.anagrafe.adapter", "import zeep", "zeep lives in adapters.soap"),
        ("adapters.esterni.adapter", "import sqlalchemy as sa", "sqlalchemy lives in"),
    ],
)
def test_an_import_in_the_wrong_place_is_found(module, source, why):
    found = complaints(module, source)
    assert len(found) == 1
    assert why in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bus.engine.intake", "from bus.store import Store\nfrom bus.errors import Busy\nimport json"),
        ("bus.log.log", "from bus.store import Store"),
        ("bus.channel", "from kombu import Connection"),
        ("adapters.anagrafe.adapter", "from bus.adapter import Adapter\nfrom adapters.soap.client import Client\nimport pydantic"),
        ("adapters.anagrafe.simulator", "from adapters.anagrafe import dati\nfrom adapters.simulator import Simulator"),
    ],
)
def test_an_import_in_the_right_place_is_left_alone(module, source):
    assert complaints(module, source) == []


def test_no_file_is_longer_than_the_limit():
    files = (path for folder in ("bus", "adapters", "tests", "tools", "benchmarks") for path in (PROJECT / folder).rglob("*.py"))
    lengths = {module_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {module: length for module, length in lengths.items() if length > TABLE["sizes"]["file_lines"]}


def lengths_of_functions(source: str) -> list[int]:
    """Lines from ``def`` to the last statement, decorators not counted."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]


def test_ninety_nine_functions_of_a_hundred_fit_on_a_screen():
    lengths = sorted(length for path in FILES for length in lengths_of_functions(path.read_text(encoding="utf-8")))
    assert lengths[len(lengths) * 99 // 100] <= TABLE["sizes"]["function_lines_p99"]


def test_every_library_of_the_project_has_a_room_and_the_other_way_round():
    """A dependency that nothing imports, or a room for a library that is not a dependency, is a leftover."""
    imported_as = {
        "protobuf": "google",
        "pyyaml": "yaml",
        "python-stdnum": "stdnum",
        "cel-expr-python": "cel_expr_python",
        "psycopg[binary]": "psycopg",
    }
    behind_others = {"uvloop", "tzdata"}  # uvicorn and zoneinfo pick them up by themselves
    comes_along = {"amqp", "pytest"}  # kombu's own protocol library; who uses the kit of bus.testing has pytest
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {requirement.partition(">")[0].strip().lower() for requirement in declared}
    libraries = {imported_as.get(name, name).replace("-", "_") for name in names - behind_others}
    assert libraries == set(TABLE["libraries"]) - comes_along
