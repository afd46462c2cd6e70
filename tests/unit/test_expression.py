"""Expressions: what they compute, how they fail, and what they refuse to be."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ExpressionError
from bus.expression import Environment, Tables, failing, literal, overloads
from bus.expression.library import needs_extensions
from bus.expression.reading import Converted
from bus.functions import FUNCTIONS
from bus.message import JsonValue

TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
)  # CEL cuts the keys of maps at a NUL; `bus.jsontext` refuses it
TABLES = {"uffici": {"SUE": {"titolo": "Sportello edilizia", "piano": "2"}}}
ENVIRONMENT = Environment(["body", "soggetto", "x"], {**TABLES, "zone-suolo": {}}, ["istanza"])
SCOPE = {"body": {"nome": "Ada", "eta": 36, "quota": 1.0, "figli": [{"nome": "Bo"}, {"nome": "Cy"}], "nulla": None}, "x": 3}


def value(text: str, **scope: JsonValue) -> object:
    return ENVIRONMENT.compile(text)({**SCOPE, **scope})


def test_a_table_is_asked_for_what_a_value_is_as_text() -> None:
    environment = Environment(["x"], {"classi": {"12": {"nome": "dodici"}, "None": {"nome": "nulla"}, "True": {"nome": "vero"}}})
    found = environment.compile('lookup("classi", x, "nome")')
    assert [found({"x": one}) for one in (12, 12.0, "12")] == ["dodici"] * 3
    for strange in (None, True):
        with pytest.raises(ExpressionError, match="not in table"):
            found({"x": strange})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("body.nome", "Ada"),
        ("  body.nome ", "Ada"),
        ("body.nome + '!'", "Ada!"),
        ('"plain"', "plain"),
        ("'it\\'s'", "it's"),
        ("-12", -12),
        ("true", True),
        ("null", None),
        ("body.eta > 18 && body.nome != ''", True),
        ("body.figli.map(f, f.nome)", ["Bo", "Cy"]),
        ("{'a': body.eta, 'b': [body.nulla]}", {"a": 36, "b": [None]}),
        ('body.?soprannome.orValue("-")', "-"),
        ("has(body.zz)", False),
        ("cel.bind(n, body.nome, n + n)", "AdaAda"),
        ("'ada'.upperAscii()", "ADA"),
        ("math.greatest(1, 2)", 2),
        ("timestamp('2026-03-02T09:00:00+01:00')", "2026-03-02T08:00:00.000000Z"),
        ("duration('90s')", "90s"),
        ("b'ab'", "YWI="),
        ("body.quota", 1.0),
        ('lookup("uffici", "SUE").titolo', "Sportello edilizia"),
        ('lookup("uffici", "SUE", "piano")', "2"),
    ],
)
def test_an_expression_gives_plain_json(text: str, expected: object) -> None:
    assert expected == value(text)


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("body.cognome", "body.cognome is missing", 'body.?cognome.orValue("")'),
        ("body.cognome + ''", "body.cognome is missing", 'body.?cognome.orValue("")'),
        ("body.a.b", "body.a is missing", 'body.?a.orValue("")'),
        ("body.nome.lettera", "no object", "default(x, {})"),
        ("body.nulla.nome.size()", "no object", "default(x, {})"),
        ("body.nulla.?nome.orValue('')", "no object", "default(x, {})"),
        ("body.?nulla.?nome.orValue('')", "something that has none", "default(x, {})"),
        ("body.nulla.startsWith('x')", "`.startsWith(…)` cannot be applied to null", 'default(x, "")'),
        ("body.figli.startsWith('x')", "`.startsWith(…)` cannot be applied to list", ""),
        ("soggetto.nome", "soggetto has no value", ""),
        ("soggetto.nome + ''", "soggetto has no value", ""),
        ("body.quota + 1", "`+` cannot be applied to a whole number and a number with decimals", "double(...)"),
        ("body.figli[5]", "item 5", "first(list)"),
        ("body.figli ? 1 : 2", "the condition is something else, not true or false", "compare"),
        ("body.figli.filter(f, f)", "the condition is something else, not true or false", "compare"),
        ("body.nome.map(c, c)", "no list is gone through", "default(x, [])"),
        ("'a' in body.nome", "looked for in what is no list", "default(x, [])"),
        ("body.nome[0]", "an item is asked of something that is no list", "default(x, [])"),
        ('lookup("uffici", "XX")', "not in table uffici", ""),
        ('lookup("nessuna", "XX")', "no table nessuna", ""),
        ('lookup("uffici", "SUE", "zz")', "no column zz", ""),
        ("1.0 / 0.0", "finite", ""),
        ("{1: 2}", "keys of a map", "text(...)"),
        ("date_add('2026-13-01', '1d')", "not a date", ""),
    ],
)
def test_a_failure_says_what_is_missing(text: str, sentence: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert "expression.failed" == caught.value.code
    assert sentence in caught.value.sentence
    assert (hint in caught.value.hint) if hint else caught.value.hint == ""


def test_a_failure_never_shows_a_value() -> None:
    for text in ("int(body.cf)", "body[body.cf]", "cents(body.cf)", "number(body.cf)", "cf_birth_date(body.cf)", "date_of(body.cf)"):
        with pytest.raises(ExpressionError) as caught:
            ENVIRONMENT.compile(text)({"body": {"cf": "RSSMRA80A01H501X"}})
        assert "RSSMRA" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "column", "sentence", "hint"),
    [
        ("bdy.nome", 1, 1, "there is no `bdy` here", "did you mean body?"),
        ("body.nome + sogetto.nome", 1, 13, "no `sogetto`", "did you mean soggetto?"),
        ("body.canale == WEB", 1, 16, "there is no `WEB` here", 'a text has quotes of its own: "WEB"; known here:'),
        ("body.canale in ['app', WEB]", 1, 24, "there is no `WEB` here", 'a text has quotes of its own: "WEB"; known here:'),
        ("1 + uero(3)", 1, 5, "there is no function `uero`", "did you mean euro?"),
        ("euro('a')", 1, 5, "euro(cents) cannot be applied to (a text)", ""),
        ("euro()", 1, 1, "euro takes other arguments", ""),
        ("body.nome +", 1, 12, "ends too early", "missing"),
        ("body.numero > 1 ? 2 * body.numero", 1, 34, "ends too early", "needs a `:`"),
        ("body.nome and x", 1, 11, "unexpected `and`", "&&"),
        ("x = 3", 1, 3, "unexpected `=`", "=="),
        ("not body.nome", 1, 1, "unexpected `not`", "write !"),
        ("NOT body.nome", 1, 1, "unexpected `NOT`", "write !"),
        ("body.nome != '' && non body.nome", 1, 20, "unexpected `non`", "write !"),
        ("body.nome not in ['a']", 1, 11, "unexpected `not`", "!(x in"),
        ("not(body.nome)", 1, 1, "no function `not`", "write !"),
        ("body.nome AND x", 1, 11, "unexpected `AND`", "&&"),
        ("body.nome & x", 1, 11, "unexpected `&`", "&&"),
        ("body.nome | x", 1, 11, "unexpected `|`", "||"),
        ("body.nome o body.nome", 1, 11, "unexpected `o`", "||"),
        ("body.nome <> 'a'", 1, 11, "unexpected `<>`", "!="),
        ("size(body.nome) ≥ 3", 1, 17, "unexpected `≥`", ">="),
        ("body.nome\u00a0== 'a'", 1, 10, "unexpected `\u00a0`", "NO-BREAK SPACE (U+00A0)"),
        ("body.citt\u00e0", 1, 10, "unexpected `\u00e0`", 'body["…"]'),
        ("b\u043edy.nome", 1, 2, "unexpected `\u043e`", "CYRILLIC SMALL LETTER O (U+043E)"),
        ("body.nome in ('a', 'b')", 1, 18, "unexpected `,`", "square brackets"),
        ("body.nome ?? 'a'", 1, 11, "unexpected `??`", "default(x, other)"),
        ("body->nome", 1, 5, "unexpected `->`", "a point between names"),
        ("body.nome between 1 and 3", 1, 11, "unexpected `between`", ">="),
        ("date_add(body.nata, 30d)", 1, 23, "unexpected `d`", 'a duration is a text, and has quotes of its own: "30d"'),
        ("Domanda non accolta", 1, 9, "unexpected `non`", "quotes of its own"),
        ("join(['a'], ',')", 1, 1, "no function `join`", "x.join("),
        ("len(body.nome)", 1, 1, "no function `len`", "size(x)"),
        ("body.nome.upper()", 1, 11, "upper takes other arguments", "upper(x), not x.upper()"),
        ("body.nome || 'x'", 1, 11, "`||` cannot be applied to (anything, a text)", "true or false"),
        ("1 +\n  2 +\n", 2, 6, "ends too early", "missing"),
        ('"aperta', 1, 1, "a quote is not closed", "a text has quotes of its own"),
        ("body\n  .nome(", 2, 9, "ends too early", "put the whole expression in quotes"),
        ('body.nome + "', 1, 13, "a quote is not closed", "` #` begins a comment"),
        ("true ? 1 : 'a'", 1, 6, "different types", "dyn"),
        ("1 ? 2 : 3", 1, 3, "the condition is a whole number, not true or false", "compare"),
        ("['a'].filter(x, 'a')", 1, 13, "the condition is a text, not true or false", "compare"),
        ('"Via " body.nome', 1, 8, "unexpected `body`", "+ joins texts"),
        ('body.nome "via"', 1, 11, "unexpected", "+ joins texts"),
        ("body.nome.", 1, 11, "ends too early", "behind the point"),
        ("body.righe.filter(x.cap == 'a')", 1, 12, "no function `filter`", "x.filter(y, y.…)"),
        ("body.righe.where(x, x.cap == 'a')", 1, 12, "no function `where`", "x.filter(y, y.…)"),
        ("body.righe.sortBy(x, x.cap)", 1, 12, "no function `sortBy`", "lists keep their order"),
        ("body.righe.any(x, x.cap == 'a')", 1, 12, "no function `any`", "x.exists(y, y.…)"),
        ("max(body.numeri)", 1, 1, "no function `max`", "math.greatest(x)"),
        ("nvl(body.nome, '')", 1, 1, "no function `nvl`", "default(x, other)"),
        ("add_days(body.nata, 30)", 1, 1, "no function `add_days`", 'date_add(date, "30d")'),
        ("body.nome.toUpperCase()", 1, 11, "no function `toUpperCase`", "upper(x)"),
        ("has body.nome", 1, 5, "unexpected `body`", "write has(body.nome)"),
        ("body.nome == nul", 1, 14, "there is no `nul` here", "write null"),
        ("range(3)", 1, 1, "no function `range`", "write the numbers out"),
        ("isnull(body.nome)", 1, 1, "no function `isnull`", "x == null"),
        ('"a" + body.nome == null ? "" : "b"', 1, 17, "cannot be applied to (a text, null)", "put the choice in brackets"),
        ("lookup('uffici')", 1, 1, "lookup takes other arguments", 'lookup("table", key)'),
        ("lookup(uffici, 'SUE')", 1, 8, "there is no `uffici` here", 'lookup("uffici", …)'),
        ("lookup(zone-suolo, 'A')", 1, 8, "there is no `zone-suolo` here", 'lookup("zone-suolo", …)'),
        ("istanza", 1, 1, "there is no `istanza` here", "did you mean body.istanza?"),
        ("NO", 1, 1, "there is no `NO` here", "write false; a text has quotes of its own: '\"NO\"'"),
        ("12:30", 1, 3, "unexpected `:`", "a text has quotes of its own: '\"12:30\"'"),
        ("package", 1, 1, "reserved word", "choose another name"),
        ("", 1, 1, "empty", '""'),
        ("body.?nome", 1, 1, "optional", "orValue"),
        ("text(body.?nome)", 1, 1, "optional", "orValue"),
        ("text(dyn(body.?nome))", 1, 1, "optional", "orValue"),
        ("text([body.?nome])", 1, 1, "optional", "orValue"),
        ("type(body.nome)", 1, 5, "a type stands where a value should", "compare it"),
        ("string", 1, 1, "a type stands where a value should", "quotes of its own"),
        ('{"a": [1, type(body.nome)]}', 1, 15, "a type stands where a value should", "compare it"),
        ("[1].map(i, type(i))", 1, 8, "a type stands where a value should", "compare it"),
        ("body.si ? dyn(type(1)) : 2", 1, 19, "a type stands where a value should", "compare it"),
        ("text(type(1))", 1, 10, "a type stands where a value should", "compare it"),
        ("99999999999999999999", 1, 1, "too large", "text"),
        ("(" * 300 + "1" + ")" * 300, 1, 1, "too long or nested", "split it"),
        ("x" * 10_001, 1, 1, "characters", ""),
    ],
)
def test_a_wrong_expression_is_explained_at_its_place(text: str, line: int, column: int, sentence: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        ENVIRONMENT.compile(text)
    wanted = "name.undefined" if "no `" in sentence and "function" not in sentence else "expression.invalid"
    assert ("function.unknown" if "function `" in sentence or "other arguments" in sentence else wanted) == caught.value.code
    assert sentence in caught.value.sentence
    assert (hint in caught.value.hint) if hint else caught.value.hint == ""
    assert "<input>" not in str(caught.value)
    if "optional" not in sentence:
        assert (line, column) == (caught.value.line, caught.value.column)


@pytest.mark.parametrize(
    "text", ["type(body.a) == int", "type(body.a) in [int, double]", "[int, string].exists(t, t == type(body.a))", "type(type(1)) != int"]
)
def test_a_type_may_be_compared(text: str) -> None:
    compiled = ENVIRONMENT.compile(text)
    assert compiled({"body": {"a": 1}}) is True
    assert {"body"} >= compiled.names


def test_an_expression_knows_the_paths_it_reads() -> None:
    found = ENVIRONMENT.compile("body.figli.exists(f, f.nome == soggetto.nome) || has(body.zz) || body['altro'] == 1").reads.references
    assert {"body.figli", "body.figli[].nome", "soggetto.nome", "body.zz", "body.altro"} == {r.text for r in found}
    assert {"body.zz"} == {r.text for r in found if r.tested}


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("body.a", {"body.a"}),
        ("body.a + body.b[0].c", {"body.a", "body.b.[].c"}),
        ("body.?a.orValue(body.b)", {"body.b"}),
        ("has(body.a) ? body.a : body.b", set()),
        ("body.a > 1 ? body.b : body.c", {"body.a"}),
        ("body.a == 1 && body.b == 2 || body.c == 3", {"body.a"}),
        ("body.a.exists(x, x.b == 1)", {"body.a", "body.a[].b"}),
        ("body.a.all(x, has(x.b) && x.b == 1)", {"body.a"}),
        ("body.a.filter(x, x.b == 1).map(x, x.c)", {"body.a", "body.a[].b", "body.a[].c"}),
        ("body.?a.orValue([]).map(x, x.c + body.b)", {"body.a[].c"}),
        ('lookup("t", body.a)', {"body.a"}),
    ],
)
def test_what_an_expression_has_no_value_without(text: str, needed: set[str]) -> None:
    """Not what an answer before it may spare: the right of && and ||, the sides of ? :, what is asked by has() or read with .?"""
    assert {path.replace(".[]", "[]") for path in needed} == {one.text for one in ENVIRONMENT.compile(text).reads.references if one.needed}
    assert {"body", "soggetto"} == ENVIRONMENT.compile("body.figli.exists(f, f.nome == soggetto.nome)").names


def test_a_filter_has_asked_of_its_items_what_it_reads() -> None:
    text = "body.a.filter(x, x.b == 1 && has(x.d)).map(x, x.c)"
    (read,) = (one for one in ENVIRONMENT.compile(text).reads.references if one.text == "body.a[].c")
    assert (("body", "a", "[]", "b"), ("body", "a", "[]", "d")) == read.sifted
    assert {("b",), ("c", "d")} == set(ENVIRONMENT.compile("body.a.filter(x, x.b == 1).filter(y, y.c.d)").reads.asks)


def test_variables_of_macros_are_not_names() -> None:
    assert {"body"} == ENVIRONMENT.compile("cel.bind(soggetto, body.nome, soggetto + 'a')").names
    assert frozenset() == ENVIRONMENT.compile("[1].map(x, x + 1)").names


def test_an_expression_knows_the_tables_it_looks_into() -> None:
    (found,) = ENVIRONMENT.compile("lookup('uffici', body.nome, 'piano')").reads.lookups
    assert ("uffici", "piano") == (found.table, found.column)


def test_a_comprehension_of_a_hundred_million_stops() -> None:
    ten = "[0,1,2,3,4,5,6,7,8,9]"
    text = "true"
    for name in "abcdefgh":
        text = f"{ten}.all({name}, {text})"
    started = time.perf_counter()
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert "expression.budget" == caught.value.code
    assert time.perf_counter() - started < 25


@pytest.mark.parametrize(
    "text",
    [
        "body.testo + body.testo",
        "body.parti.map(parte, body.testo + parte)",
        'body.parti.map(parte, {"causale": body.testo + parte})',
        "body.parti.join(body.testo)",
        'body.testo.replace("a", body.testo)',
        'body.testo.replace("", body.testo)',
        "cel.bind(due, body.testo, due + due)",
    ],
)
def test_texts_that_grow_without_measure_stop_before_they_fill_the_memory(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of 600 KB became 1.5 GB, or more than there is; so did a text that 40 `set` steps doubled."""
    monkeypatch.setattr(failing, "MOST", 100_000)
    with pytest.raises(ExpressionError) as caught:
        value(text, body={"testo": "a" * 60_000, "parti": list("abc")})
    assert ("expression.budget", "take fewer items, or shorter texts") == (caught.value.code, caught.value.hint)


