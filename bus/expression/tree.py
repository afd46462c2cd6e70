"""What a checked expression refers to, read from its syntax tree.

CEL hands the tree over as a serialised ``cel.expr.CheckedExpr``; the message is declared here, with the fields we read, in a
private descriptor pool (the specification publishes no Python package for it).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage

from bus.expression.made import Made
from bus.expression.nodes import (
    Bound,
    asked_of_items,
    binds,
    bound_within,
    calls,
    children_of,
    fields_of,
    indexes_of,
    is_or_none,
    items_of,
    kind_of,
    listed_in,
    or_none,
    or_other,
    path_of,
    plain_children_of,
    table_of,
    word_of,
    written_in,
)
from bus.expression.reading import (
    BEHIND_A_NUMBER,
    COMPARING,
    COMPARISONS,
    OF_DATES,
    RECKONING,
    TO_A_DATE,
    Argument,
    Cell,
    Compared,
    Converted,
    Literal,
    Lookup,
    Pair,
    Pick,
    Place,
    Reading,
    Reference,
    Size,
)
from bus.expression.walked import walks_of
from bus.functions import FUNCTIONS

_FIELDS = {
    "Empty": "",
    "Ident": "name:1:string",
    "Select": "operand:1:Expr field:2:string test_only:3:bool",
    "Call": "target:1:Expr function:2:string args:3:Expr*",
    "List": "elements:1:Expr* optional_indices:2:int32*",
    "Entry": "field_key:2:string map_key:3:Expr value:4:Expr optional_entry:5:bool",
    "Struct": "message_name:1:string entries:2:Entry*",
    "Comprehension": "iter_var:1:string iter_range:2:Expr accu_var:3:string accu_init:4:Expr loop_condition:5:Expr loop_step:6:Expr"
    " result:7:Expr iter_var2:8:string",
    "Constant": "null_value:1:int32 bool_value:2:bool int64_value:3:int64 double_value:5:double string_value:6:string",
    "Expr": "id:2:int64 const:3:Constant ident:4:Ident select:5:Select call:6:Call list:7:List struct:8:Struct"
    " comprehension:9:Comprehension",
    "Abstract": "name:1:string",
    "ListOf": "item:1:Type",
    "MapOf": "value:2:Type",
    "Type": "dyn:1:Empty primitive:3:int32 list:6:ListOf map:7:MapOf type:11:Type abstract:14:Abstract",
    "TypeOf": "key:1:int64 value:2:Type",
    "Position": "key:1:int64 value:2:int32",
    "SourceInfo": "positions:4:Position*",
    "Checked": "types:3:TypeOf* expr:4:Expr source_info:5:SourceInfo",
}
_SCALARS: dict[str, Any] = {"string": 9, "bool": 8, "int64": 3, "int32": 5, "double": 1}
_MESSAGE: Any = 11
_GIVE_DATES = frozenset({"date_of", "date_add", "cf_birth_date"})
_DATED = re.compile(r"\d{4}-\d\d-\d\d(T.*)?")
_NOT_OF_NULL = (RECKONING | COMPARISONS | FUNCTIONS.keys() | {"-_", "size"}) - COMPARING - {"text", "default", "digest"}
_TO_NUMBERS = frozenset({"number", "int", "double", "cents"})
_TAKES_TYPES = COMPARING | {"_?_:_", "_[_]", "_+_", "dyn", "orValue", "type"}
"""Where a type of CEL (``type(x)``, ``string``) may stand; whether it is part of the value of the whole is another question."""
_TURNED = {"_<_": "_>_", "_>_": "_<_", "_<=_": "_>=_", "_>=_": "_<=_"}
"""The comparison that says the same with its sides exchanged."""
_SPARING = frozenset({"_&&_", "_||_", "_?_:_"})
_OPTIONAL_READERS = frozenset({"orValue", "or", "value", "hasValue", "_?._", "_[?_]", "_[_]", "_==_", "_!=_", "_?_:_"})


@lru_cache(maxsize=1)
def _checked_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="snodo/checked.proto", package="snodo", syntax="proto2"
    )  # so that a false and a 0 are seen
    for name, spec in _FIELDS.items():
        message = file.message_type.add(name=name)
        for part in spec.split():
            label, number, kind = part.split(":")
            repeated, kind = kind.endswith("*"), kind.rstrip("*")
            declared = message.field.add(name=label, number=int(number), label=3 if repeated else 1)
            declared.type = _SCALARS.get(kind, _MESSAGE)
            if kind not in _SCALARS:
                declared.type_name = f".snodo.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("snodo.Checked"))


def checked_of(serialized: bytes) -> Any:
    """The tree of a serialised checked expression; its root is ``expr``."""
    wrapper = AnyMessage()
    wrapper.ParseFromString(serialized)
    return _checked_class().FromString(wrapper.value)


def read(checked: Any) -> Reading:
    """The references of a checked expression."""
    walker = _Walker(checked)
    walker.walk(checked.expr, {})
    walker.check_type(checked.expr)
    if _looked_up(checked.expr)[0] is not None:  # it is noted before those that its key is looked up by
        walker.reading.lookups[0] = replace(walker.reading.lookups[0], whole=True)
    walker.reading.results += Made(walker.types).values(checked.expr, walker.positions)
    walker.reading.texts = _texts(checked.expr)
    walker.reading.made = Made(walker.types).shape(checked.expr)
    walker.reading.walks = tuple(walks_of(checked.expr)) if any(one.rows for one in walker.reading.lookups) else ()
    walker.reading.sides = tuple(Made(walker.types).sides(checked.expr))
    walker.reading.row = _row_of(checked.expr)
    path = path_of(checked.expr, {})
    walker.reading.whole = path if path and not _asks_whether(checked.expr) else ()
    if path is None:
        _note_items(checked.expr, walker.reading)
    return walker.reading


def _asks_whether(node: Any) -> bool:
    """Whether a path is one that may lead to nothing (``.?``), or is only asked about (``has``)."""
    while kind_of(node) == "call" and node.call.function == "_[_]":
        node = node.call.args[0]
    return kind_of(node) == "call" or (kind_of(node) == "select" and (node.select.test_only or _asks_whether(node.select.operand)))


def _note_items(node: Any, reading: Reading) -> None:
    """Of which lists an expression gives an item, or all those items that filters keep."""
    if calls(node, "first", "_[_]"):
        listed = node.call.args[0]
        reading.first = tuple(items_of(listed))
        reading.asks = tuple(asked_of_items(listed))
        reading.perhaps = node.call.function == "first" and table_of(listed) is None  # a table has rows
    reading.sifted = tuple(items_of(node))
    reading.asks = reading.asks or tuple(asked_of_items(node))


def _texts(node: Any) -> frozenset[str]:
    """The texts between which ``? :`` chooses, or the one that is written out; empty where there may be anything else."""
    if not calls(node, "_?_:_"):
        return frozenset([node.const.string_value]) if _basic(node, of_none=False) == "string_value" else frozenset()
    one, other = map(_texts, node.call.args[1:])
    return one | other if one and other else frozenset()


def _row_of(node: Any) -> str:
    """The table of which a node gives a row: by its key, out of all or some of them, or the one or the other; empty where it does not."""
    if calls(node, "_?_:_"):
        tables = {_row_of(side) for side in node.call.args[1:]}
        return tables.pop() if len(tables) == 1 else ""
    if calls(node, "lookup"):
        return written_in(node.call.args[0]) or "" if len(node.call.args) == 2 else ""
    return table_of(listed_in(node.call.args[0])) or "" if calls(node, "_[_]", "first") else ""


def _looked_up(node: Any) -> tuple[Any, tuple[str, ...]]:
    """The ``lookup`` or ``rows`` of which a node reads fields, and which; None where it reads something else."""
    return fields_of(node, ("lookup", "rows"))


class _Walker:
    """Walks the tree once. ``bound`` maps the variables of comprehensions to the path they run over (None: computed). ``behind`` counts
    the questions, around the node at hand, whose answer may spare it, ``sifted`` has those that are filters, each with what it asks of the
    items, ``perhaps`` the paths to the items of lists around it of which there may be none (None: computed);
    ``rows`` has the tables whose rows variables are.
    """

    def __init__(self, checked: Any) -> None:
        self.reading = Reading()
        self.positions = defaultdict[int, int](int, {entry.key: entry.value for entry in checked.source_info.positions})
        self.optional = {entry.key for entry in checked.types if entry.value.abstract.name == "optional_type"}
        self.types = {entry.key: entry.value for entry in checked.types}
        self.behind = 0
        self.perhaps: list[tuple[str, ...] | None] = []
        self.sifted: list[tuple[tuple[str, ...], ...]] = []
        self.bare: set[int] = set()  # operands that must not be null
        self.kept: set[int] = set()  # optionals whose null `orValue` gives on
        self.alike: set[int] = set()  # calls of `orValue` that are compared with what neither null nor their other value is
        self.same: set[int] = set()  # their optionals
        self.defaulted: set[int] = set()  # calls of `orValue` whose null `default` has another value for
        self.beside: dict[int, tuple[tuple[str, ...], ...]] = {}  # the paths that a call of `number` is reckoned with
        self.rows: dict[str, str] = {}
        self.absent: list[tuple[str, ...]] = []  # paths that are surely not there where the node at hand is asked

    def walk(self, node: Any, bound: Bound) -> None:
        self._check_optional(node)
        if self._note_path(node, bound):
            return
        self._note_first(node, bound)
        looked, below = _looked_up(node)
        if looked is not None:
            self._note_lookup(looked, below, bound)
        if kind_of(node) == "comprehension":
            self._walk_comprehension(node.comprehension, bound)
        elif looked is not None or kind_of(node) == "call":
            self._walk_call(node if looked is None else looked, bound)
        else:
            for child in children_of(node):
                self.walk(child, bound)

    def _walk_call(self, node: Any, bound: Bound) -> None:
        self._note_operator(node, bound)
        self._note_pick(node.call, bound)
        self._note_nulls(node)
        self._note_arguments(node, bound)
        self._note_converted(node, bound)
        self._note_compared(node.call, bound)
        for child in children_of(node) if node.call.function not in _TAKES_TYPES else ():
            self.check_type(child)
        for unit, function in _units(node.call.args[1]) if calls(node, "date_add") else ():
            self._note_literal(function, 1, unit)
        for operand, child in enumerate(children_of(node)):
            self._note_literal(TO_A_DATE if _joins_to_a_date(node) else node.call.function, operand, child)
            if (node.call.function, operand) != ("date_add", 1):  # its units are noted
                self._note_other(node.call.function, operand, child, bound)
            spared = operand > 0 and _spares(node.call, bound)
            absent = _ruled_out(node.call, operand, bound)
            self.behind, self.absent = self.behind + spared, [*self.absent, *absent]
            self.walk(child, bound)
            self.behind, self.absent = self.behind - spared, self.absent[: len(self.absent) - len(absent)]

    def _note_operator(self, node: Any, bound: Bound) -> None:
        function, args = node.call.function, node.call.args
        if function in COMPARISONS:
            left, right = (path_of(one, bound) or _form(one) for one in args)
            self.reading.pairs += [Pair(left, right, function, self.positions[node.id])] if left and right else []
            for one, other, asked in ((*args, function), (*args[::-1], _TURNED.get(function, function))):
                if calls(one, "size") and _basic(other, of_none=False) == "int64_value":
                    counted = path_of(next(children_of(one)), bound) or ()
                    self.reading.sizes.append(Size(asked, counted, other.const.int64_value, self.positions[node.id]))
        ordered = function in COMPARISONS and function not in COMPARING
        kinds = {_basic(one) for one in args} - {""} if ordered or function in RECKONING else set()
        numbers = kinds == {"int64_value", "double_value"}
        if len(kinds) > 1 and not (numbers and ordered):  # numbers of two kinds are compared
            self.reading.mixed[self.positions[node.id]] = numbers
        if function in RECKONING and len(args) == 2:
            for one, other in (args, args[::-1]):
                if calls(one, "number"):
                    self.beside[one.id] = tuple(_reckoned(other, bound))
                    path = () if _basic(other) == "double_value" else path_of(other, bound)
                    self.reading.numbers += [] if path is None else [(path, self.positions[node.id])]

    def _note_pick(self, call: Any, bound: Bound) -> None:
        if call.function != "_[_]" or kind_of(call.args[0]) != "struct" or self.behind:
            return
        path, keys = path_of(call.args[1], bound), {written_in(entry.map_key) for entry in call.args[0].struct.entries}
        if path and None not in keys:
            name = self.positions[call.args[1].id] - len(".".join(path[:-1]))  # CEL points at the last point of a path
            self.reading.picks.append(Pick(path, frozenset(filter(None, keys)), max(name, 0)))

    def _note_nulls(self, node: Any) -> None:
        call = node.call
        if call.function == "orValue":
            written = node.id not in self.defaulted and (_basic(call.args[0]) or kind_of(call.args[0]) in {"list", "struct"})
            (self.same if node.id in self.alike else self.kept).update([call.target.id] if written else ())
        elif call.function == "default":
            self.defaulted.add(call.args[0].id)
        elif call.function in COMPARING:
            self.alike.update(one.id for one, other in (call.args, call.args[::-1]) if _alike(one, other))
        elif call.HasField("target"):
            self.bare.update(one.id for one in (call.target, *call.args))
        elif call.function in _NOT_OF_NULL:
            self.bare.update(one.id for one in call.args)

    def _note_literal(self, function: str, operand: int, node: Any, path: tuple[str, ...] = ()) -> None:
        for word in ("string_value", "int64_value") if kind_of(node) == "const" else ():
            if node.const.HasField(word):
                self.reading.literals.append(Literal(function, operand, getattr(node.const, word), self.positions[node.id], path))

    def _note_other(self, function: str, operand: int, node: Any, bound: Bound) -> None:
        """What a function gets in the place of a path that may lead to nothing, where nothing around it asks."""
        if not self.behind and calls(node, "orValue", "default") and (path := path_of(or_other(node), bound)):
            self._note_literal(function, operand, node.call.args[-1], path)

    def _note_path(self, node: Any, bound: Bound) -> bool:
        path = path_of(node, bound)
        if path is None:
            return False
        if kind_of(node) == "ident" and self._is_type(node) and node.ident.name not in bound:  # `string`, which is no name of the scope
            return True
        tested = kind_of(node) == "select" and node.select.test_only
        free = not self.behind
        there = all(one is not None and path[: len(one)] == one for one in self.perhaps)
        reached = self.behind == len(self.sifted) and there
        needed = reached and not tested and node.id not in self.optional
        settled = max((len(one) for one in self.perhaps if one is not None), default=0)
        if path:
            bare, kept, same = (node.id in ids for ids in (self.bare, self.kept, self.same))
            never = not tested and node.id not in self.optional and any(path[: len(one)] == one for one in self.absent)
            sifted = tuple(one for each in self.sifted for one in each)
            offset = self.positions[node.id]
            self.reading.references.append(Reference(path, offset, tested, needed, bare, kept, same, free, never, sifted, settled))
            if tested and reached and node.select.operand.id not in self.optional:
                self.reading.holders.append(Reference(path[:-1], offset, sifted=sifted, settled=settled))
        elif kind_of(node) == "select" and kind_of(node.select.operand) == "ident" and node.select.operand.ident.name in self.rows:
            table = self.rows[node.select.operand.ident.name]
            self.reading.cells.append(Cell(table, node.select.field, self.positions[node.id] + 1))
        for holder, index in indexes_of(node):
            self._note_literal("_[_]", 1, index)
            if path and needed and free and not self.perhaps and _basic(index) == "int64_value" and (listed := path_of(holder, bound)):
                self.reading.places.append(Place(listed, index.const.int64_value))
            self.walk(index, bound)
        return True

    def _note_first(self, node: Any, bound: Bound) -> None:
        """``first(list)`` of which a field is read, or ``list[2]`` where the list is no path, but one or none, or what a filter keeps.

        Where there is no such item, its field may be there all the same: it is not needed.
        """
        found, fields = fields_of(node, ("first", "_[_]"))
        whole, *index = found.call.args if found is not None else (None,)
        if whole is None or (index and _basic(index[0], of_none=False) != "int64_value"):
            return
        if fields and (path := path_of(listed_in(whole), bound)):
            self.reading.references.append(Reference((*path, "[]", *fields), self.positions[node.id], needed=False))
        path = path_of(or_none(whole), bound)  # no filter, which leaves out what it likes
        if path and bool(fields) != bool(index) and not self.behind and not self.perhaps:
            self.reading.places.append(Place(path, index[0].const.int64_value if index else 0, or_none(whole) is not whole))

    def _walk_comprehension(self, node: Any, bound: Bound) -> None:
        self.walk(node.iter_range, bound)
        self.walk(node.accu_init, bound)
        listed, inner = listed_in(node.iter_range), bound_within(node, bound)
        before, table = self.rows, table_of(listed)
        self.rows = {name: one for name, one in before.items() if name != node.iter_var} | ({node.iter_var: table} if table else {})
        sifted = listed is not or_none(node.iter_range)  # a filter may ask what is there
        over = path_of(listed, bound)
        none = [(*over, "[]") if over else None] if is_or_none(node.iter_range) else []  # where there is no list, nothing of it is read
        asks = [tuple((*over, "[]", *one) for one in asked_of_items(node.iter_range)) if over else ()] if sifted else []
        self.behind, self.perhaps, self.sifted = self.behind + sifted, self.perhaps + none, self.sifted + asks
        for child in (node.loop_condition, node.loop_step, node.result):
            self.walk(child, inner)
        self.behind, self.rows = self.behind - sifted, before
        self.perhaps, self.sifted = self.perhaps[: len(self.perhaps) - len(none)], self.sifted[: len(self.sifted) - len(asks)]

    def _note_lookup(self, node: Any, below: tuple[str, ...], bound: Bound) -> None:
        arguments = [written_in(argument) for argument in node.call.args]
        table, key, column = (*arguments, None, None, None)[:3]
        path = path_of(node.call.args[1], bound) if len(node.call.args) > 1 else None
        by = self._cell(node.call.args[1]) if len(node.call.args) > 1 and not self.behind else None
        offset = self.positions[node.id]
        self.reading.lookups.append(Lookup(table, column, offset, key, path or (), below, rows=len(arguments) == 1, by=by))

    def _cell(self, node: Any) -> tuple[str, str] | None:
        """The table and the column that a node looks into, where both are written out."""
        found, below = _looked_up(node)
        args = found.call.args if found is not None and found.call.function == "lookup" else ()
        texts = [one.const.string_value if kind_of(one) == "const" else "" for one in args]
        column = texts[2] if len(texts) > 2 else below[0] if len(below) == 1 else ""
        return (texts[0], column) if texts and texts[0] and column else None

    def _note_arguments(self, node: Any, bound: Bound) -> None:
        function, args = node.call.function, node.call.args
        offset = self.positions[node.id]
        if function in OF_DATES:
            self.reading.arguments += [Argument(function, path, offset) for one in args if (path := path_of(one, bound))]
            said = [one for one in args[1:] if function == "date_add" and calls(one, "text")]
            self.reading.arguments += [
                Argument("text", path, self.positions[one.id]) for one in said if (path := path_of(one.call.args[0], bound))
            ]
        elif function in RECKONING or function in COMPARISONS:
            for one, other in (args, args[::-1]):
                spared = calls(one, "orValue")
                if spared and function in COMPARING:  # its other value may be of any kind
                    continue
                path, beside = path_of(one.call.target if spared else one, bound), _basic(other, of_none=False)
                self.reading.arguments += [Argument(function, path, offset, beside, spared)] if path and beside else []

    def _note_converted(self, node: Any, bound: Bound) -> None:
        function = node.call.function
        if function not in _TO_NUMBERS or len(node.call.args) != 1:
            return
        arg, offset = node.call.args[0], self.positions[node.id] - len(function)  # CEL points at the bracket
        beside = self.beside.get(node.id, ())
        if path := path_of(arg, bound):
            self.reading.converted.append(Converted(function, offset, path, beside=beside))
        elif cell := self._cell(arg):
            key = written_in(_looked_up(arg)[0].call.args[1]) or ""
            self.reading.converted.append(Converted(function, offset, (), *cell, key, beside))
        elif kind_of(arg) == "select" and kind_of(arg.select.operand) == "ident" and arg.select.operand.ident.name in self.rows:
            self.reading.converted.append(
                Converted(function, offset, (), self.rows[arg.select.operand.ident.name], arg.select.field, beside=beside)
            )

    def _note_compared(self, call: Any, bound: Bound) -> None:
        if call.function not in COMPARISONS and call.function != "@in":
            return
        for one, other in (call.args, call.args[::-1]):
            elements = other.list.elements if call.function == "@in" and kind_of(other) == "list" else (other,)
            words = [(element, word) for element in elements if (word := _basic(element, of_none=False))]
            other_for_none = calls(one, "orValue") and bool(_basic(one.call.args[0], of_none=False))
            listed = listed_in(one) if call.function == "@in" and other is call.args[0] else one
            if (path := path_of(one.call.target if other_for_none else listed, bound)) and (words or not elements):
                said = ((getattr(element.const, word), self.positions[element.id]) for element, word in words)
                values = tuple(each for each in said if not (other_for_none and each[0] == _written_value(one.call.args[0])))
                whole = len(values) == len(elements) and not other_for_none and listed is one
                self.reading.compared.append(Compared(call.function, path, values, whole, self.positions[one.id]))

    def _check_optional(self, node: Any) -> None:
        """Optional values may only meet what understands them: our own functions would not survive one."""
        kind = kind_of(node)
        if kind == "select":  # a field of an optional is an optional
            return
        for child in plain_children_of(node, kind):
            if child.id in self.optional and not (
                (kind == "call" and node.call.function in _OPTIONAL_READERS and self._keeps(node))
                or (kind == "comprehension" and (node.id in self.optional or binds(node.comprehension, child)))
            ):
                self.reading.loose_optional = self.positions[child.id]

    def _is_type(self, node: Any) -> bool:
        return node.id in self.types and self.types[node.id].HasField("type")

    def check_type(self, node: Any) -> None:
        """Look for a type among what a node gives: its value, or a part of it."""
        said = self.types.get(node.id)
        while said is not None and (said.HasField("list") or said.HasField("map")):
            said = said.list.item if said.HasField("list") else said.map.value
        if kind_of(node) in {"list", "struct"} or calls(node, "_?_:_", "dyn", "orValue"):
            for child in node.call.args[1:] if calls(node, "_?_:_") else children_of(node):
                self.check_type(child)
        elif said is not None and said.HasField("type"):
            self.reading.loose_type = self.positions[node.id]

    def _keeps(self, node: Any) -> bool:
        return node.call.function != "_?_:_" or node.id in self.optional


def _reckoned(node: Any, bound: Bound) -> Iterator[tuple[str, ...]]:
    """The paths that a sum, a difference, a product or a quotient is made of; one path is made of itself."""
    if calls(node, *RECKONING):
        for side in node.call.args:
            yield from _reckoned(side, bound)
    elif path := path_of(node, bound):
        yield path


def _spares(call: Any, bound: Bound) -> bool:
    """Whether the first operand may spare the others; the one that a macro gathers in (``exists``, ``all``) asks nothing."""
    first = call.args[0] if call.function in _SPARING else None
    return first is not None and not (kind_of(first) == "ident" and first.ident.name in bound)


def _ruled_out(call: Any, operand: int, bound: Bound) -> list[tuple[str, ...]]:
    """The path that is surely not there where an operand is asked: ``has(a) || here``, ``!has(a) && here``, ``has(a) ? … : here``."""
    if call.function not in _SPARING or operand == 0:
        return []
    denied = calls(call.args[0], "!_")
    asked = call.args[0].call.args[0] if denied else call.args[0]
    true = {"_&&_": True, "_||_": False}.get(call.function, operand == 1)  # what the first operand is then
    path = path_of(asked, bound) if kind_of(asked) == "select" and asked.select.test_only and true == denied else None
    return [path] if path and "[]" not in path else []  # another item of a list may have it


def _alike(node: Any, other: Any) -> bool:
    """Whether what ``orValue`` gives for none is, as null, no value of those, all written out, that it is compared with."""
    others = other.list.elements if kind_of(other) == "list" else (other,)
    if not calls(node, "orValue") or not all(_basic(one, of_none=False) for one in (node.call.args[0], *others)):
        return False
    return _written_value(node.call.args[0]) not in map(_written_value, others)


def _basic(node: Any, *, of_none: bool = True) -> str:
    """The kind of a value that is written out, or (``of_none``) of what `orValue` or `default` gives for none; empty where nobody knows."""
    if of_none and calls(node, "orValue", "default"):
        node = node.call.args[-1]
    return word_of(node)


def _written_value(node: Any) -> Any:
    """A value that is written out."""
    return getattr(node.const, _basic(node, of_none=False))


def _units(node: Any) -> Iterator[tuple[Any, str]]:
    """What is written out at the end of a duration that is chosen or put together, and the function that gets it."""
    if calls(node, "_?_:_", "default", "orValue"):
        for side in node.call.args if node.call.function == "orValue" else node.call.args[1:]:
            yield from ((side, "date_add"),) if _basic(side, of_none=False) else _units(side)
    elif calls(node, "_+_"):
        last = node.call.args[1]
        yield from ((last, BEHIND_A_NUMBER),) if _basic(last, of_none=False) else ((one, BEHIND_A_NUMBER) for one, _ in _units(last))


def _joins_to_a_date(node: Any) -> bool:
    return calls(node, "_+_") and kind_of(node.call.args[0]) == "call" and _form(node.call.args[0]) == "date"


def _form(node: Any) -> str:
    """Whether what is no path is surely a date, a moment, or a text that is neither; empty where nobody knows."""
    if kind_of(node) == "call":
        return "date" if node.call.function in _GIVE_DATES else ""
    text = node.const.string_value if kind_of(node) == "const" else ""
    found = _DATED.fullmatch(text)
    if found is not None:
        return "date-time" if found[1] else "date"
    return "text" if text else ""
