"""Messages: sending one, asking (sending and waiting for the reply), looking at one."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from bus.engine.arrival import Submission
from bus.engine.inquiry import unknown_message
from bus.engine.intake import Accepted
from bus.errors import Erased, NotFound, StoreError
from bus.jsontext import pointer
from bus.message import Attachment, JsonValue, as_kept
from bus.web import bodies, bridge, digests
from bus.web.answer import Answer, Call, Header, json_answer
from bus.web.envelope import NamedFile, submission_of
from bus.web.house import House

ENDED = frozenset({"done", "dead", "cancelled", "accepted"})
"""States of a message after which no reply will come unless a person acts."""
FIRST_LOOK = 0.02
"""Seconds to wait for news before the first look at the database: an earlier look would disturb the engine while it works on the reply."""
LOOK_AGAIN = 1.0
"""Seconds between two looks when no news came: another process may have replied."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d+)\s*(?=$|[,;])", re.IGNORECASE)


async def send(call: Call) -> Answer:
    """Take a message: 202 when it is durable; with ``Prefer: wait=N`` 200 and the reply if that came in time."""
    http = call.app.config.http
    content = await bodies.whole(call.receive, call.headers, http.max_body, exchange=call.exchange)
    await call.house.turns.take(len(content))
    digests.compare(call.headers, content)
    submission, files = submission_of(call.headers, content, http.max_body, call.caller)
    if files:
        submission = submission._replace(attachments=await _files(call, files), called=tuple(file.name for file in files))
    seconds = wait_of(call.header(b"prefer"), http.max_wait)
    if seconds:
        accepted, reply = await _ask(call.house, submission, seconds)
    else:
        accepted, reply = await _hand_in(call.house, submission), None
    headers: list[Header] = [(b"location", f"{http.prefix}/messages/{accepted.id}".encode())]
    if accepted.repeated:
        headers.append((b"idempotency-status", b"repeated"))
    if accepted.receipt:
        headers.append((b"snodo-receipt", base64.b64encode(accepted.receipt.encode())))
    if seconds:
        headers.append((b"preference-applied", f"wait={seconds:g}".encode()))
    shown = _accepted(accepted, http.prefix)
    return json_answer(shown, 202, headers) if reply is None else json_answer({**shown, "reply": reply}, 200, headers)


def wait_of(header: str | None, most: float) -> float:
    """How long a client is ready to wait by ``Prefer``, in seconds, at most ``most``; 0 when it is not. Other preferences are ignored, as
    RFC 7240 wants.
    """
    found = _WAIT.search(_QUOTED.sub(_bare, header)) if header else None
    return min(float(found[1]), most) if found else 0.0


def _bare(quoted: re.Match[str]) -> str:
    """A number may be quoted; what else is quoted is no preference, whatever it says."""
    return quoted[0][1:-1] if quoted[0][1:-1].isdigit() else ""


async def _hand_in(house: House, submission: Submission) -> Accepted:
    waiter, tell = house.bridge.waiter()
    try:
        house.app.intake.hand_in(submission, tell)
    except BaseException:
        waiter.cancel()  # refused at once: nobody awaits it, so nobody is to be told in the end
        raise
    accepted: Accepted = await waiter
    return accepted


async def _files(call: Call, files: Sequence[NamedFile]) -> tuple[Attachment, ...]:
    """What the message names must have come before, from the same sender; raises `NotFound`, which says which has not."""
    describe = call.app.attachments.describe
    sender = None if call.caller.sees_all else call.caller.name

    def named(index: int, file: NamedFile) -> Attachment:
        try:
            known = describe(file.address, sender)
        except NotFound as error:
            place = pointer(("attachments", index))
            faults = [{"pointer": place, "sentence": error.sentence}]
            raise NotFound(f"{place}: {error.sentence}", code=error.code, hint=error.hint, faults=faults) from None
        return known if file.name is None else known._replace(name=file.name)

    return await call.run(lambda: tuple(itertools.starmap(named, enumerate(files))))