def test_many_short_texts_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "MOST", 100_000)
    assert ["Via Roma 12/A, interno 3"] * 5_000 == value(
        'body.parti.map(parte, "Via Roma " + parte)', body={"parti": ["12/A, interno 3"] * 5_000}
    )


@pytest.mark.parametrize("name", ["in", "as", "package", "a-b", "1a", "", "cel"])
def test_a_name_that_expressions_cannot_read_is_refused(name: str) -> None:
    with pytest.raises(ExpressionError):
        Environment([name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_examples_of_a_function_are_true(name: str) -> None:
    assert FUNCTIONS[name].examples
    for example in FUNCTIONS[name].examples:
        assert value(example) is True, example


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_survives_every_kind_of_value(name: str) -> None:
    kinds = ["null", "1", "1.5", "'s'", "[1]", "{'a': 1}", "true", "b'x'", "timestamp(0)", "duration('1s')"]
    for kind in kinds:
        call = f"{name}({', '.join([f'dyn({kind})'] * len(FUNCTIONS[name].parameters))})"
        with contextlib.suppress(ExpressionError):  # nothing else may come out, least of all the end of the process
            value(call)


@given(st.text())
def test_a_literal_means_its_text(text: str) -> None:
    assert text == Environment([]).compile(literal(text))({})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT, lambda i: st.lists(i) | st.dictionaries(TEXT, i), max_leaves=8
    )
)
def test_cel_and_the_short_way_agree_on_paths(inner: object) -> None:
    scope = {"body": {"a": inner}}
    assert ENVIRONMENT.compile("body.a")(scope) == ENVIRONMENT.compile("[body.a][0]")(scope) == inner


