"""A population registry in a process of its own, served from a WSDL: ours, or the vendor's ``wsanagrafe2`` (``--dialect``, ``--wsdl``).

The people are invented (`persone.csv`). Certificates are effects of kind ``certificato``, keyed by idOperazioneComune: a repeated id
gets the reply already given, an unknown id lower than the last one fails with ID001.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.simulator import Reply, Request, Simulator, main
from adapters.soap.server import SoapFault, SoapService

_OURS = Path(__file__).parent / "contract" / "anagrafe.wsdl"
_SENTENCES = {
    "EN042": "Soggetto non presente in anagrafe",
    "EN043": "Sono presenti piu' soggetti corrispondenti",
    "EN044": "Il soggetto e' iscritto all'AIRE",
    "EN054": "Il soggetto e' deceduto",
    "ID001": "idOperazioneComune sconosciuto e inferiore all'ultimo inviato",
}


def people() -> list[dict[str, str]]:
    """The invented inhabitants, as in `persone.csv`."""
    with (Path(__file__).parent / "persone.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Registry(Simulator):
    """Simulator of a municipal population registry."""

    name = "anagrafe"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dialect", choices=("anpr", "wsanagrafe2"), default="anpr")
        parser.add_argument("--wsdl", type=Path, default=_OURS, help="the contract to serve")
        parser.add_argument("--token", default="gettone-di-prova", help="what wsanagrafe2 wants to be shown")

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(folder, options)
        self._people = people()
        handlers = {
            "anpr": {"ricercaSoggetto": self._search, "emissioneCertificato": self._issue},
            "wsanagrafe2": {"getPersonaFisica": self._vendor_search},
        }
        self._service = SoapService(options.wsdl, handlers[options.dialect])

    def operation_of(self, request: Request) -> str:
        return self._service.operation_of(request.body, request.headers.get("soapaction", ""))

    def handle(self, request: Request) -> Reply:
        return Reply(*self._service.handle(request.body, soap_action=request.headers.get("soapaction", "")))

    def refuse(self, request: Request, code: str) -> Reply:
        """Say no in the reply itself, in the words of the operation's contract."""
        operation = self.operation_of(request)
        said = {"ricercaSoggetto": _errors(code), "emissioneCertificato": _refused(_no_heading(), code)}
        return Reply(*self._service.reply(operation, said.get(operation, {})))

    def _found(self, codice: str) -> list[dict[str, str]]:
        return [person for person in self._people if person["codice_fiscale"] == codice]

    def _search(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        found = self._found(asked["codiceFiscale"]["codFiscale"])
        return {"soggetto": [_person(one) for one in found]} if found else _errors("EN042")

    def _vendor_search(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        if asked["token"] != self.options.token:
            raise SoapFault("Client", "token non valido")
        found = self._found(asked["codiceFiscale"] or "")
        return {"getPersonaFisicaResult": _vendor_person(found[0])} if found else {}

    def _issue(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        heading = asked["testataRichiesta"]
        number = int(heading["idOperazioneComune"])
        codice = asked["soggettoIntestatario"]["codiceFiscale"]["codFiscale"]
        kind = asked["listaTipiCertificati"]["tipoCertificato"][0]
        with self.ledger.transaction():
            given = self.ledger.state("reply", str(number))
            if given is None:
                given = self._decided(number, codice, kind)
                self.ledger.remember("reply", str(number), given)
                self.ledger.remember("last", "idOperazioneComune", max(number, self._last()))
        if "errore" in given:
            return _refused(_heading(heading, number, "KO"), given["errore"])
        return _issued(_heading(heading, number, "OK", given["data"]), given)

    def _last(self) -> int:
        return int(self.ledger.state("last", "idOperazioneComune") or 0)

    def _decided(self, number: int, codice: str, kind: str) -> dict[str, Any]:
        """What this id gets, now and whenever it comes again."""
        error = self._objection(number, self._found(codice), kind)
        if error:
            return {"errore": error}
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        given = {"numero": f"{dt.datetime.now(dt.UTC):%Y}{number:09d}", "data": now, "codice": codice, "tipo": kind}
        self.ledger.effect("certificato", str(number), given)
        return given

    def _objection(self, number: int, found: list[dict[str, str]], kind: str) -> str:
        if number < self._last():
            return "ID001"
        if len(found) != 1:
            return "EN043" if found else "EN042"
        if found[0]["aire"]:
            return "EN044"
        return "EN054" if found[0]["data_decesso"] and kind == "7" else ""


def _errors(code: str) -> dict[str, Any]:
    error = {"codiceErroreAnomalia": code, "tipoErroreAnomalia": "E", "testoErroreAnomalia": _SENTENCES.get(code, "rifiutato")}
    return {"listaErrori": {"errore": [error]}}


def _refused(heading: Mapping[str, Any], code: str) -> dict[str, Any]:
    return {"Risposta6001KO": {"testataRisposta": heading, **_errors(code)}}


def _heading(asked: Mapping[str, Any], number: int, outcome: str, moment: str = "") -> dict[str, Any]:
    names = ("idOperazioneComune", "codMittente", "codDestinatario", "operazioneRichiesta", "protocolloComune", "dataProtocolloComune")
    kept = {name: asked[name] for name in names if asked[name] is not None}
    return {**kept, "dataOraRichiesta": moment or asked["dataOraRichiesta"], "idOperazioneANPR": str(number), "esitoOperazione": outcome}


def _no_heading() -> dict[str, Any]:
    """The heading of a refusal that did not look at the request."""
    names = {"codMittente": "000000", "codDestinatario": "999999", "operazioneRichiesta": "6001", "protocolloComune": None}
    moment = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return _heading({"idOperazioneComune": "0", "dataProtocolloComune": None, **names}, 0, "KO", moment)


def _person(row: Mapping[str, str]) -> dict[str, Any]:
    home = {name: row[name] for name in ("via", "civico", "cap", "comune", "provincia") if row[name]}
    person: dict[str, Any] = {
        "codiceFiscale": {"codFiscale": row["codice_fiscale"]},
        "cognome": row["cognome"],
        "nome": row["nome"],
        "sesso": row["sesso"],
        "dataNascita": dt.date.fromisoformat(row["data_nascita"]),
        "luogoNascita": row["luogo_nascita"],
        "residenza": home,
    }
    return person | ({"dataDecesso": dt.date.fromisoformat(row["data_decesso"])} if row["data_decesso"] else {})


def _vendor_person(row: Mapping[str, str]) -> dict[str, Any]:
    """The same person as the vendor's Anagrafe: dates are moments, names in capitals, the dead are disabled records."""
    return {
        "CODICEFISCALE": row["codice_fiscale"],
        "NOMINATIVO": row["cognome"],
        "NOME": row["nome"],
        "SESSO": row["sesso"],
        "DATANASCITA": dt.datetime.fromisoformat(row["data_nascita"]),
        "INDIRIZZO": f"{row['via']}, {row['civico']}",
        "CAP": row["cap"],
        "CITTA": row["comune"],
        "PROVINCIA": row["provincia"],
        "FLAG_DISABILITATO": "1" if row["data_decesso"] else "0",
        "ComuneNascita": {"COMUNE": row["luogo_nascita"]},
    }


def _issued(heading: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Risposta6001OK": {
            "testataRisposta": heading,
            "soggettoIntestatario": {"codiceFiscale": {"codFiscale": given["codice"]}},
            "protocolloANPR": {"numeroProtocolloANPR": given["numero"]},
            "file": {"certificatoPdf": pdf([f"Certificato n. {given['numero']}", f"Tipo {given['tipo']}", "Documento di prova"])},
        }
    }


def pdf(lines: list[str]) -> bytes:
    """A one-page PDF of plain text: the same lines give the same bytes."""
    shown = "".join(f"({line.replace('(', '').replace(')', '')}) Tj 0 -20 Td " for line in lines)
    content = f"BT /F1 14 Tf 72 760 Td {shown}ET".encode("latin-1", "replace")
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += b"%d 0 obj%s endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    made += (
        b"xref\n0 6\n0000000000 65535 f \n" + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % made.find(b"xref\n0 6")
    )
    return bytes(made)


if __name__ == "__main__":
    main(Registry)
