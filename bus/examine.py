"""Rules read from a folder, checked as a whole, and made a catalog.

::

    routes/servizi.yaml     the services          mappings/types/*.yaml    message types
    routes/**/*.yaml        routes                mappings/tables/*.csv    tables
                                                  mappings/**/*.yaml       mappings

`load` gives a catalog or raises `RulesError` with every finding, so that bad rules never replace good ones. Rules come from a folder, or as
`Files` from the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from bus.adapter import Operation
from bus.catalog import Catalog, Route, TestedMapping
from bus.earlier import Earlier
from bus.errors import RulesError, counted
from bus.expression import Tables
from bus.mapping.compile import CompiledMapping, read_mapping
from bus.mapping.tables import read_table
from bus.mapping.types import BUILT_IN, MessageType, check_forms, check_senders, compile_type
from bus.memory import without_collector
from bus.message import digest
from bus.recalled import Kept, Recalled
from bus.route.check import check_route
from bus.route.compile import CompiledRoute, compile_route
from bus.route.mapping_tests import Tested, check_mapping_tests
from bus.route.outline import Outline, asked_of, messages_of, outline_of, targets_of
from bus.route.parse import ParsedRoute, parse_route
from bus.route.plan import GatherStep, Plan, WaitStep
from bus.route.tests_check import SERVICES, Found, check_tests
from bus.route.traffic import traffic_of
from bus.route.world import World, check_mapping, check_type
from bus.rulefiles import (
    CATALOGUE,
    Files,
    beside_of,
    files_of,
    is_beside,
    is_mapping,
    is_route,
    is_table,
    is_type,
    misplaced,
    names_of,
    route_of,
    weights_of,
    well_named,
)  # fmt: skip
from bus.services import Servizio, check_services, read_services
from bus.sharing import ALONE, MOST, Indivisible, Share, processes, shared
from bus.source import Finding, Pointer, Source, in_order, read

OFFICES = "uffici"
SHARE = 25
"""Routes to read from which on another process pays: to copy this one costs as much as to check three or four."""


def load(rules: Path | Files, operations: Mapping[str, Operation]) -> Catalog:
    """The catalog of a folder. Raises `RulesError` with all findings when one of them is an error.

    ``operations`` are all that adapters offer, by full name (``anagrafe.cerca-soggetto``).
    """
    catalog, findings = examine(rules, operations)
    if catalog is None:
        errors = [finding for finding in findings if finding.severity == "error"]
        first = f"{errors[0].file}:{errors[0].line}:{errors[0].column}"
        said = f"the rules cannot be used: {counted(len(errors), 'error')}, the first at {first}"
        raise RulesError(said, findings, hint="mend what is found there; `bus validate` says when nothing is left")
    return catalog


def examine(rules: Path | Files, operations: Mapping[str, Operation]) -> tuple[Catalog | None, list[Finding]]:
    """The catalog of a folder or of files (None when a finding is an error) and all findings, by file and place."""
    if isinstance(rules, Path) and not (rules / "routes").is_dir():
        source = Source("routes", "")
        hint = "is this the right folder? `bus new route ufficio.procedimento` begins the first route in it"
        source.at(1, 1, "catalog.no-routes", f"there is no folder routes in {rules.name or rules}", hint)
        return None, source.findings
    reader = _Reader(files_of(rules) if isinstance(rules, Path) else rules, operations)
    with without_collector():
        catalog = reader.read()
    findings = in_order(reader.findings())
    if catalog is None or any(finding.severity == "error" for finding in findings):
        return None, findings
    return catalog, findings


def types_of(files: Files) -> Mapping[str, MessageType]:
    """The types of files that were in force once; it takes no adapters. Of a type that cannot be read any more nothing is known."""
    return _Reader(files, {}).read_types()


def review(files: Files, operations: Mapping[str, Operation], earlier: Earlier | None = None) -> list[Finding]:
    """The findings of `examine`, without the catalog: by several processes where there is much to check and this one has no threads.

    Routes are not checked again of which is known from ``earlier`` what is found.
    """
    recalled = Recalled(files, earlier) if earlier else None
    known = recalled.outlines if recalled else {}
    size = processes(sum(is_route(path) and path not in known for path in files), SHARE)
    with without_collector():
        try:
            parts = _parts(files, operations, recalled, size)
        except _Divisible as found:
            parts = _parts(files, operations, recalled, found.size)
    if recalled:
        recalled.keep(one for _, kept in parts for one in kept)
    return in_order(one for findings, _ in parts for one in findings)


def _parts(
    files: Files, operations: Mapping[str, Operation], recalled: Recalled | None, size: int
) -> list[tuple[list[Finding], list[Kept]]]:
    """What each of so many processes finds, and what is to be kept of it."""

    def part(share: Share) -> tuple[list[Finding], list[Kept]]:
        reader = _Reader(files, operations, recalled, share, size)
        reader.look()
        return reader.findings(), reader.kept

    return shared(part, size)


_Written: TypeAlias = tuple[Source, dict[str, Any], ParsedRoute | None]
"""A route as it was read: None when nothing of it can be checked."""


@dataclass
class _Draft:
    """One route on its way into the catalog."""

    source: Source
    parsed: ParsedRoute
    compiled: CompiledRoute
    outline: Outline
    tests: tuple[Found, Found] = ((), ())
    beside: Source | None = None
    applied: dict[str, Source] = field(default_factory=dict)
    """The mappings that it applies, each with what is found in it for what this route gives it."""

    def found_elsewhere(self) -> list[Finding]:
        """What is found in other files for what this route does with them."""
        return [one for source in self.applied.values() for one in source.findings]

    def route(self, plan: Plan, mappings: Mapping[str, tuple[CompiledMapping, Source]]) -> Route:
        sources = [self.source, *(mappings[name][1] for name in self.compiled.mappings)]
        tests = tuple(test for found in self.tests for _, test in found)
        return Route(plan, self.source.file, tests, self._place, {one.file: one.text for one in sources})

    def _place(self, position: int, pointer: Pointer) -> tuple[str, int]:
        written = zip((self.source, self.beside), self.tests, strict=True)
        source, at = [(one, at) for one, found in written if one for at, _ in found][position]
        return source.file, source.place(("tests", at, *pointer))[0]


class _Said(NamedTuple):
    """What the processes that share the work tell one another of their routes.

    ``names``: as they stand in all that can be read; ``broken``: what of them is; ``perhaps``: keys of cases that halves may give.
    """

    names: list[str]
    outlines: list[Outline]
    broken: frozenset[str]
    perhaps: frozenset[str] | None


class _Divisible(Exception):
    """There is more to do than it seemed: ``size`` processes are for it."""

    def __init__(self, size: int) -> None:
        self.size = size


class _Reader:
    """Reads files, in the order in which the parts need one another; of the routes its share, while others read the rest.

    ``size`` is into how many shares it was thought to be divided. Types, mappings, tables and services are read by all, since all need
    them; each checks, and tells of, its own.
    """

    def __init__(
        self, files: Files, operations: Mapping[str, Operation], recalled: Recalled | None = None, share: Share = ALONE, size: int = MOST
    ) -> None:
        self.files = files
        self.operations = operations
        self.recalled, self.share, self.size = recalled, share, size
        self.known: dict[str, Outline] = dict(recalled.outlines) if recalled else {}
        """Routes that need not be read, by file."""
        self.found: list[Finding] = []
        """What is known to be found of them."""
        self.kept: list[Kept] = []
        self.own = share.of(weights_of(files), last=self.known)
        self.others: list[_Said] = []
        self.sources: list[Source] = []
        self.tables = Tables()
        self.types: dict[str, MessageType] = {}
        self.type_sources: dict[str, Source] = {}
        self.mappings: dict[str, tuple[CompiledMapping, Source]] = {}
        self.halves: list[tuple[CompiledMapping, Source]] = []
        self.tested: dict[str, TestedMapping] = {}
        self.broken: set[str] = set()
        self.unread: list[Source] = []
        """Routes and types that cannot be read: what keys they give to cases is not known."""
        self.services: dict[str, Servizio] = {}
        self.drafts: dict[str, _Draft] = {}

    def findings(self) -> list[Finding]:
        """All findings of its share, each once."""
        found = (finding for source in self.sources if self.is_own(source.file) for finding in source.findings)
        known = (finding for finding in self.found if self.is_own(finding.file))
        elsewhere = (finding for draft in self.drafts.values() for finding in draft.found_elsewhere())
        return list(dict.fromkeys([*found, *known, *elsewhere]))

    def is_own(self, path: str) -> bool:
        return route_of(path) in self.own

    def read(self) -> Catalog | None:
        """All rules, checked; None when there is a route that cannot run."""
        self.look()
        if not all(draft.compiled.sound for draft in self.drafts.values()):
            return None
        return self._catalog()

    def read_types(self) -> Mapping[str, MessageType]:
        """The types, with the tables that their codes and forms look into, and nothing else."""
        self._read_tables()
        self._read_services()
        for source, document in well_named(self._documents(is_type), "type"):
            self._add_type(source, document)
        return self.types

    def look(self) -> None:
        """Read and check all rules."""
        self._read_tables()
        service_source, service_document = self._read_services()
        routes = self._read_routes()
        for source, document in well_named(self._documents(is_type), "type"):
            self._add_type(source, document)
        self._read_mappings()
        self._compile_routes(routes)
        self._tell(routes)
        if service_source is not None:
            self._check_services(service_source, service_document)
        self._check()

    def _check_services(self, source: Source, document: dict[str, Any]) -> None:
        starts = {**dict.fromkeys(self.broken), **{one.route: one.on for one in self.outlines}}
        passed = {name for one in self.outlines for name in one.sent | one.awaited}
        inside = {name for name, one in self.types.items() if not one.presentable(unsaid=name not in passed)}
        offices = None if OFFICES in self.broken else self.tables.get(OFFICES)
        check_services(self.services, document, {*self.types, *self.broken}, starts, inside, offices, source)
        if source.findings:
            self.broken.add(SERVICES)

    def _documents(self, wanted: Callable[[str], bool]) -> list[tuple[Source, dict[str, Any]]]:
        """The files wanted that are YAML maps; what is wrong with the notation is noted."""
        found = []
        for shown in filter(wanted, sorted(self.files)):
            source = read(self.files[shown], shown)
            self.sources.append(source)
            document = source.plain()
            elsewhere = misplaced(shown, document) if isinstance(document, dict) else None
            if isinstance(document, dict) and elsewhere is None:
                found.append((source, document))
            else:
                self.broken |= {name for word in ("route", "mapping", "type") for name in names_of(source, word)}
                self.unread += [source] if is_route(shown) or is_type(shown) or elsewhere else []
                if elsewhere:
                    source.report(elsewhere[:1], "catalog.misplaced", *elsewhere[1:], key=True)
                elif not source.findings:
                    source.report((), "catalog.not-a-map", "the file does not hold a map of fields")
        return found

    def _read_tables(self) -> None:
        for shown in filter(is_table, sorted(self.files)):
            name = shown.rpartition("/")[2].removesuffix(".csv")
            table, source = read_table(self.files[shown], name, shown)
            self.sources.append(source)
            if name == SERVICES:
                source.at(1, 1, "table.reserved", "the table `servizi` is made of routes/servizi.yaml", "give the file another name")
            # a broken table is still known by name, and by what can be read of it, so that one cause is one finding
            cut = any(one.code == "table.syntax" for one in source.findings)  # nobody knows which rows would have followed
            self.tables[name] = table.rows if table and not cut else {}
            self.broken |= {name} if source.findings else set()

    def _add_type(self, source: Source, document: dict[str, Any]) -> None:
        name = str(document.get("type"))
        compiled = compile_type(document, source, self.tables)
        if name in self.types:
            self._second(source, "type", "type.duplicate", self.type_sources[name])
        elif compiled is not None:
            self.types[name] = compiled
            self.type_sources[name] = source
        else:
            self.broken |= {name, *names_of(source, "type")}
            self.unread.append(source)

    def _read_routes(self) -> list[_Written]:
        """The routes that have to be read; all, when two have one name: which of them is the second depends on both.

        Where several read, each knows only its own names: see `_tell`.
        """
        known = self.known
        found = self._documents(lambda path: is_route(path) and path not in known and self.is_own(path))
        names = [*(str(document.get("route")) for _, document in found), *(one.route for one in known.values())]
        if self.share.size == 1 and len(set(names)) < len(names):
            found = sorted([*found, *self._documents(known.__contains__)], key=lambda one: one[0].file)
            known.clear()
        routes = [(source, document, parse_route(document, source)) for source, document in found]
        named = (parsed.names for _, _, parsed in routes if parsed)
        self.tables.expect(BUILT_IN.union(*named, *(one.names for one in known.values())))
        return routes

    def _read_services(self) -> tuple[Source | None, dict[str, Any]]:
        for source, document in self._documents(lambda path: path == CATALOGUE):
            self.services = read_services(document, source)
            broken = any(one.severity == "error" for one in source.findings)
            # of what cannot be read whole nobody knows which entries it lacks
            self.tables[SERVICES] = {} if broken else {code: service.row() for code, service in self.services.items()}
            self.broken |= {SERVICES} if broken else set()
            return source, document
        if CATALOGUE in self.files:
            self.tables[SERVICES] = {}  # known by name: that it cannot be read is told where it stands
            self.broken.add(SERVICES)
        return None, {}

    def _read_mappings(self) -> None:
        for source, document in well_named(self._documents(is_mapping), "mapping"):
            name = str(document.get("mapping"))
            compiled, complete = read_mapping(document, self.tables, source, self._fields(document.get("from")))
            if name in self.mappings:
                self._second(source, "mapping", "mapping.duplicate", self.mappings[name][1])
            elif compiled is not None and complete:
                self.mappings[name] = (compiled, source)
            else:
                self.broken |= {name, *names_of(source, "mapping")}
                self.halves += [(compiled, source)] if compiled else []

    def _compile_routes(self, routes: Iterable[_Written]) -> None:
        mappings = self._mappings
        for source, document, parsed in well_named(routes, "route"):
            name = str(document.get("route"))
            if name in self.drafts:
                self._second(source, "route", "route.duplicate", self.drafts[name].source)
            elif parsed is not None:
                compiled = compile_route(parsed, mappings, self.tables, source, self._fields(parsed.model.on))
                self.drafts[name] = _Draft(source, parsed, compiled, outline_of(compiled))
            else:
                self.broken |= {name, *names_of(source, "route")}
                self.unread.append(source)

    def _fields(self, name: Any) -> Mapping[str, Any]:
        """The fields that messages of a type have; none where there is no such type."""
        return self.types[name].schema.get("properties", {}) if isinstance(name, str) and name in self.types else {}

    def _second(self, source: Source, word: str, code: str, first: Source) -> None:
        """A file that says the name of another one: what its own name says may be meant, and is not told to be missing."""
        source.report((word,), code, f"there is already a {word} `{first.name(word)}`", f"in {first.file}: give this one its own name")
        self.broken |= names_of(source, word) - {first.name(word)}
        self.unread.append(source)

    def _tell(self, routes: Iterable[_Written]) -> None:
        """Tell the others what they need to know of these routes, and hear of theirs. Raises `Indivisible` when two have one name."""
        names = [str(document.get("route")) for _, document, _ in routes]
        own = _Said(names, [draft.outline for draft in self.drafts.values()], frozenset(self.broken), self._perhaps())
        said = self.share.exchange(own)
        if self.share.size > 1:
            names = [*(name for one in said for name in one.names), *(one.route for one in self.known.values())]
            if len(set(names)) < len(names):
                raise Indivisible
        self.others = [one for number, one in enumerate(said) if number != self.share.number]
        self.broken.update(*(one.broken for one in self.others))

    @property
    def _mappings(self) -> dict[str, CompiledMapping]:
        return {name: mapping for name, (mapping, _) in self.mappings.items()}

    @property
    def outlines(self) -> list[Outline]:
        """The outlines of all routes."""
        others = (outline for one in self.others for outline in one.outlines)
        return [*(draft.outline for draft in self.drafts.values()), *others, *self.known.values()]

    def _world(self) -> World:
        """What everything is checked against. A route whose findings are not known from an earlier check is read now."""
        traffic = None if any(one is None or one for one in self._halves()) else traffic_of(self.outlines, self.types)
        world = World(
            self.operations, self.types, self._mappings, frozenset(self.broken), self.tables, self._keys(),
            asked_of(self.outlines), traffic, messages_of(self.outlines), targets_of(self.outlines),
        )  # fmt: skip
        if self.recalled:
            found = self.recalled.findings(self.known, world)
            self.found = [one for findings in found.values() for one in findings or ()]
            unknown = {path for path, findings in found.items() if findings is None}
            if (size := processes(len(unknown), SHARE)) > self.size == 1:
                raise _Divisible(size)
            self.known = {path: outline for path, outline in self.known.items() if path not in unknown}
            read = self._documents(lambda path: path in unknown and self.is_own(path))
            self._compile_routes((source, document, parse_route(document, source)) for source, document in read)
        return world

    def _check(self) -> None:
        world = self._world()
        self._check_types(world)
        self._check_mappings(world)
        self._check_routes(world)
        if self.recalled:
            drafts = [draft for draft in self.drafts.values() if draft.compiled.sound]
            sound = [(draft.source.file, draft.outline, draft.found_elsewhere()) for draft in drafts]
            self.kept = [*self.recalled.worth(sound, self.findings(), world)]

    def _check_types(self, world: World) -> None:
        for name, source in self.type_sources.items():
            if self.is_own(source.file):
                check_forms(self.types[name], self.types, world.broken, self.tables, source)
                check_senders(self.types[name], world.systems, source)
                check_type(self.types[name], world, source)

    def _check_mappings(self, world: World) -> None:
        for mapping, source in (one for one in self.halves if self.is_own(one[1].file)):
            check_mapping(mapping, world, source)
        for mapping, source in (one for one in self.mappings.values() if self.is_own(one[1].file)):
            check_mapping(mapping, world, source)
            if found := check_mapping_tests(mapping, world, source):
                self.tested[mapping.name] = _tested(mapping, source, found)

    def _check_routes(self, world: World) -> None:
        """Check each route with its tests. A file of tests whose route is not there is a finding."""
        known = {beside_of(path) for path in self.known}
        documents = self._documents(lambda path: is_beside(path) and path not in known and self.is_own(path))
        beside = {source.file: (source, document) for source, document in documents}
        for draft in self.drafts.values():
            check_route(draft.compiled, world, draft.source, partial(self._applied, draft))
            source, document = beside.pop(beside_of(draft.source.file), (None, {}))
            draft.beside = source
            draft.tests = check_tests(draft.parsed, world, draft.source, (document, source) if source else None)
        for alone, _ in beside.values():
            if (route := route_of(alone.file)) not in self.files:
                sentence = f"there is no route in {route}, whose tests these could be"
                alone.at(1, 1, "test.no-route", sentence, "name the file after its route's")

    def _applied(self, draft: _Draft, name: str) -> Source:
        """Takes what is found in a mapping for what one route gives it."""
        if name not in draft.applied:
            draft.applied[name] = self.mappings[name][1].again()
        return draft.applied[name]

    def _keys(self) -> frozenset[str] | None:
        """All business keys that a case can have. None: not known."""
        perhaps = self._halves()
        if None in perhaps:
            return None
        return frozenset().union(*(one.case for one in self.types.values()), *(one.keys for one in self.outlines), *filter(None, perhaps))

    def _halves(self) -> list[frozenset[str] | None]:
        """What each process says of its halves; nothing where there are none, and all that routes send and take is known."""
        return [self._perhaps(), *(one.perhaps for one in self.others)]

    def _perhaps(self) -> frozenset[str] | None:
        """The keys that what can be read only in part may give: any that it writes. None: not known."""
        halves = [*self.unread, *(draft.source for draft in self.drafts.values() if not draft.parsed.complete)]
        if not all(one.text for one in halves):
            return None
        return frozenset().union(*(_WRITTEN.findall(one.text) for one in halves))

    def _catalog(self) -> Catalog:
        drafts = self.drafts.items()
        routes = {name: draft.route(draft.compiled.plan, self.mappings) for name, draft in drafts if draft.compiled.plan}
        plans = [route.plan for _, route in sorted(routes.items())]
        by_type: dict[str, tuple[Plan, ...]] = {}
        for plan in plans:
            by_type[plan.on] = (*by_type.get(plan.on, ()), plan)
        waits = (step for plan in plans for step in plan.walk() if isinstance(step, (WaitStep, GatherStep)))
        awaited = frozenset(step.type for step in waits if step.type)
        whole = {
            "routes": {plan.route: plan.digest for plan in plans},
            "types": {name: one.rules for name, one in self.types.items()},
            "services": {code: service.row() for code, service in self.services.items()},
        }
        return Catalog(
            routes, dict(self.types), self._mappings, self.tables, dict(self.services), tuple(in_order(self.findings())), digest(whole),
            awaited, self.tested, by_type, {plan.digest: plan for plan in plans},
        )  # fmt: skip


def _tested(mapping: CompiledMapping, source: Source, found: Tested) -> TestedMapping:
    def line(position: int, pointer: Pointer) -> int:
        return source.place(("tests", found[position][0], *pointer))[0]

    return TestedMapping(mapping, source.file, tuple(test for _, test in found), line, source.text)


_WRITTEN = re.compile(r"""(?<!\w)(\w++)["']?\s*+:""")
"""A name before a colon; asked of a whole file, where a long word must be gone over once."""
