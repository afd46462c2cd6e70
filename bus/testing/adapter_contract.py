"""The adapter contract suite: what every adapter proves against its simulator. Subclass `AdapterContract`::

    class TestScrivania(AdapterContract):
        adapter_class = Scrivania
        module = "adapters.scrivania.simulator"
        examples = (Example("assegna", {"riferimento": "prova-{unico}", ...}, effect_kind="elemento", refusal="NON_AUTORIZZATO"),)

        @classmethod
        def settings(cls, url, facts):
            return {"url": url, "chiave": "segreta"}

``{unico}`` inside any string of a request becomes eight digits that no other call of the session uses. `call`, `attempt` and
`probe` do what the engine does around an operation (validation, ``prepare``, key, number, attachments), for tests of your own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, ClassVar

import pytest
from pydantic import BaseModel

from bus.adapter import Adapter, Call, Effect, InDoubt, Operation, OutsideError, Refused, Unreachable
from bus.message import Attachment
from bus.testing.ports import free_port
from bus.testing.simulators import RunningSimulator, environment, start

_counter = itertools.count(1)
SLOW_SECONDS = 6.0
SHORT_TIMEOUT = 1.5
LATE_SECONDS = 4.0
HEAVY_LIBRARIES = ("requests", "urllib3", "zeep", "lxml", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """A file that comes with an example's case."""

    name: str
    content: bytes
    media_type: str = "application/pdf"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Example:
    """One good request for one operation, and how the simulator shows what came of it.

    ``effect_kind``: kind of the one ledger line that a success writes (None for a ``read``). ``refusal``: a code the simulator can be
    told to refuse with; ``refused_as``: the declared code it becomes (the same unless said). ``operation_match``: substring of the
    simulator's name for the request that makes the effect, so that faults spare the steps before it. ``given``: run first, its
    result is merged into the request (an operation that needs something to exist). ``garbage``: False when the operation's answer
    has no body to spoil.
    """

    operation: str
    request: Mapping[str, Any]
    effect_kind: str | None = None
    refusal: str | None = None
    operation_match: str = ""
    refused_as: str | None = None
    given: Callable[[Adapter], Mapping[str, Any]] | None = None
    files: tuple[ExampleFile, ...] = ()
    garbage: bool = True


class Shelf:
    """Attachments in memory, by their SHA-256; what `Call.open_attachment` and `Call.save_attachment` need."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def save(self, stream: IO[bytes], media_type: str, name: str) -> Attachment:
        content = stream.read()
        sha256 = hashlib.sha256(content).hexdigest()
        self.files[sha256] = content
        return Attachment(sha256, len(content), media_type, name)

    def open(self, sha256: str) -> IO[bytes]:
        return io.BytesIO(self.files[sha256])


@dataclass(slots=True)
class Attempt:
    """How one call ended: ``answer`` or ``error``; ``ctx`` holds the wire bytes and facts; ``seconds`` is wall time."""

    operation: Operation
    ctx: Call
    shelf: Shelf
    answer: Any = None
    error: OutsideError | None = None
    seconds: float = 0.0

    @property
    def wire(self) -> bytes:
        """Every byte that was kept, one after the other."""
        return b"".join(exchange.content for exchange in self.ctx.exchanges)


def unique() -> str:
    """Eight digits, never given before in this process."""
    return f"{next(_counter):08d}"


def fresh(value: Any, token: str | None = None) -> Any:
    """A copy of a request with ``{unico}`` replaced everywhere by the same new token."""
    token = token or unique()
    if isinstance(value, str):
        return value.replace("{unico}", token)
    if isinstance(value, Mapping):
        return {name: fresh(item, token) for name, item in value.items()}
    return [fresh(item, token) for item in value] if isinstance(value, (list, tuple)) else value


def attempt(
    adapter: Adapter,
    operation_name: str,
    request: Mapping[str, Any],
    *,
    key: str | None = None,
    number: int | None = None,
    timeout: float | None = None,
    files: tuple[ExampleFile, ...] = (),
    now: dt.datetime | None = None,
) -> Attempt:
    """One call as the engine makes it; an outside error is returned, any other one is raised."""
    declared = adapter.operations[operation_name]
    shelf = Shelf()
    attachments = tuple(shelf.save(io.BytesIO(file.content), file.media_type, file.name) for file in files)
    ctx = Call(
        key=key or hashlib.sha256(unique().encode()).hexdigest(),
        timeout=declared.timeout if timeout is None else timeout,
        now=now or dt.datetime.now(dt.UTC),
        number=(number or next(_counter)) if declared.sequence else None,
        message_id="01890000-0000-7000-8000-000000000001",
        correlation_id="01890000-0000-7000-8000-000000000002",
        attachments=attachments,
        open_attachment=shelf.open,
        save_attachment=shelf.save,
    )
    done = Attempt(declared, ctx, shelf)
    begun = time.monotonic()
    try:
        done.answer = getattr(adapter, declared.method)(_prepared(adapter, declared, request, ctx), ctx)
    except OutsideError as error:
        done.error = error
    done.seconds = time.monotonic() - begun
    return done


def call(adapter: Adapter, operation_name: str, request: Mapping[str, Any], **how: Any) -> tuple[Any, Call]:
    """The answer and the context of one call; keywords as in `attempt`; outside errors are raised."""
    done = attempt(adapter, operation_name, request, **how)
    if done.error is not None:
        raise done.error
    return done.answer, done.ctx


def probe(adapter: Adapter, done: Attempt, request: Mapping[str, Any]) -> Any:
    """Ask the operation's probe about an attempt, with the same key and number: an answer, or None."""
    ctx = Call(key=done.ctx.key, timeout=done.operation.timeout, now=done.ctx.now, attempt=2, number=done.ctx.number)
    assert done.operation.probe is not None
    return getattr(adapter, done.operation.probe)(_prepared(adapter, done.operation, request, ctx), ctx)


