"""The page of a bundle that a person reads: what happened, line by line, in Italian and English. No script, nothing from outside.

Whoever reads it with a screen reader or on a telephone reads as much (WCAG 2.1 AA): each table, column and row has its name, letters are as
large as the reader sets them, and English words are marked as such. What nobody sees in a text is written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from bus.bundle import verify
from bus.bundle.gather import Gathered
from bus.clock import text_of
from bus.errors import visible
from bus.log.record import Record

_STYLE = (
    "body{font:.875rem sans-serif;margin:2em;color:#1d2433;background:#fff}h1{margin:0 0 .7em}"
    "table{border-spacing:0;margin-bottom:1.5em}"
    "caption{text-align:left;font-weight:bold;padding:.3em 0}tbody th+td{overflow-wrap:anywhere}"
    "td,th{border:solid #c8ccd4;border-width:0 1px 1px 0;padding:.3em .6em;text-align:left;vertical-align:top;font-size:.75rem}"
    "thead th,caption+tbody>tr:first-child>*{border-top-width:1px}tr>:first-child{border-left-width:1px}tr{break-inside:avoid}"
    "th{background:#f2f3f5}thead th{position:sticky;top:0}tbody tr:nth-child(even) td{background:#fafbfc}"
    "thead+tbody td:nth-child(2){white-space:nowrap}"
    "td:nth-child(7),td:nth-child(8){font:.6875rem monospace;min-width:9em;overflow-wrap:anywhere}"
    # What leaves such a section is cut off: it is as wide as its table, or a narrow window would lack the last columns.
    "section{content-visibility:auto;contain-intrinsic-size:auto 60rem auto 1000rem;width:min-content;min-width:100%}"
    "@page{size:A4 landscape;margin:1cm}"
    "@media print{body{margin:0}section{content-visibility:visible}td,th,td:nth-child(n){font-size:7pt}thead th{position:static}"
    "thead+tbody td:nth-child(n+3):not(:nth-child(7)):not(:nth-child(8)){overflow-wrap:anywhere}}"
)
ROWS = 500
"""Records in one table: what no reader has come to yet a browser need not lay out, which for 130,000 rows of one table takes it minutes."""
_TITLES = (
    ("n.", ""), ("ora UTC", "time UTC"), ("fatto", "kind"), ("passo o tipo", "place or type"), ("cammino", "path"), ("chi", "actor"),
    ("messaggio", "message"), ("esecuzione", "run"), ("esito", "outcome"),
)  # fmt: skip
ITALIAN: Mapping[str, str] = {
    "received": "ricevuto", "joined": "chiave aggiunta al caso", "asked": "chiesto", "answered": "risposto", "refused": "rifiutato",
    "unanswered": "senza risposta", "waiting": "in attesa", "matched": "arrivato quanto atteso", "expired": "scaduto",
    "closed": "attesa chiusa", "late": "arrivato tardi", "sent": "spedito", "replied": "risposto al mittente", "parked": "sospeso",
    "done": "concluso", "dead": "fermo: deve decidere una persona", "redelivered": "rimesso in moto", "decided": "deciso",
    "discarded": "abbandonato", "served": "risposto a un sistema", "access": "accesso", "polled": "chieste le novità",
    "rules": "regole in vigore", "attached": "file allegato", "read": "letto", "exported": "esportato", "replayed": "riprodotto",
    "erasure": "chiesta la cancellazione", "erased": "cancellati i dati di una persona", "disposed": "scartato per decorso dei termini",
    "keys": "chiavi del registro",
}  # fmt: skip
"""Each kind of record in Italian."""
STATES: Mapping[str, str] = {"ready": "pronto", "waiting": "in attesa", "done": "concluso", "dead": "fermo", "cancelled": "abbandonato"}
"""And each state in which a record leaves a run."""
_SCOPES: Mapping[str, str] = {"case": "caso", "message": "messaggio", "from": "dal", "to": "al"}
README = """\
Fascicolo di Snodo. Per leggerlo: summary.html (che cosa e' accaduto). Per verificarlo, con Python 3.8 o successivo, senza
rete e senza installare altro:

    python3 -I verify.py FASCICOLO.zip --key CHIAVE        (in Windows: py -I verify.py ...)

CHIAVE e' la chiave pubblica del registro che l'ente ha pubblicato, non quella scritta qui dentro. Il verify.py da usare e'
quello di una copia fidata del programma, non quello del fascicolo: i due file devono essere identici.

Bundle of Snodo. To read: summary.html (what happened). To verify, with Python 3.8 or later, without network and without
installing anything else: the command above, with --lang en; CHIAVE is the log's public key as the municipality publishes it,
not as it is written in here.
"""


def page(gathered: Gathered, origin: str, scope: Mapping[str, str]) -> bytes:
    """The page; the same bytes for the same bundle."""
    kinds = sorted(Counter(record.kind for record in gathered.records).items())
    absent = len({held.id for record in gathered.records for held in record.payloads}) - gathered.payloads - gathered.damaged
    wanted = ", ".join(f"{_SCOPES[name]}: {value}" for name, value in scope.items())
    counted = ", ".join(f"{_both(ITALIAN[kind], kind)} {count}" for kind, count in kinds)
    facts = (
        ("Registro", "log", _text(origin)), ("Ambito", "scope", _text(wanted)),
        ("Sigillo", "checkpoint", f"{gathered.checkpoint.size} {_both('annotazioni del registro', 'records of the log')}"),
        ("Annotazioni", "records", f"{len(gathered.leaves)} ({counted})"), ("Contenuti", "payloads", str(gathered.payloads)),
        ("Assenti", "absent", f"{absent} ({_both('cancellati, o non esportati', 'erased, or not exported')})"),
        *([("Danneggiati", "damaged", f"{gathered.damaged} ({_text(verify.DAMAGED)})")] if gathered.damaged else []),
        *([("Regole assenti", "rules absent", _text(", ".join(gathered.unruled)))] if gathered.unruled else []),
    )  # fmt: skip
    head = "".join(f'<tr><th scope="row">{_both(italian, english)}</th><td>{said}</td></tr>\n' for italian, english, said in facts)
    happened = "".join(_happened(gathered.leaves[first : first + ROWS], first > 0) for first in range(0, len(gathered.leaves), ROWS))
    return (
        '<!doctype html>\n<html lang="it"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Fascicolo, {_text(wanted)}</title><style>{_STYLE}</style></head><body><main>\n"
        f"<h1>{_both('Fascicolo', 'Bundle')}</h1>\n"
        f"<table>\n<caption>{_both('Che cosa contiene', 'What it holds')}</caption>\n<tbody>\n{head}</tbody></table>\n"
        f"{happened}</main></body></html>\n"
    ).encode()


def _happened(leaves: Sequence[tuple[int, bytes, Record | None]], more: bool) -> str:
    """Records as a table; ``more``: it goes on with what the one above it tells."""
    since = [f", dal n. {leaves[0][0]}", f", from n. {leaves[0][0]}"] if more else ["", ""]
    name = _both(f"Che cosa è accaduto{since[0]}", f"What happened{since[1]}")
    titles = "".join(f'<th scope="col">{_both(*title)}</th>' for title in _TITLES)
    rows = "".join(_row(index, record) for index, _, record in leaves)
    table = f"<caption>{name}</caption>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{rows}</tbody>"
    return f"<section><table>\n{table}</table></section>\n"


def _text(said: object) -> str:
    return escape(visible("" if said is None else str(said)))


def _both(italian: str, english: str) -> str:
    return f'{italian} / <span lang="en">{english}</span>' if english else italian


def _row(index: int, record: Record | None) -> str:
    if record is None:
        changed = _both("non leggibile: modificata", "unreadable: it was changed")
        return f'<tr><th scope="row">{index}</th><td></td><td>{changed}</td>{"<td></td>" * (len(_TITLES) - 3)}</tr>\n'
    place = record.place or record.data.get("type")
    told = (place, record.path, record.actor, record.message, record.run)
    cells = (text_of(record.time), _fact(record), *map(_text, told), _outcome(record))
    return f'<tr><th scope="row">{index}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _outcome(record: Record) -> str:
    state = str(record.data.get("state") or "")
    return _text(record.data.get("code")) or (_both(STATES.get(state, state), state) if state else "")


def _fact(record: Record) -> str:
    operation = record.data.get("operation")
    return _both(ITALIAN[record.kind], record.kind) + (f": {_text(operation)}" if operation else "")
