"""The page of a bundle that a person reads: what happened, line by line, in Italian and English. No script, nothing from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape

from bus.bundle.gather import Gathered
from bus.clock import text_of
from bus.log.record import Record

_STYLE = (
    "body{font:14px sans-serif;margin:2em;color:#1d2433}h1{margin:0 0 .7em}table{border-collapse:collapse;margin-bottom:1.5em}"
    "td,th{border:1px solid #c8ccd4;padding:.3em .6em;text-align:left;vertical-align:top;font-size:12px}th{background:#f2f3f5}"
    "tr{break-inside:avoid}thead th{position:sticky;top:0}tbody tr:nth-child(even){background:#fafbfc}"
    "thead+tbody td:nth-child(2),td:nth-child(7),td:nth-child(8){white-space:nowrap}td:nth-child(7),td:nth-child(8){font:10px monospace}"
    "@page{size:A4 landscape;margin:1cm}"
    "@media print{body{margin:0}td,th{font-size:8px;overflow-wrap:anywhere;white-space:normal!important}thead th{position:static}}"
)
_TITLES = (
    "n.", "ora UTC / time UTC", "fatto / kind", "passo / place", "cammino / path", "chi / actor", "messaggio / message",
    "esecuzione / run", "esito / outcome",
)  # fmt: skip
ITALIAN: Mapping[str, str] = {
    "received": "ricevuto", "joined": "chiave aggiunta al caso", "asked": "chiesto", "answered": "risposto", "refused": "rifiutato",
    "unanswered": "senza risposta", "waiting": "in attesa", "matched": "arrivato quanto atteso", "expired": "scaduto",
    "closed": "attesa chiusa", "late": "arrivato tardi", "sent": "spedito", "replied": "risposto al mittente", "parked": "sospeso",
    "done": "concluso", "dead": "fermo: serve una persona", "redelivered": "rimesso in moto", "decided": "deciso",
    "discarded": "abbandonato", "served": "risposto a un sistema", "access": "accesso", "polled": "novità chieste",
    "rules": "regole in vigore", "attached": "file allegato", "read": "letto", "exported": "esportato", "replayed": "riprodotto",
    "erasure": "cancellazione chiesta", "erased": "persona cancellata", "disposed": "distrutto perché vecchio",
    "keys": "chiavi del registro",
}  # fmt: skip
"""Each kind of record in Italian."""
README = """\
Fascicolo di Snodo. Si apre: summary.html (cosa e' successo). Si verifica, senza rete e senza installare nulla:

    python3 -I verify.py FASCICOLO.zip --key CHIAVE

CHIAVE e' la chiave pubblica del registro, pubblicata dall'ente (non quella scritta qui dentro). Meglio un verify.py preso
da una copia fidata del programma che quello del fascicolo: deve essere lo stesso file.

Bundle of Snodo. To read: summary.html (what happened). To verify, without network and without installing anything: the command
above, with --lang en; CHIAVE is the log's public key as the municipality publishes it, not as it is written in here.
"""


def page(gathered: Gathered, origin: str, scope: Mapping[str, str]) -> bytes:
    """The page; the same bytes for the same bundle."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(record.kind for record in gathered.records).items()))
    named = {held.id for record in gathered.records for held in record.payloads}
    absent = f"{len(named) - gathered.payloads} (cancellati, o non esportati / erased, or not exported)"
    facts = (
        ("Registro / log", origin), ("Ambito / scope", ", ".join(f"{name}: {value}" for name, value in scope.items())),
        ("Sigillo / checkpoint", str(gathered.checkpoint.size)),
        ("Annotazioni / records", f"{len(gathered.leaves)} ({kinds})"), ("Contenuti / payloads", str(gathered.payloads)),
        ("Assenti / absent", absent), *([("Regole assenti / rules absent", ", ".join(gathered.unruled))] if gathered.unruled else []),
    )  # fmt: skip
    head = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in facts)
    titles = "".join(f"<th>{title}</th>" for title in _TITLES)
    rows = "".join(_row(index, record) for index, _, record in gathered.leaves)
    return (
        f'<!doctype html>\n<html lang="it"><head><meta charset="utf-8"><title>Fascicolo</title><style>{_STYLE}</style></head><body>\n'
        f"<h1>Fascicolo / Bundle</h1>\n<table>\n{head}</table>\n"
        f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n</body></html>\n"
    ).encode()


def _row(index: int, record: Record) -> str:
    cells = (
        index, text_of(record.time), _fact(record), record.place or record.data.get("type"), record.path, record.actor,
        record.message, record.run, record.data.get("code") or record.data.get("state"),
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{escape('' if cell is None else str(cell))}</td>" for cell in cells) + "</tr>\n"


def _fact(record: Record) -> str:
    operation = record.data.get("operation")
    return f"{ITALIAN[record.kind]} / {record.kind}" + (f": {operation}" if operation else "")
