"""What is read and written of the sequences, choices and types that a contract may have: nothing said is lost, either way."""

from __future__ import annotations

import hashlib
import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from adapters.soap.adapter import Soap, as_json
from adapters.soap.wsdl import Wsdl
from adapters.soap.xml import Element, children, etree, local, parse
from bus.errors import ConfigError, Invalid, Malformed

NIL = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"'


def contract(folder: Path, content: str) -> Wsdl:
    """A contract whose one message, both ways, has an element with this content."""
    text = f"""<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t"
      xmlns:b="http://schemas.xmlsoap.org/wsdl/soap/" targetNamespace="urn:t"><wsdl:types>
      <x:schema targetNamespace="urn:t" elementFormDefault="qualified"><x:group name="G"><x:sequence>{of("k", "int")}{of("j")}</x:sequence></x:group>
      <x:element name="m"><x:complexType>{content}</x:complexType></x:element></x:schema></wsdl:types>
      <wsdl:message name="m"><wsdl:part name="p" element="t:m"/></wsdl:message><wsdl:portType name="P"><wsdl:operation name="o">
      <wsdl:input message="t:m"/><wsdl:output message="t:m"/></wsdl:operation></wsdl:portType><wsdl:binding name="P" type="t:P">
      <b:binding transport="http://schemas.xmlsoap.org/soap/http"/><wsdl:operation name="o"><b:operation soapAction="o"/>
      <wsdl:input><b:body use="literal"/></wsdl:input><wsdl:output><b:body use="literal"/></wsdl:output></wsdl:operation></wsdl:binding>
      <wsdl:service name="S"><wsdl:port name="P" binding="t:P"><b:address location="http://127.0.0.1/"/></wsdl:port></wsdl:service>
      </wsdl:definitions>"""
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.wsdl"
    path.write_text(text, "utf-8")
    return Wsdl(path)


def of(name: str, kind: str = "string", more: str = "") -> str:
    return f'<x:element name="{name}" type="x:{kind}" {more}/>'


def sequence(*parts: str, more: str = "") -> str:
    return f"<x:sequence {more}>{''.join(parts)}</x:sequence>"


def choice(*parts: str, more: str = "") -> str:
    return f"<x:choice {more}>{''.join(parts)}</x:choice>"


def read(wsdl: Wsdl, inner: str) -> Any:
    """What a reply says, as JSON; it is valid."""
    body = parse(f'<m xmlns="urn:t">{inner}</m>'.encode())
    assert wsdl.errors(body) == []
    return as_json(wsdl.read_reply(wsdl.operation("o"), body, filled=True))


def written(wsdl: Wsdl, values: dict[str, Any]) -> str:
    """What a valid request says, without its namespace."""
    body = wsdl.build_request(wsdl.operation("o"), values)[0][0]
    assert wsdl.errors(body) == []
    for one in body.iter():
        one.tag = local(one)
    return "".join(etree.tostring(one).decode().replace(_OURS, "") for one in body)


_OURS = ' xmlns:ns0="urn:t" xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"'
OPTIONAL, SEVERAL, ANY = 'minOccurs="0"', 'maxOccurs="unbounded"', 'minOccurs="0" maxOccurs="unbounded"'
BRANCHES = choice(of("si", "boolean"), of("n", "int"), of("d", "decimal"), of("s"), more=OPTIONAL)


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("<si>false</si>", {"si": False}),
        ("<n>0</n>", {"n": 0}),
        ("<d>0.00</d>", {"d": "0.00"}),
        ("<s/>", {"s": ""}),
        ("<n>7</n>", {"n": 7}),
    ],
)
def test_false_zero_and_an_empty_text_are_said_by_a_choice(tmp_path, xml, said):
    """They were dropped from replies, and a request went out without them."""
    wsdl = contract(tmp_path, sequence(of("a"), BRANCHES))
    assert read(wsdl, f"<a>1</a>{xml}") == {"a": "1", **said}
    assert read(wsdl, written(wsdl, {"a": "1", **said})) == {"a": "1", **said}


def test_two_branches_of_a_choice_are_refused_unless_all_but_one_are_empty(tmp_path):
    """The first of them was sent, the other forgotten."""
    wsdl = contract(tmp_path, sequence(of("a"), BRANCHES))
    for both in ({"si": False, "n": 4}, {"si": False, "n": 0}, {"n": 4, "s": "x"}):
        with pytest.raises(Invalid, match="got an unexpected keyword argument"):
            written(wsdl, {"a": "1", **both})
    assert written(wsdl, {"a": "1", "s": "", "n": 4, "d": None}) == "<a>1</a><n>4</n>"