def test_twenty_fields_cost_well_under_a_hundred_microseconds() -> None:
    body = {f"f{n}": f"value {n}" for n in range(20)}
    expressions = [ENVIRONMENT.compile(f"body.f{n} + '!'") for n in range(20)]
    best = min(_seconds(lambda: [one({"body": body}) for one in expressions]) for _ in range(300))
    assert best < 300e-6, "three times the aim, for slow machines"


def _seconds(call: object) -> float:
    started = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - started


@pytest.mark.parametrize(
    "text",
    [
        "text([body.?x][0])", "[body.?x].map(o, text(o))", "body.figli.map(i, body.?x).map(o, text(o))", "text([1].map(i, body.?x))",
        "cel.bind(y, body.?x, text(y))", "text(true ? dyn(1) : body.?x)", "compact({'a': body.?x})", "text(optional.of(1))",
        "optional.of(optional.none())", "default(body.?x.or(body.?nome), 1)", "text({'k': optional.of(1)})",
    ],
)  # fmt: skip
def test_an_optional_never_reaches_a_function_of_ours(text: str) -> None:
    """The library would end the process."""
    with pytest.raises(ExpressionError, match="optional"):
        ENVIRONMENT.compile(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[?body.?x].map(o, text(o))", []),
        ("{?'a': body.?x, ?'b': body.?nome}", {"b": "Ada"}),
        ("body.?nome.optMap(v, upper(v)).orValue('')", "ADA"),
        ("cel.bind(y, body.?x, y.orValue(1))", 1),
        ("(true ? body.?x : optional.none()).orValue(1)", 1),
        ("body.?x.?y.orValue(1)", 1),
        ("body.?figli[0].nome.orValue('')", "Bo"),
        ("body.?x.or(body.?eta).orValue(3)", 36),
        ("text(body.?eta.value())", "36"),
        ("body.?x == optional.none()", True),
    ],
)
def test_an_optional_is_read_by_what_understands_it(text: str, expected: object) -> None:
    assert expected == value(text)


