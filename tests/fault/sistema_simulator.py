"""The outside system of the fault suite, as a process: keeps its word as the effect classes say, and writes every effect down."""

from __future__ import annotations

from urllib.parse import unquote

from adapters.simulator import Reply, Request, Simulator, main


class Sistema(Simulator):
    """``POST /scrivi`` and ``/fila`` have one effect for each Idempotency-Key; ``/registra`` and ``/spedisci`` one each time."""

    name = "sistema"

    def handle(self, request: Request) -> Reply:
        if request.method == "GET":
            return self._find(request.path)
        body, kind = request.json(), request.path.removeprefix("/")
        if kind in ("scrivi", "fila"):
            self.ledger.once(kind, request.headers["idempotency-key"], body)
        else:
            self.ledger.effect(kind, body["chi"], body)
        return Reply.json({"chi": body["chi"], "numero": body.get("numero", 0)})

    def _find(self, path: str) -> Reply:
        _, kind, chi = path.split("/", 2)
        if kind == "registra" and self.ledger.find(kind, unquote(chi)) is None:
            return Reply.problem(404, "NON_TROVATO")
        return Reply.json({"chi": unquote(chi), "numero": 0})


if __name__ == "__main__":
    main(Sistema)
