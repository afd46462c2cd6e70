"""The functions that expressions can call: a closed list, pure, each declared once.

A declaration feeds the CEL overloads (`bus.expression`), the checker's hints and the reference page: types come from the
annotations, the text from the docstring, the examples are CEL expressions that must be true (a test evaluates them).
A function raises ValueError with a sentence for the author of the route, without the value (it may be personal data);
it never returns anything but JSON.
"""

from __future__ import annotations

import builtins
import datetime as dt
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, get_type_hints

from bus import calendar
from bus.clock import ROME, moment_of, text_of
from bus.errors import PERSON
from bus.message import canonical
from bus.message import digest as digest_of


@dataclass(frozen=True, slots=True)
class Function:
    """One function. ``parameters`` are (name, type) and ``returns`` a type, of str, int, float, bool, list, dict or Any (object)."""

    name: str
    parameters: tuple[tuple[str, Any], ...]
    returns: Any
    doc: str
    examples: tuple[str, ...]
    call: Callable[..., Any]

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(name for name, _ in self.parameters)})"


FUNCTIONS: dict[str, Function] = {}


def _function(*examples: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(call: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS[call.__name__] = declared(call, examples)
        return call

    return declare


def declared(call: Callable[..., Any], examples: tuple[str, ...] = ()) -> Function:
    """The declaration of a Python function, from its annotations and docstring."""
    hints = get_type_hints(call)
    parameters = tuple((name, hints[name]) for name in inspect.signature(call).parameters)
    return Function(call.__name__, parameters, hints["return"], inspect.getdoc(call) or "", examples, call)


# --- money -----------------------------------------------------------------------------------------------------------


@_function('euro(1234) == "12.34"', 'euro(5) == "0.05"', 'euro(-50) == "-0.50"')
def euro(cents: int) -> str:
    """Cents as euro with two decimals and a point, as payment systems write them."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


_AMOUNT = re.compile(r"\s*[+-]?[0-9.,]{1,25}\s*")
"""No more digits than `Decimal` reckons with: it would round the others away."""


@_function('cents("12.34") == 1234', 'cents("12,3") == 1230', "cents(16.0) == 1600", "cents(16) == 1600")
def cents(euro: Any) -> int:
    """Euro, as text or number, in cents. More than two decimals are refused, never rounded."""
    try:
        if isinstance(euro, bool) or (isinstance(euro, str) and not _AMOUNT.fullmatch(euro)):
            raise InvalidOperation
        exact = Decimal(str(euro).replace(",", ".")) * 100
    except InvalidOperation:
        raise ValueError("this is not an amount in euro") from None
    if not exact.is_finite() or exact != exact.to_integral_value() or abs(exact) >= 2**63:
        raise ValueError("this is not an amount of whole cents")
    return int(exact)


# --- dates -----------------------------------------------------------------------------------------------------------


@_function(
    'date_add("2026-04-03", "1wd") == "2026-04-07"',
    'date_add("2026-01-31", "1M") == "2026-02-28"',
    'date_add("2026-03-02", "-1d") == "2026-03-01"',
    'date_add("2026-03-02", text(30 * 0) + "d") == "2026-03-02"',
)
def date_add(date: str, duration: str) -> str:
    """The date a duration later: ``30d``, ``10wd`` (Italian working days), ``1w``, ``2M``, ``1y``; a minus sign goes back."""
    return calendar.add(calendar.day_of(date), duration).isoformat()


@_function('working_day("2026-10-05")', '!working_day("2026-04-06")')
def working_day(date: str) -> bool:
    """Whether a date is Monday to Friday and no national holiday."""
    return calendar.is_working_day(calendar.day_of(date))


@_function('days_between("2026-03-01", "2026-03-31") == 30', 'days_between("2026-03-02", "2026-03-01") == -1')
def days_between(start: str, end: str) -> int:
    """The days from one date to another."""
    return (calendar.day_of(end) - calendar.day_of(start)).days


@_function('date_of("2026-03-01T23:30:00Z") == "2026-03-02"', 'date_of("2026-03-01") == "2026-03-01"')
def date_of(timestamp: Any) -> str:
    """The date in Italy of a moment (RFC 3339 text or a CEL timestamp); a date stays as it is."""
    if isinstance(timestamp, dt.datetime):
        return timestamp.astimezone(ROME).date().isoformat()
    if isinstance(timestamp, str) and len(timestamp) == 10:
        return calendar.day_of(timestamp).isoformat()
    try:
        return moment_of(timestamp).astimezone(ROME).date().isoformat()
    except OverflowError:
        raise ValueError("this moment is beyond the last date that there is") from None
    except (ValueError, TypeError):
        raise ValueError("this is not a moment with a time zone") from None


@_function('year_of("2026-03-01") == 2026', 'year_of("2025-12-31T23:30:00Z") == 2026')
def year_of(date: Any) -> int:
    """The year, in Italy, of a date or moment."""
    return int(date_of(date)[:4])


# --- codes -----------------------------------------------------------------------------------------------------------


@_function('cf_valid("RSSMRA80A01H501U")', '!cf_valid("RSSMRA80A01H501X")', '!cf_valid("")')
def cf_valid(text: str) -> bool:
    """Whether a text is a codice fiscale of a person with the right check character (16 capital characters)."""
    return bool(_CODE.fullmatch(text)) and _check_character(text) == text[15] and _is_birth_date(text)


_CODE = re.compile(PERSON.pattern)
OMOCODIA = str.maketrans("LMNPQRSTUV", "0123456789")
"""The digits for which letters stand in codes of persons who would have one code."""
_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21) * 2 + (
    2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
_EVEN = {character: at - 10 if at > 9 else at for at, character in enumerate(_ODD)}


def _check_character(code: str) -> str:
    """What stdnum says, as a test compares; but each text of each message is asked, and this takes a tenth of its time."""
    odd, even = map(_ODD.__getitem__, code[:15:2]), map(_EVEN.__getitem__, code[1:15:2])
    return chr(65 + builtins.sum([*odd, *even]) % 26)  # not our own `sum`, which looks at each number


def _is_birth_date(code: str) -> bool:
    year, day = int(code[6:8].translate(OMOCODIA)), int(code[9:11].translate(OMOCODIA)) % 40
    try:
        return bool(dt.date(1900 + year + 100 * (year < 20), "ABCDEHLMPRST".index(code[8]) + 1, day))
    except ValueError:
        return False


@_function('cf_birth_date("RSSMRA80A01H501U") == "1980-01-01"')
def cf_birth_date(codice_fiscale: str) -> str:
    """The date of birth in a codice fiscale. It has two digits for the year: read as 1930 to 2029."""
    from stdnum.it import codicefiscale

    if not cf_valid(codice_fiscale):
        raise ValueError("this is not a valid codice fiscale")
    born: dt.date = codicefiscale.get_birth_date(codice_fiscale, minyear=1930)
    return born.isoformat()


@_function('iva_valid("00743110157")', '!iva_valid("00743110158")')
def iva_valid(text: str) -> bool:
    """Whether a text is a partita IVA: 11 digits, an office that there is (digits 8 to 10), the right check digit."""
    from stdnum.it import iva

    return len(text) == 11 and text.isascii() and bool(iva.is_valid(text))


@_function('iban_valid("IT60X0542811101000000123456")', '!iban_valid("IT60X0542811101000000123457")')
def iban_valid(text: str) -> bool:
    """Whether a text is an IBAN with the right check digits, blanks aside."""
    from stdnum import iban

    return bool(_IBAN.fullmatch(text)) and bool(iban.is_valid(text, check_country=False))


_IBAN = re.compile(r"[A-Za-z0-9 ]+")
"""What an IBAN may be written of. The library's check drops points, hyphens and ends of lines too, which no payment system takes."""


# --- text ------------------------------------------------------------------------------------------------------------


@_function('title_case("DE LUCA") == "De Luca"', 'title_case("d\'angelo maria-luisa") == "D\'Angelo Maria-Luisa"')
def title_case(text: str) -> str:
    """Each word with a capital, the rest small, also after apostrophe and hyphen."""
    return _WORD.sub(lambda word: word[0][:1].title() + word[0][1:].lower(), text)


_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f])*")
"""Letters, also with accents that are signs of their own."""