def test_nulls_without_number_do_not_end_the_process() -> None:
    """The CEL library takes a reference to None for each null of a result; Python 3.11 aborts when none is left."""
    program = """
from bus.expression import Environment
nulls = Environment(["body"]).compile("[null, null, null, null, body.x]")
for _ in range(40_000):
    nulls({"body": {"x": None}})
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=200, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_function_on_plain_values_says_the_same_with_and_without_cel():
    """`upper(body.a)` goes by Python alone, the same in a list through CEL."""
    environment = Environment(["body"])
    body = {"a": "città", "n": 1234, "x": None, "f": 1.5, "l": ["a"]}
    for text in ("upper(body.a)", "euro(body.n)", 'upper("abc")', "euro(5)"):
        assert [environment.compile(text)({"body": body})] == environment.compile(f"[{text}]")({"body": body})
    for text in ("upper(body.n)", "upper(body.x)", "upper(body.none)", "euro(body.a)", "euro(body.f)", "upper(body.l)"):
        with pytest.raises(ExpressionError) as alone:
            environment.compile(text)({"body": body})
        with pytest.raises(ExpressionError) as inside:
            environment.compile(f"[{text}]")({"body": body})
        assert (inside.value.sentence, inside.value.code) == (alone.value.sentence, alone.value.code)


def test_a_function_on_plain_values_keeps_no_memory():
    """The CEL library never gives back what it passes to a function and what comes back."""
    import tracemalloc

    upper = Environment(["body"]).compile("upper(body.a)")
    tracemalloc.start()
    try:
        upper({"body": {"a": "warm"}})
        grown = []
        for _ in range(3):  # what other threads of the process keep meanwhile is not ours
            before = tracemalloc.get_traced_memory()[0]
            for number in range(2000):
                upper({"body": {"a": f"testo-{number:09d}"}})
            grown.append(tracemalloc.get_traced_memory()[0] - before)
        assert min(grown) < 20_000
    finally:
        tracemalloc.stop()


def test_what_is_wrong_has_nothing_to_do_with_the_names_of_others() -> None:
    tables = Tables()
    assert 3 == Environment({"altro"}, tables).compile("altro + 1")({"altro": 2})
    with pytest.raises(ExpressionError) as told:
        Environment({"body"}, tables).compile("body.x + altro + ('a' - 1)")
    assert ["there is no `altro` here", "`-` cannot be applied to (a text, a whole number)"] == [
        one.sentence for one in (told.value, *told.value.others)
    ]


@pytest.mark.parametrize(
    "name", ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "type", "dyn", "null_type", "optional_type"]
)
def test_no_name_is_that_of_a_type(name: str) -> None:
    with pytest.raises(ExpressionError, match="reserved word"):
        Environment({name})


EVERY_EXTENSION = [
    '"Ada".charAt(0)', '"a %s".format(["b"])', '"Ada".indexOf("d")', '["a", "b"].join("-")', '"Ada".lastIndexOf("a")', '"Ada".lowerAscii()',
    '"Ada".replace("A", "a")', '"Ada".reverse()', '"a b".split(" ")', '"Ada".substring(1)', '" Ada ".trim()', '"Ada".upperAscii()',
    'strings.quote("Ada")', "math.greatest(1, 2)", "math.least([1, 2])", 'cel.bind(x, "Ada", x + x)', '"a . b" . split(" ")',
]  # fmt: skip


@pytest.mark.parametrize("text", EVERY_EXTENSION)
def test_every_extension_is_known_by_the_text_that_uses_it(text):
    """A process loads the extensions' libraries only for an expression that names one."""
    tables = Tables()
    environment = Environment({"body"}, tables)
    environment.compile(text)({})
    assert needs_extensions(text)
    assert "_alone" not in vars(environment)