@pytest.mark.parametrize(
    ("content", "xml", "said"),
    [
        (sequence(of("a"), choice(sequence(of("b"), of("c")), of("d"))), "<a>1</a><d>2</d>", {"a": "1", "d": "2"}),
        (choice(sequence(of("a"), of("b")), sequence(of("c"), of("b"))), "<c>1</c><b>2</b>", {"c": "1", "b": "2"}),
        (sequence(of("a"), sequence(of("b"), more=OPTIONAL), of("d")), "<a>1</a><d>2</d>", {"a": "1", "d": "2"}),
        (
            sequence(of("a"), sequence(of("b"), of("c"), more=ANY), of("d")),
            "<a>1</a><b>2</b><c>3</c><b>4</b><c>5</c><d>6</d>",
            {"a": "1", "_value_1": [{"b": "2", "c": "3"}, {"b": "4", "c": "5"}], "d": "6"},
        ),
        (
            sequence(choice(of("a"), of("b"), more=SEVERAL), of("c"), choice(of("d"), of("e"), more=SEVERAL)),
            "<b>1</b><a>2</a><c>3</c><e>4</e>",
            {"_value_1": [{"b": "1"}, {"a": "2"}], "c": "3", "_value_2": [{"e": "4"}]},
        ),
        (
            sequence('<x:group ref="t:G" maxOccurs="3"/>', of("z")),
            "<k>0</k><j>1</j><k>2</k><j>3</j><z>4</z>",
            {"_value_1": [{"k": 0, "j": "1"}, {"k": 2, "j": "3"}], "z": "4"},
        ),
        (  # whose parts have one name, of which one is said
            sequence(sequence(sequence(of("a"), more=SEVERAL)), choice(of("b"), sequence(of("c"), more=SEVERAL))),
            "<a>1</a><a>2</a><b>3</b>",
            {"_value_1": [{"a": "1"}, {"a": "2"}], "b": "3"},
        ),
        (  # for which it took hours
            sequence(of("a"), sequence(of("b", more=OPTIONAL), of("c", more=OPTIONAL), more=ANY), of("d")),
            "<a>1</a><d>2</d>",
            {"a": "1", "_value_1": [], "d": "2"},
        ),
    ],
)
def test_what_stands_in_a_sequence_or_choice_within_another_is_read_and_written(tmp_path, content, xml, said):
    """Valid replies could not be read."""
    wsdl = contract(tmp_path, content)
    assert read(wsdl, xml) == said
    assert written(wsdl, said) == xml


def test_parts_that_cannot_be_told_apart_are_no_values(tmp_path):
    """Of two that come several times within others the second stood for both."""
    several = choice(of("a"), of("b"), more=SEVERAL), choice(of("d"), of("e"), more=SEVERAL)
    wsdl = contract(tmp_path, sequence(sequence(several[0]), sequence(several[1])))
    with pytest.raises(Malformed, match="cannot be told apart"):
        read(wsdl, "<a>1</a><d>2</d>")


def test_an_object_that_is_nil_is_no_object(tmp_path):
    """It was one of which nothing is said, but that it is there."""
    person = f"<x:complexType>{sequence(of('nome'))}<x:attribute name='n' type='x:int'/></x:complexType>"
    one, several = (f"<x:element name='{name}' nillable='true' {more}>{person}</x:element>" for name, more in (("uno", ""), ("altri", ANY)))
    wsdl = contract(tmp_path, sequence(one, several))
    there = "<altri><nome>ADA</nome></altri>"
    assert read(wsdl, f"<uno {NIL}/>{there}<altri {NIL}/>") == {"altri": [{"nome": "ADA"}, None]}
    assert read(wsdl, f"<uno n='4' {NIL}/>") == {"uno": {"n": 4}, "altri": []}
    assert read(wsdl, written(wsdl, {"uno": None, "altri": [None, {"nome": "ADA"}]})) == {"altri": [None, {"nome": "ADA"}]}


def test_an_attribute_that_is_left_out_says_its_default_in_its_type(tmp_path):
    """It said ``"false"``, which is no false."""
    kinds = (("si", "boolean", "false"), ("n", "int", "3"), ("d", "decimal", "0.50"))
    given = "".join(f'<x:attribute name="{name}" type="x:{kind}" default="{value}"/>' for name, kind, value in kinds)
    wsdl = contract(tmp_path, f"{sequence(of('a'))}{given}")
    assert read(wsdl, "<a>1</a>") == {"a": "1", "si": False, "n": 3, "d": "0.50"}