@_function('upper("città") == "CITTÀ"')
def upper(text: str) -> str:
    """Capital letters, accents included."""
    return text.upper()


@_function('lower("CITTÀ") == "città"')
def lower(text: str) -> str:
    """Small letters, accents included."""
    return text.lower()


@_function('pad(118, 5) == "00118"', 'pad("7", 3) == "007"', 'pad(-7, 4) == "-007"')
def pad(value: Any, length: int) -> str:
    """Text or whole number with zeros on its left up to a length (at most 1,000); they stand behind the sign of a number."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not 0 <= length <= 1000:
        raise ValueError("pad takes text or a whole number, and a length up to 1000")
    return str(value).zfill(length) if isinstance(value, int) else value.rjust(length, "0")


@_function('text(12) == "12"', 'text(1.0) == "1"', 'text(null) == ""', 'text(true) == "true"', 'text([1, "a"]) == "[1,\\"a\\"]"')
def text(value: Any) -> str:
    """Any value as text: null is empty, a whole double has no decimals, lists and maps are JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dt.datetime):
        return text_of(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return canonical(value).decode()


@_function('number("12") == 12', 'number("12.5") == 12.5', 'number("007") == 7')
def number(text: str) -> Any:
    """The number a text says, with a decimal point or comma: a whole one without decimals, else a double."""
    plain = text.strip().replace(",", ".")
    if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", plain):
        raise ValueError("this is not a number")
    return float(plain) if "." in plain else int(plain)


# --- values ----------------------------------------------------------------------------------------------------------


@_function('digest("a") == digest("a")', 'digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})')
def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of a value."""
    return digest_of(value)


@_function("first([3, 4]) == 3", "first([]) == null")
def first(items: list[Any]) -> Any:
    """The first item of a list, null when there is none."""
    return items[0] if items else None


@_function('distinct(["b", "a", "b", "c"]) == ["b", "a", "c"]')
def distinct(items: list[Any]) -> list[Any]:
    """The items of a list, each once, in the order in which they first come."""
    kept = dict[bytes, Any]()
    for item in items:
        kept.setdefault(canonical(item), item)
    return list(kept.values())


@_function('default(null, "x") == "x"', 'default("", "x") == "x"', "default(0, 5) == 0")
def default(value: Any, other: Any) -> Any:
    """The value, or the other when it is null or empty text. For a key that may be missing write ``body.?name.orValue(other)``."""
    return other if value is None or value == "" else value


@_function("sum([1, 2, 3]) == 6", "sum([]) == 0")
def sum(numbers: list[Any]) -> Any:
    """The sum of a list of numbers."""
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
        raise ValueError("sum takes a list of numbers")
    try:
        total = math.fsum(numbers) if any(isinstance(n, float) for n in numbers) else builtins.sum(numbers)
    except OverflowError:
        raise ValueError(_TOO_LARGE) from None
    if isinstance(total, int) and not -(2**63) <= total < 2**63:
        raise ValueError(_TOO_LARGE)
    return total


_TOO_LARGE = "the sum is larger than any number here can be"


@_function('merge({"a": 1, "b": 1}, {"b": 2}) == {"a": 1, "b": 2}')
def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both maps in one; the second wins."""
    return {**one, **other}


@_function('compact({"a": null, "b": 1, "c": ""}) == {"b": 1}', "compact([1, null]) == [1]")
def compact(value: Any) -> Any:
    """A map or list without its null and empty text members (first level only)."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if inner not in (None, "")}
    if isinstance(value, list):
        return [inner for inner in value if inner not in (None, "")]
    raise ValueError("compact takes a map or a list")