def test_optional_values_need_no_other_extension():
    assert not needs_extensions('body.?email.orValue("") + upper(body.nome)')


LOOKS_UP = 'lookup("uffici", body.ufficio).uo + "/" + rows("uffici")[0].uo'


def test_what_was_compiled_is_let_go_with_its_tables() -> None:
    tables = Tables({"uffici": {"edilizia": {"uo": "SUE01"}}})
    expression = Environment({"body"}, tables).compile(LOOKS_UP)
    assert "SUE01/SUE01" == expression({"body": {"ufficio": "edilizia"}})
    gone = weakref.ref(tables)
    del tables, expression
    gc.collect()
    assert gone() is None


def test_an_expression_keeps_the_tables_that_it_looks_into() -> None:
    expression = Environment({"body"}, {"uffici": {"edilizia": {"uo": "SUE01"}}}).compile(f"[body].map(x, {LOOKS_UP})")
    gc.collect()
    assert ["SUE01/SUE01"] == expression({"body": {"ufficio": "edilizia"}})


@pytest.mark.parametrize(
    ("function", "types", "told"),
    [
        ("euro", "(snodo.T1)", True),
        ("upper", "(snodo.T1)", True),
        ("date_add", "(string, snodo.T1)", True),
        ("pad", "(string, snodo.T1)", True),
        ("pad", "(snodo.T1, int)", False),
        ("text", "(snodo.T1)", False),
        ("merge", "(snodo.T1, string)", False),
    ],
)
def test_an_object_where_a_function_takes_a_text_or_a_number_is_surely_wrong_in_each_place(function: str, types: str, told: bool) -> None:
    found = overloads.sure(f"found no matching overload for '{function}' applied to '{types}'")
    assert (found is not None) == told, found


