"""ADS's ProtocolloExtendedService: XML texts inside SOAP strings. Two calls find a registration: ids by object, then each document.

Shapes (from public clients and the vendor's published source): ``<ROOT><UTENTE/><OGGETTO>%text%</OGGETTO></ROOT>`` is answered by
``DOCUMENTO/ID_DOCUMENTO`` repeated; ``<ROOT><UTENTE/><ID_DOCUMENTO/></ROOT>`` by ``DOC`` with ANNO, NUMERO, DATA (dd/mm/yyyy), OGGETTO;
an error by ``RESULT`` KO with ``MESSAGE``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from adapters.protocollo.riferimento import mark
from adapters.soap.xml import Element, add, children, fragment, local, new, parse, text_at
from bus.adapter import Unreachable
from bus.errors import Malformed

Ask = Callable[[str, str], str]
"""``(operation, XML text) -> XML text``."""

OnMessage = Callable[[str], None]
"""Told the sentence of an error; raises when it is one it knows."""

_MAX = 2_000_000
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")
"""Says the encoding of a file; of a text that came inside another document it is not true any more."""


def documents(ask: Ask, utente: str, riferimento: str, on_error: OnMessage) -> list[str]:
    """Ids of the registered documents whose object may hold our reference: ``%`` and ``_`` are wildcards there, so check again."""
    root = _answer(ask("getDocumentiProtocollati", _asked(utente, OGGETTO=f"%{mark(riferimento)}%")), on_error)
    ids = (text_at(child, "ID_DOCUMENTO") for child in children(root) if local(child) == "DOCUMENTO")
    return [number for number in ids if number]


def document(ask: Ask, utente: str, number: str, on_error: OnMessage) -> dict[str, str]:
    """ANNO, NUMERO, DATA, OGGETTO of one registered document."""
    root = _answer(ask("getDocumento", _asked(utente, ID_DOCUMENTO=number)), on_error)
    return {name: text_at(root, "DOC", name) or "" for name in ("ANNO", "NUMERO", "DATA", "OGGETTO")}


def _asked(utente: str, **fields: str) -> str:
    root = new("ROOT")
    for name, text in {"UTENTE": utente, **fields}.items():
        add(root, name, text)
    return fragment(root).decode()


def _answer(text: str, on_error: OnMessage) -> Element:
    try:
        root = parse(_DECLARATION.sub("", text, count=1).encode(), max_bytes=_MAX)
    except Malformed as error:
        raise Unreachable(f"the search answered something else than XML: {error.sentence}", answered=True) from None
    if text_at(root, "RESULT") == "KO":
        message = text_at(root, "MESSAGE") or ""
        on_error(message)
        raise Unreachable(f"the search failed: {message}", outside_code=text_at(root, "ERROR_NUMBER") or "", answered=True)
    return root