def _prepared(adapter: Adapter, declared: Operation, request: Mapping[str, Any], ctx: Call) -> BaseModel:
    model = declared.request.model_validate(request)
    if declared.prepare is None:
        return model
    prepared: BaseModel = getattr(adapter, declared.prepare)(model, ctx).request
    return prepared


class Play:
    """One example, put to an adapter and its simulator: a request that no test has used, and how many effects it has since then."""

    def __init__(self, example: Example, adapter: Adapter, simulator: RunningSimulator) -> None:
        self.example, self.adapter, self.simulator = example, adapter, simulator
        self.declared = adapter.operations[example.operation]
        self.leaves = 0 if example.effect_kind is None else 1
        """Lines that one success leaves in the ledger: none of a read."""
        self.request = self.new_request()
        self.before = self._lines()

    def new_request(self) -> dict[str, Any]:
        """One more that no test has used, with what it needs made to exist."""
        given = self.example.given(self.adapter) if self.example.given else {}
        return {**fresh(dict(self.example.request)), **given}

    def ask(self, request: Mapping[str, Any] | None = None, **how: Any) -> Attempt:
        """Ask its request, or another one; keywords as in `attempt`."""
        return attempt(self.adapter, self.example.operation, request or self.request, files=self.example.files, **how)

    def answer(self, request: Mapping[str, Any] | None = None, **how: Any) -> Any:
        """The answer of what must succeed."""
        return call(self.adapter, self.example.operation, request or self.request, files=self.example.files, **how)[0]

    def again(self, first: Attempt) -> Any:
        """The answer to the same key and number once more."""
        return self.answer(key=first.ctx.key, number=first.ctx.number)

    def under(self, fault: str, *, timeout: float | None = None, **more: Any) -> Attempt:
        """Ask while the system misbehaves once."""
        self.simulator.faults([{"fault": fault, "operation": self.example.operation_match, "times": 1, **more}])
        return self.ask(timeout=timeout)

    def effects(self) -> int:
        return self._lines() - self.before

    def _lines(self) -> int:
        return len(self.simulator.ledger(self.example.effect_kind)) if self.example.effect_kind else 0