@pytest.mark.parametrize(
    ("types", "sentence", "hint"),
    [
        ("(list(string))", "each item of this one is a text", "sum(list.map(x, number(x)))"),
        ("(list(bool))", "each item of this one is true or false", "name what is added up: sum(list.map(x, x.…))"),
        ("(string)", "this is a text", ""),
    ],
)
def test_what_cannot_be_added_up_is_said_with_the_way_that_can(types: str, sentence: str, hint: str) -> None:
    found = overloads.sure(f"found no matching overload for 'sum' applied to '{types}'")
    assert found is not None
    assert (sentence in found[0], found[1:]) == (True, (hint, "sum")), found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("body.n * number(body.m)", Converted("number", 9, ("body", "m"), beside=(("body", "n"),))),
        ("body.n + number(lookup('uffici', 'SUE', 'piano'))", Converted("number", 9, (), "uffici", "piano", "SUE", (("body", "n"),))),
        ("1 + int(lookup('uffici', body.u).piano)", Converted("int", 4, (), "uffici", "piano")),
        ("rows('uffici').map(r, number(r.piano) + body.n)", Converted("number", 22, (), "uffici", "piano", "", (("body", "n"),))),
        ("int(body.m + '0')", None),
    ],
)
def test_an_expression_knows_which_texts_it_makes_numbers_of_and_what_they_are_reckoned_with(text: str, found: Converted | None) -> None:
    assert ENVIRONMENT.compile(text).reads.converted == ([found] if found else [])
