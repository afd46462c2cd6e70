"""The questions that go out over HTTP: to a witness, to cosign, and what it cosigned last; to a time-stamping authority, for a stamp.

Answers are verified.
"""

from __future__ import annotations

import datetime as dt
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from bus.config import WitnessAt
from bus.diagnostics import logger
from bus.errors import EvidenceError, Refused, SnodoError, Unreachable
from bus.log import timestamp, tree
from bus.log.checkpoint import Checkpoint, checkpoint_of, cosigned, number, place_of
from bus.log.note import Note, Signature, Verifier, in_base64, parse, signature_of, verifier
from bus.network import Proxy, has_authorities

TIMEOUT = (5.0, 10.0)
"""Seconds to connect, and between two bytes of the answer."""
LONGEST = 20.0
"""Seconds that a question may take, its answer included."""
MOST_BYTES = timestamp.MOST_BYTES
DENIED = ("WITNESS_AHEAD", "WITNESS_FORK")
"""Codes of a witness that has seen another log: no outage."""
BACK = (
    "was a backup restored? say what was lost, and let both administrators begin the log anew: docs/sysadmin/witness.md; "
    "else keep database, log lines and the witness's memory as they are, and call the auditor"
)
FORGOT = (
    "its memory was restored from a backup, or began anew: tell its administrator, and who audits; until now it would have cosigned "
    "another history behind that size"
)
UNSIGNED = (
    "over http whoever stands between may have said it: look what the witness itself remembers (bus witness show), "
    "and give it an https address"
)
Proof = Callable[[int], list[bytes]]
"""The proof that the checkpoint in hand begins with the tree of so many leaves."""


class _Answer(NamedTuple):
    status: int
    content: bytes


def cosign(at: WitnessAt, note: Note, old: int, proof: Proof) -> Signature:
    """A witness' cosignature of a checkpoint; ``old``: the last size that we know it signed (c2sp.org/tlog-witness).

    Raises `Unreachable`, or `Refused` when it says no: code ``WITNESS_AHEAD`` when it has seen a larger log than there is, ``WITNESS_FORK``
    when what it has seen does not go on as this one, ``UNSIGNED`` when somebody on the line may have said either.
    Of one that knows less than it signed it is told (`witness.forgot`), and it gets what it lacks.
    """
    key, size = verifier(at.key), checkpoint_of(note.text).size
    answer = _add(at, note, old, proof)
    if answer.status == 409:
        known, old = old, _size(answer)
        if old > size:
            raise _denied(at, note, proof, rolled_back(key.name, old, size), "WITNESS_AHEAD")
        if old < known:
            hint = FORGOT if _is_safe(at.url) else f"{FORGOT}; {UNSIGNED}"
            logger("snodo.anchors").error("witness.forgot", name=key.name, size=old, known=known, hint=hint)
        answer = _add(at, note, old, proof)
    if answer.status != 200:
        said = answer.content[:300].decode("utf-8", "replace").strip()
        if answer.status == 422:
            forked = f"the witness {key.name} has seen another history: {said}; the log was rolled back or forked"
            raise _denied(at, note, proof, forked, "WITNESS_FORK")
        raise Refused(f"the witness {key.name} answered {answer.status}: {said}", outside_code=str(answer.status))
    return _signature(answer.content, key, note)


def _add(at: WitnessAt, note: Note, old: int, proof: Proof) -> _Answer:
    lines = (f"old {old}", *map(in_base64, proof(old)))
    request = "".join(f"{line}\n" for line in lines).encode() + b"\n" + note.encode()
    return _post(at.url.rstrip("/") + "/add-checkpoint", request, "text/plain; charset=utf-8", at.proxy)


def _denied(at: WitnessAt, note: Note, proof: Proof, said: str, code: str) -> Refused:
    """What a witness said of the log, which nobody signs: believed where what it cosigned last shows it, or TLS says who answers."""
    if not _is_safe(at.url):
        head = checkpoint_of(note.text)
        last = _last(at, head.origin)
        if last is None or _goes_on(last, head, proof):
            return Refused(f"{said}; nobody has signed that", outside_code="UNSIGNED", hint=UNSIGNED)
    return Refused(said, outside_code=code, hint=BACK)


def _goes_on(last: Checkpoint, head: Checkpoint, proof: Proof) -> bool:
    """Whether a checkpoint is one of the log that begins with the ``last`` one of a witness."""
    return last.size <= head.size and tree.extends(last.root, last.size, head.root, head.size, proof(last.size))


def _is_safe(url: str) -> bool:
    """Whether TLS says who answers."""
    return url.lower().startswith("https:")


def rolled_back(witness: str, seen: int, size: int) -> str:
    return f"the witness {witness} has cosigned {seen:,} records of this log, which has {size:,}: the log was rolled back"


def heads(witnesses: Iterable[WitnessAt], origin: str) -> dict[str, Checkpoint]:
    """The last checkpoint of a log that each witness says to have cosigned, by the name of the witness's key."""
    found = ((verifier(one.key).name, _last(one, origin)) for one in witnesses)
    return {name: head for name, head in found if head is not None}


