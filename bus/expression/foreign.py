"""What people write in expressions who know other languages, and what to write."""

from __future__ import annotations

_AND, _OR, _NOT = "write && for «and»", "write || for «or»", "write ! for «not», before the whole: !(x in […])"
_EQUAL, _QUOTES = "write == to compare, != for what differs", "write straight quotes"
SIGNS = {
    "and": _AND, "e": _AND, "ed": _AND, "&": _AND + ", + to join texts",
    "or": _OR, "o": _OR, "oppure": _OR, "|": _OR,
    "not": _NOT, "non": _NOT, "~": _NOT,
    "=": _EQUAL, "is": _EQUAL, "equals": _EQUAL, "<>": _EQUAL,
    **dict.fromkeys(("=>", "≥"), "write >= for «at least»"),
    **dict.fromkeys(("=<", "≤"), "write <= for «at most»"),
    "≠": _EQUAL,
    "between": "write x >= 1 && x <= 9",
    "contains": 'write x.contains("…") for a text, "…" in x for a list',
    "like": 'write x.contains("…"), x.startsWith("…") or x.matches("…")',
    "then": "write condition ? this : that",
    "if": "write condition ? this : that, and in a `when` the condition alone",
    "??": "write default(x, other) for what may be null, x.?y.orValue(other) for what may be missing",
    "->": "write a point between names, and .map(x, …) for each item",
    "$": "names stand alone: body.x; a template such as {$when: …, $value: …} stands without quotes around it",
    "#": "an expression has no comments",
    "“": _QUOTES, "”": _QUOTES, "‘": _QUOTES, "’": _QUOTES, "«": _QUOTES, "`": _QUOTES,
}  # fmt: skip
"""What stands where CEL has another sign."""

_SIZE = "size(x) counts characters and items"
FUNCTIONS_ELSEWHERE = {
    "not": _NOT, "and": _AND, "or": _OR, "len": _SIZE, "length": _SIZE,
    "count": _SIZE, "now": "`now` is a name: write it without ()",
    "today": "date_of(now) is the date of today",
    "concat": "+ joins texts", "where": "write x.filter(y, y.…)", **dict.fromkeys(("select", "collect"), "write x.map(y, y.…)"),
    "isnull": "write x == null", "get": "write x[key] for a map, x[0] for a list",
    "range": "write the numbers out: [1, 2, 3].filter(n, n <= …)",
    **dict.fromkeys(("nvl", "coalesce", "ifnull"), "default(x, other) gives the other for what is null"),
    **dict.fromkeys(("empty", "isempty"), 'write x == "" of a text, size(x) == 0 of a list'),
    **dict.fromkeys(
        ("sort", "sorted", "sortby", "orderby"), "lists keep their order: size(list.filter(o, o.x < i.x)) + 1 is an item's place"
    ),
    **dict.fromkeys(("any", "some"), "write x.exists(y, y.…)"), "every": "write x.all(y, y.…)", "find": "write x.filter(y, y.…)[0]",
    **dict.fromkeys(("reduce", "fold"), "sum(x.map(y, y.…)) adds up"), "last": "write x[size(x) - 1]",
    "max": "write math.greatest(x)", "min": "write math.least(x)", "abs": "write math.abs(x)",
    **{word: f"write math.{word}(x), of a number with decimals" for word in ("ceil", "floor", "round", "trunc")},
    **dict.fromkeys(("touppercase", "toupper", "ucase"), "write upper(x)"),
    **dict.fromkeys(("tolowercase", "tolower", "lcase"), "write lower(x)"), **dict.fromkeys(("str", "tostring"), "write text(x)"),
    **dict.fromkeys(("parseint", "parsefloat", "float"), "number(x) makes a number of text"), "strip": "write x.trim()",
    **dict.fromkeys(("date_diff", "datediff", "daysbetween", "days", "giorni"), "days_between(start, end) counts the days"),
    **dict.fromkeys(("add_days", "adddays", "dateadd"), 'write date_add(date, "30d")'),
}  # fmt: skip
"""Functions of other languages."""
OF_NUMBERS = ("ceil", "floor", "round", "trunc", "abs", "sign", "greatest", "least")
"""Functions of CEL's `math`; all but the last two take one number."""
OF_TEXTS = {
    "split": 'x.split(",")', "join": 'list.join(", ")', "replace": 'x.replace("a", "b")', "substring": "x.substring(0, 3)",
    "trim": "x.trim()", "contains": 'x.contains("a")', "startsWith": 'x.startsWith("a")', "endsWith": 'x.endsWith("a")',
    "matches": 'x.matches("[0-9]+")',
}  # fmt: skip
"""How methods are written that take other arguments than they got."""
VALUES = {
    "true": "write true", "false": "write false",
    "vero": "write true", "si": "write true", "sì": "write true", "yes": "write true", "falso": "write false", "no": "write false",
    "nullo": "write null", "nul": "write null", "none": "write null", "nil": "write null",
}  # fmt: skip
"""Words that people take for values."""