@pytest.mark.parametrize("kind", ["double", "float"])
def test_what_is_no_number_of_json_is_a_text(tmp_path, kind):
    """It became null, and could not be sent."""
    wsdl = contract(tmp_path, sequence(of("n", kind, 'maxOccurs="4"')))
    assert read(wsdl, "<n>INF</n><n>-INF</n><n>NaN</n><n>1e3</n>") == {"n": ["INF", "-INF", "NaN", 1000.0]}
    assert written(wsdl, {"n": ["INF", "-INF", "NaN", 0.5]}) == "<n>INF</n><n>-INF</n><n>NaN</n><n>0.5</n>"


def test_nothing_is_written_as_python_writes_it(tmp_path):
    some = '<x:element name="l"><x:simpleType><x:list itemType="x:int"/></x:simpleType></x:element>'
    wsdl = contract(tmp_path, sequence(of("s"), some, of("q", "anyType")))
    assert written(wsdl, {"s": True, "l": "12 3", "q": True}) == "<s>true</s><l>12 3</l><q>true</q>"
    for value in ([1, 2], {"a": 1}):
        with pytest.raises(Invalid, match="say it as a text"):
            written(wsdl, {"s": "a", "l": [1], "q": value})


def test_a_list_is_not_cut_down_to_the_one_object_that_is_due(tmp_path):
    kind = f"<x:complexType>{sequence(of('a'))}</x:complexType>"
    wsdl = contract(tmp_path, sequence(f"<x:element name='uno'>{kind}</x:element>", f"<x:element name='altri' {ANY}>{kind}</x:element>"))
    two = [{"a": "1"}, {"a": "2"}]
    assert written(wsdl, {"uno": two[0], "altri": two}) == "<uno><a>1</a></uno><altri><a>1</a></altri><altri><a>2</a></altri>"
    for values in ({"uno": two}, {"uno": two[0], "altri": [two]}):
        with pytest.raises(Invalid, match="stands a list"):
            written(wsdl, values)


TEXTS = {"string": "è", "int": "0", "boolean": "false", "decimal": "0.10", "date": "2026-03-01"}


def random_content(chance: random.Random, names: itertools.count[int], depth: int = 2) -> str:
    """A sequence or a choice of elements, and of such again."""
    parts = []
    for _ in range(chance.randint(1, 3)):
        if depth and chance.random() < 0.4:
            parts.append(random_content(chance, names, depth - 1))
        else:
            parts.append(of(f"e{next(names)}", chance.choice([*TEXTS]), chance.choice(["", "", OPTIONAL, ANY])))
    return chance.choice([sequence, choice])(*parts, more="" if depth == 2 else chance.choice(["", "", OPTIONAL, ANY]))


def fill(parent: Element, part: Element, chance: random.Random) -> None:
    """Put what a part of a contract allows into an element."""
    least = int(part.get("minOccurs", "1"))
    for _ in range(chance.randint(least, max(least, 2 if part.get("maxOccurs") else 1))):
        if local(part) == "element":
            etree.SubElement(parent, f"{{urn:t}}{part.get('name')}").text = TEXTS[part.get("type").partition(":")[2]]
        else:
            inner = [*children(part)]
            for one in [chance.choice(inner)] if local(part) == "choice" else inner:
                fill(parent, one, chance)


def test_nothing_is_lost_of_what_any_contract_allows(tmp_path):
    tried = 0
    for seed in range(150):
        chance = random.Random(seed)
        content = random_content(chance, itertools.count())
        wsdl = contract(tmp_path, content)
        try:
            _ = wsdl.schema
        except ConfigError:  # of which nobody could tell by an element where it stands
            continue
        tried += sum(_is_whole(wsdl, content, chance) for _ in range(5))
    assert tried > 500


def _is_whole(wsdl: Wsdl, content: str, chance: random.Random) -> bool:
    """Whether a random message is read and written again without a loss; False where its parts cannot be told apart."""
    body = etree.Element("{urn:t}m")
    fill(body, next(children(parse(f'<c xmlns:x="http://www.w3.org/2001/XMLSchema">{content}</c>'.encode()))), chance)
    assert wsdl.errors(body) == []
    before = [(one.tag, one.text) for one in body]
    operation = wsdl.operation("o")
    try:
        said = as_json(wsdl.read_reply(operation, body))
    except Malformed:
        return False
    again = wsdl.build_request(operation, {} if said == {"value": None} else said)[0][0]
    assert [(one.tag, one.text) for one in again] == before, content
    return True


def test_a_contract_that_judges_no_message_is_found_before_the_first_one(tmp_path):
    """Only the first call told, and its run fell."""
    path = contract(tmp_path, sequence(of("a", more=OPTIONAL), of("a"))).path
    asked = {"operation": "o", "effect": "once", "timeout": 2}
    adapter = Soap("ente", Soap.Settings.model_validate({"wsdl": str(path), "url": "http://127.0.0.1:9", "operations": {"o": asked}}))
    assert [one for one in adapter.check() if f"{path.name} does not compile" in str(one)]