def _for(*effects: Effect, refusing: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the test for every example whose operation has one of these effects (all, when none is named)."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        test.chosen = (effects, refusing)  # type: ignore[attr-defined]
        return test

    return mark


class AdapterContract:
    """The suite. A test without an example of its kind disappears; an operation without an example fails."""

    adapter_class: ClassVar[type[Adapter]]
    module: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    """Settings that may not appear in the notes of the wire."""

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The adapter's settings for a system at ``url``; ``facts`` is the simulator's ready line."""
        del facts
        return {"url": url}

    @classmethod
    def dead_settings(cls, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Settings that lead to a port where nobody listens."""
        return cls.settings(f"http://127.0.0.1:{free_port()}", facts)

    @classmethod
    def build(cls, settings: Mapping[str, Any]) -> Adapter:
        name = cls.module.split(".")[-2]
        return cls.adapter_class(name, cls.adapter_class.Settings.model_validate(settings))

    @pytest.fixture(scope="class")
    @classmethod
    def process(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSimulator]:
        """The simulator's process, one for the whole class."""
        with start(cls.module, tmp_path_factory.mktemp("simulator"), *cls.arguments) as running:
            yield running

    @pytest.fixture
    def simulator(self, process: RunningSimulator) -> Iterator[RunningSimulator]:
        """The simulator, well and quiet before and after each test."""
        yield process
        if not process.alive:
            process.restart()
        process.clear()
        process.wait_until_quiet()

    @pytest.fixture
    def adapter(self, simulator: RunningSimulator) -> Iterator[Adapter]:
        adapter = self.build(self.settings(simulator.url, simulator.facts))
        yield adapter
        adapter.close()

    @pytest.fixture
    def play(self, example: Example, adapter: Adapter, simulator: RunningSimulator) -> Play:
        return Play(example, adapter, simulator)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, test in vars(AdapterContract).items():
            if hasattr(test, "chosen") and name not in vars(cls) and not cls._chosen(test):
                setattr(cls, name, None)

    @classmethod
    def _chosen(cls, test: Any) -> list[Example]:
        effects, refusing = test.chosen
        return [
            example
            for example in cls.examples
            if example.operation in cls.adapter_class.operations
            and (not effects or cls.adapter_class.operations[example.operation].effect in effects)
            and (not refusing or example.refusal)
        ]

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        if "example" in metafunc.fixturenames and hasattr(metafunc.function, "chosen"):
            chosen = cls._chosen(metafunc.function)
            metafunc.parametrize("example", chosen, ids=[f"{n}-{example.operation}" for n, example in enumerate(chosen)])

    # -- the declaration ------------------------------------------------------------------------------------------

    def test_every_operation_has_an_example(self) -> None:
        operations = self.adapter_class.operations
        assert set(operations) == {example.operation for example in self.examples}
        for example in self.examples:
            is_read = operations[example.operation].effect == "read"
            assert is_read == (example.effect_kind is None), f"{example.operation}: a read, and no other, leaves no line in the ledger"

    def test_an_undo_can_be_asked_with_the_answer_of_what_it_takes_back(self) -> None:
        operations = self.adapter_class.operations
        for declared in operations.values():
            if declared.undo:
                undo = operations[declared.undo.rpartition(".")[2]]
                needed = {name for name, about in undo.request.model_fields.items() if about.is_required()}
                assert needed <= set(declared.answer.model_fields), f"{declared.name}: {undo.name} needs {sorted(needed)}"

    def test_declarations_are_read_without_loading_a_heavy_library(self) -> None:
        script = f"import {self.adapter_class.__module__}, sys; print(*sorted({set(HEAVY_LIBRARIES)!r} & set(sys.modules)))"
        ran = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.split() == []

    # -- the good case --------------------------------------------------------------------------------------------

    @_for()
    def test_a_success_answers_the_declared_model_and_leaves_one_effect(self, play: Play) -> None:
        answer = play.answer()
        assert isinstance(answer, play.declared.answer)
        assert play.declared.answer.model_validate(answer.model_dump(mode="json")) == answer
        assert play.effects() == play.leaves

    @_for()
    def test_the_bytes_are_kept_both_ways_and_their_notes_hold_no_secret(self, play: Play) -> None:
        done = play.ask()
        assert done.error is None
        kept = {direction: [e for e in done.ctx.exchanges if e.direction == direction] for direction in ("out", "in")}
        assert kept["out"], "nothing that left was kept"
        assert any(e.content for e in kept["in"]), "nothing that came back was kept"
        for exchange in done.ctx.exchanges:
            assert exchange.note
            assert not [secret for secret in self.secrets if secret in exchange.note]

    @_for()
    def test_it_is_safe_from_several_threads(self, play: Play) -> None:
        requests = [play.request, *(play.new_request() for _ in range(11))]
        with ThreadPoolExecutor(min(6, play.declared.concurrency or 6)) as pool:
            done = list(pool.map(play.ask, requests))
        assert [one.error for one in done if one.error] == []
        assert play.effects() == len(requests) * play.leaves

    # -- the system says no, or nothing ---------------------------------------------------------------------------

    @_for()
    def test_nobody_listening_is_unreachable(self, play: Play) -> None:
        nowhere = self.build(self.dead_settings(play.simulator.facts))
        done = attempt(nowhere, play.example.operation, play.request, files=play.example.files)
        nowhere.close()
        assert isinstance(done.error, Unreachable), repr(done.error or done.answer)
        assert [wire for wire in done.ctx.exchanges if wire.direction == "out"] == [], "nothing left"

    @_for(refusing=True)
    def test_a_refusal_has_a_declared_code_and_no_effect(self, play: Play) -> None:
        done = play.under("refuse", code=play.example.refusal)
        assert isinstance(done.error, Refused), repr(done.error or done.answer)
        assert done.error.outside_code == (play.example.refused_as or play.example.refusal)
        assert done.error.outside_code in play.declared.refusals
        assert play.effects() == 0

    @_for()
    def test_a_lost_reply_is_unreachable_for_a_read_and_in_doubt_for_the_rest(self, play: Play) -> None:
        self._assert_uncertain(play.under("lose_reply"))

    @_for()
    def test_an_error_page_is_kept_as_evidence(self, play: Play) -> None:
        self._assert_kept(play.under("html"), b"Bad Gateway")

    @_for()
    def test_an_answer_that_means_nothing_is_kept_as_evidence(self, play: Play) -> None:
        if play.example.garbage:
            self._assert_kept(play.under("garbage"), b"this is not an answer")

    @_for()
    def test_the_timeout_is_obeyed(self, play: Play) -> None:
        play.answer(play.new_request())  # what is made once, contracts and connections, is made by a call before
        done = play.under("slow", seconds=SLOW_SECONDS, timeout=SHORT_TIMEOUT)
        self._assert_uncertain(done)
        assert done.seconds < SLOW_SECONDS - 0.5

    @_for()
    def test_a_system_that_dies_after_the_effect_leaves_doubt(self, play: Play) -> None:
        self._assert_uncertain(play.under("die_after"))
        play.simulator.restart()
        assert play.effects() == play.leaves

    # -- one effect per key ---------------------------------------------------------------------------------------

    @_for("keyed")
    @pytest.mark.parametrize("fault", ["lose_reply", "garbage", "html", "die_after", "die_before"])
    def test_sending_again_with_the_same_key_leaves_one_effect(self, fault: str, play: Play) -> None:
        first = play.under(fault)
        assert first.error is not None or not play.example.garbage
        if fault.startswith("die"):
            play.simulator.restart()
        assert play.again(first) == play.again(first)
        assert play.effects() == 1

    @_for("keyed")
    def test_the_same_key_twice_at_once_leaves_one_effect(self, play: Play) -> None:
        key, number = hashlib.sha256(unique().encode()).hexdigest(), next(_counter)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: play.ask(key=key, number=number), range(4)))
        assert [one.error for one in done if isinstance(one.error, Refused)] == []
        last = play.again(done[0])
        assert all(one.answer == last for one in done if one.error is None)
        assert play.effects() == 1

    @_for("keyed")
    def test_an_effect_that_comes_after_the_resend_is_still_one(self, play: Play) -> None:
        first = play.under("late", seconds=0.3)
        assert isinstance(first.error, InDoubt)
        play.again(first)
        play.simulator.wait_until_quiet()
        assert play.effects() == 1

    # -- looked up by our reference -------------------------------------------------------------------------------

    @_for("queryable")
    @pytest.mark.parametrize("fault", ["lose_reply", "garbage", "die_after"])
    def test_a_probe_finds_what_happened_without_an_answer(self, fault: str, play: Play) -> None:
        done = play.under(fault)
        assert isinstance(done.error, InDoubt)
        if fault.startswith("die"):
            play.simulator.restart()
        assert isinstance(probe(play.adapter, done, play.request), play.declared.answer)
        assert play.effects() == 1

    @_for("queryable")
    def test_a_probe_tells_an_effect_that_is_late_from_one_that_has_come(self, play: Play) -> None:
        done = play.under("late", seconds=LATE_SECONDS)
        assert isinstance(done.error, InDoubt)
        assert probe(play.adapter, done, play.request) is None or play.effects()  # on a busy machine it came before the probe
        play.simulator.wait_for_effects(play.before + 1, play.example.effect_kind)
        assert isinstance(probe(play.adapter, done, play.request), play.declared.answer)

    @_for("queryable")
    def test_a_probe_finds_the_answer_that_was_given(self, play: Play) -> None:
        done = play.ask()
        assert done.error is None
        assert probe(play.adapter, done, play.request) == done.answer

    # -- shared ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _assert_uncertain(done: Attempt) -> None:
        """The call ended in doubt; one that only reads ended unreachable."""
        expected = Unreachable if done.operation.effect == "read" else InDoubt
        assert type(done.error) is expected, repr(done.error or done.answer)

    @classmethod
    def _assert_kept(cls, done: Attempt, said: bytes) -> None:
        """What came back is evidence, and the call uncertain, or refused as the contract lets the system do."""
        if isinstance(done.error, Refused):
            assert done.error.outside_code in done.operation.refusals
        else:
            cls._assert_uncertain(done)
        assert said in b"".join(e.content for e in done.ctx.exchanges if e.direction == "in")
