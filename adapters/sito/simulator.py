"""A municipality's website: holds one catalogue; each change of it is in its ledger (kind ``catalogo``)."""

from __future__ import annotations

import argparse
import hashlib
import html
from typing import Any

from adapters.simulator import Reply, Request, Simulator, main


class Website(Simulator):
    """The website."""

    name = "sito"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--api-key", default="", help="publishing key callers must send; none asked when empty")

    def operation_of(self, request: Request) -> str:
        return "pubblica" if request.method == "PUT" else super().operation_of(request)

    def refuse(self, request: Request, code: str) -> Reply:
        return Reply.problem(409 if code == "VERSIONE_SUPERATA" else 422, code)

    def handle(self, request: Request) -> Reply:
        if request.method == "GET":
            return self._show(request.path)
        if (request.method, request.path) != ("PUT", "/catalogo"):
            return Reply.problem(404, "NON_TROVATO")
        if self.options.api_key and request.headers.get("authorization") != f"Bearer {self.options.api_key}":
            return Reply.problem(401, "NON_AUTENTICATO")
        try:
            version, catalogue = int(request.headers["x-versione-catalogo"]), dict(request.json())
            services = [str(service["codice"]) for service in catalogue["servizi"]]
        except (ValueError, KeyError, TypeError):
            return Reply.problem(422, "CATALOGO_NON_VALIDO")
        with self.ledger.transaction():
            return self._publish(version, hashlib.sha256(request.body).hexdigest(), catalogue, len(services))

    def _publish(self, version: int, digest: str, catalogue: dict[str, Any], count: int) -> Reply:
        answer = {"pubblicati": count, "digest": digest}
        current = self.ledger.state("catalogo", "corrente") or {"versione": 0, "digest": ""}
        if version < current["versione"]:
            return Reply.problem(409, "VERSIONE_SUPERATA")
        if digest != current["digest"]:
            self.ledger.effect("catalogo", digest, {"versione": version, "pubblicati": count})
        self.ledger.remember("catalogo", "corrente", {"versione": version, "digest": digest, "catalogo": catalogue})
        return Reply.json(answer)

    def _show(self, path: str) -> Reply:
        """The published catalogue, as JSON and as the page a citizen would see."""
        current = self.ledger.state("catalogo", "corrente")
        catalogue = current["catalogo"] if current else {"servizi": []}
        if path == "/catalogo":
            return Reply.json(catalogue)
        if path != "/":
            return Reply.problem(404, "NON_TROVATO")
        lines = "".join(f"<li>{html.escape(str(one.get('titolo', one['codice'])))}</li>" for one in catalogue["servizi"])
        head = '<!DOCTYPE html><html lang="it"><head><meta charset="utf-8"><title>Servizi</title></head>'
        return Reply(200, f"{head}<body><ul>{lines}</ul></body></html>".encode(), "text/html; charset=utf-8")


if __name__ == "__main__":
    main(Website)