def _last(at: WitnessAt, origin: str) -> Checkpoint | None:
    """The last checkpoint of a log that a witness cosigned, under its good signature; None where it is away, or says none of that kind."""
    with suppress(SnodoError):  # whoever is late is told otherwise
        answer = _ask("GET", f"{at.url.rstrip('/')}/{place_of(origin)}/checkpoint", at.proxy)
        held = parse(answer.content)
        if answer.status == 200 and cosigned(held, [verifier(at.key)]) and (head := checkpoint_of(held.text)).origin == origin:
            return head
    return None


def _size(answer: _Answer) -> int:
    try:
        return number(answer.content.decode("ascii").removesuffix("\n"))
    except (UnicodeDecodeError, EvidenceError) as error:
        raise Refused("the witness answered 409 without a size", outside_code="409") from error


def _signature(content: bytes, key: Verifier, note: Note) -> Signature:
    """The signature of that key among the lines of the answer, if it is good; others are not looked at."""
    try:
        lines = [signature_of(line) for line in content.decode().removesuffix("\n").split("\n")]
    except (UnicodeDecodeError, EvidenceError) as error:
        raise Refused(f"the witness {key.name} answered what is no signature", outside_code="NO_SIGNATURE") from error
    found = next((line for line in lines if key.verifies(note.text, line)), None)
    if found is None:
        raise Refused(f"the witness {key.name} gave no good signature of its key {key.key_id.hex()}", outside_code="NO_SIGNATURE")
    return found


def stamp(url: str, stamped: bytes, authorities: bytes, proxy: Proxy | None = None) -> tuple[bytes, dt.datetime]:
    """A time stamp over these bytes (RFC 3161 over HTTP) and its time, verified. Raises `Unreachable`, `Refused` or `EvidenceError`."""
    asked = timestamp.ask(stamped)
    answer = _post(url, asked.content, "application/timestamp-query", proxy)
    if answer.status != 200:
        raise Refused(f"the time-stamping authority answered {answer.status}", outside_code=str(answer.status))
    return answer.content, timestamp.verified(answer.content, stamped, authorities, asked)


def _post(url: str, body: bytes, media_type: str, proxy: Proxy | None) -> _Answer:
    return _ask("POST", url, proxy, data=body, headers={"Content-Type": media_type})


def _ask(method: str, url: str, proxy: Proxy | None, **sent: Any) -> _Answer:
    """Send a request and return its answer: at most `MOST_BYTES`, within `LONGEST` seconds; no redirection is followed."""
    import requests  # every process that starts would wait for it, and keep it

    try:
        with requests.Session() as session, _bounded(session, proxy) as over:
            session.trust_env = False  # neither proxies of the environment nor passwords of ~/.netrc
            if proxy is not None:
                sent["proxies"] = dict.fromkeys(("http", "https"), proxy.url)
            try:
                with session.request(method, url, timeout=TIMEOUT, allow_redirects=False, stream=True, **sent) as response:
                    return _Answer(response.status_code, _whole(url, response))
            finally:
                if over.is_set():  # where the answer does not say its length, it seems to end there
                    raise Unreachable(f"{url}: the answer was not whole after {LONGEST:g} seconds")
    except (requests.RequestException, OSError) as error:
        raise Unreachable(f"{url}: {error}") from error


def _whole(url: str, response: Any) -> bytes:
    content = bytearray()
    for piece in response.iter_content(4096):
        content += piece
        if len(content) > MOST_BYTES:
            raise Refused(f"{url}: an answer of more than {MOST_BYTES} bytes", outside_code="TOO_LARGE")
    return bytes(content)


@contextmanager
def _bounded(session: Any, proxy: Proxy | None) -> Iterator[threading.Event]:
    """Within it connections are cut after `LONGEST` seconds, and it is set then: one that only drips holds up everybody else's answer.

    ``requests`` bounds each wait for a byte, not the whole: a head, or a handshake, could drip for hours.
    """
    over, made = threading.Event(), list[socket.socket]()

    def cut() -> None:
        over.set()
        for one in made:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(LONGEST, cut)
    timer.daemon = True
    session.mount("http://", _adapter(proxy, made))
    session.mount("https://", _adapter(proxy, made))
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
        for one in made:
            one.close()


def _adapter(proxy: Proxy | None, made: list[socket.socket]) -> Any:
    """How ``requests`` is to connect: through the proxy, trusting whom this machine trusts; each socket is added to ``made``."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *given: Any, **more: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*given, **more)
            pool.ConnectionCls = _kept(pool.ConnectionCls, made)
            return pool

        def proxy_headers(self, _address: str) -> dict[str, str]:
            return proxy.headers if proxy else {}

        def cert_verify(self, pool: Any, url: str, verify: Any, cert: Any) -> None:
            super().cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
            if has_authorities():
                pool.ca_certs = None  # those of this machine, as for outside systems and in `bus doctor`, and not those of requests

    return Adapter()


def _kept(kind: Any, made: list[socket.socket]) -> Any:
    """A kind of connection that adds a second hold on its socket to ``made``: the first one is another's once TLS begins."""

    class Kept(kind):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            begun = super()._new_conn()
            made.append(begun.dup())
            return begun

    return Kept