def _accepted(accepted: Accepted, prefix: str) -> dict[str, Any]:
    """The same for the first time and for every repetition, byte for byte."""
    links = {"message": f"{prefix}/messages/{accepted.id}"}
    shown: dict[str, Any] = {"id": accepted.id, "type": accepted.type, "time": accepted.time, "links": links}
    if accepted.receipt:
        links["receipt"] = f"{links['message']}/receipt"
        shown["receipt"] = accepted.receipt
    return shown


async def _ask(house: House, submission: Submission, seconds: float) -> tuple[Accepted, Any]:
    """Hand in and wait for the reply (JSON): None when the message has ended without, after ``seconds``, or when we are told to stop.

    Holds no thread while it waits.
    """
    asked, until = _Asked(house), time.monotonic() + seconds
    identity = house.app.intake.hand_in(submission, asked.told)
    with house.app.news.listen(identity, asked.heard):
        await asked.news(min(FIRST_LOOK, seconds))
        accepted = await asked.accepted()
        if not accepted.repeated:
            return accepted, await asked.reply(accepted.id, until)
    with house.app.news.listen(accepted.id, asked.heard):
        return accepted, await asked.reply(accepted.id, until)


class _Asked:
    """A message whose sender waits for the reply. That it was accepted wakes nobody: the reply is not far, as a rule.

    `told` and `heard` may be called by any thread.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._reply: JsonValue = None
        self._outcome: Accepted | BaseException | None = None
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()

    def told(self, outcome: Accepted | BaseException) -> None:
        self._outcome = outcome
        if not isinstance(outcome, Accepted) or outcome.repeated:
            self._loop.call_soon_threadsafe(self._news.set)

    def heard(self, reply: JsonValue) -> None:
        if self._reply is None:
            self._reply = reply
            self._loop.call_soon_threadsafe(self._news.set)

    async def news(self, seconds: float) -> None:
        """Returns when there are some, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    async def accepted(self) -> Accepted:
        """Wait until the message is accepted; raises what it was refused for."""
        until = time.monotonic() + bridge.PATIENCE
        while self._outcome is None:
            await self.news(FIRST_LOOK)
            if time.monotonic() > until:
                raise bridge.unanswered()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    async def reply(self, identity: str, until: float) -> Any:
        """As it was kept; None when the message has ended without, at ``until`` (`time.monotonic`), or when we are told to stop."""
        while self._reply is None:
            try:
                shown = await self._house.run(lambda: self._house.app.message(identity))
            except StoreError:  # what was accepted stands: an error would be taken for a no, and the reply may be heard all the same
                shown = {"reply": None, "state": ""}
            except Erased:  # it stands all the same, and its sender is told so as whoever does not wait is
                return None
            left = until - time.monotonic()
            if shown["reply"] is not None or shown["state"] in ENDED or left <= 0 or self._house.app.leaving:
                return shown["reply"]
            await self.news(min(left, LOOK_AGAIN))
        return as_kept(self._reply)


async def show(call: Call) -> Answer:
    """A message's state and its runs; to its sender its reply; what was said, to sysadmins and auditors for a purpose, recorded first.

    A portal sees its own; of another's it does not even learn that it exists.
    """
    app, identity, looker = call.app, call.path["id"], call.looker

    def work() -> Mapping[str, Any]:
        shown = _own(call, app.message(identity, said=False))
        if shown["sender"] == call.caller.name and not (looker.purpose and call.caller.sees_all):
            return app.message(identity)
        return app.open_message(identity, looker) if looker.purpose else {**shown, "withheld": True}

    return json_answer(await call.run(work))


async def receipt(call: Call) -> Answer:
    """The signed promise that was given with the 202, as it was."""
    app, identity = call.app, call.path["id"]

    def work() -> str:
        _own(call, app.message(identity, said=False))
        return app.receipt(identity)

    found = await call.run(work)
    if not found:
        raise NotFound("no receipt was given for this message", code="message.no-receipt", hint="messages of a door have one")
    return Answer(200, found.encode(), media_type=b"text/plain; charset=utf-8")


def _own(call: Call, shown: Mapping[str, Any]) -> Mapping[str, Any]:
    if not call.caller.sees_all and shown["sender"] != call.caller.name:
        raise unknown_message()
    return shown
