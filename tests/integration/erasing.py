"""How tests erase a person: who asks, who confirms, and where of the person anything is left."""

from __future__ import annotations

import base64

from tests.small_bus import Caller, own_key, settings, wait_reply

WHO = "BLLDAA71E43B429M"
NAME = "Adalgisa Bellomo-Quaranta"
OTHER = "RSSMRA80A01H501U"


def two_sysadmins() -> list[dict]:
    return [*settings()["keys"], own_key("collega", "sysadmin")]


def spellings(text: str) -> set[bytes]:
    """A text as it may stand in a file: plain in several encodings, hex, base64 at each of the three offsets."""
    found = set()
    for plain in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"), text.lower().encode(), text.upper().encode()):
        found |= {plain, plain.hex().encode(), plain.hex().upper().encode()}
        for before in range(3):  # only the signs that no neighbour has a part in: eight letters make ten, which chance does not write
            whole = base64.b64encode(b"\0" * before + plain)
            found.add(whole[-(-8 * before // 6) : 8 * (before + len(plain)) // 6])
    return found


def scanned(folder) -> list[str]:
    """The files under a folder in which the person is found."""
    wanted = spellings(WHO) | spellings(NAME) | spellings("Quaranta")
    return [path.name for path in folder.rglob("*") if path.is_file() and any(one in path.read_bytes() for one in wanted)]


def sent(server, type: str, body: dict, **envelope) -> str:
    answer = Caller(server.port)("POST", "/messages", {"type": type, "data": body, **envelope})
    assert answer.status == 202, answer.content
    return answer.json["id"]


def asked(server, subject: str = WHO, who: str = "sistemista"):
    return Caller(server.port, who)("POST", "/subjects/erasures", {"subject": subject, "reason": "richiesta dell'interessato"})


def confirmed(server, request: str, who: str = "collega"):
    return Caller(server.port, who)("POST", f"/subjects/erasures/{request}/confirm", {})


def greet(server, name: str, who: str, **envelope) -> str:
    message = sent(server, "prova.saluto", {"nome": name, "numero": {"persone": [{"codice": who}]}}, **envelope)
    assert wait_reply(server.app, message, 60)["reply"] == {"saluto": f"ciao {name}"}
    return message


def uploaded(server, name: str, content: bytes, who: str = "portale") -> str:
    return Caller(server.port, who)("POST", f"/attachments?name={name}", content).json["sha256"]
