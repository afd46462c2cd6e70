"""One piece of work, done by several processes at once: forks of this one, which know what it knows and end with the work.

A fork is a copy of one thread: what others hold then would stay held in it for ever. So only a process with a single thread is forked
(`processes` counts those of libraries too), and only by commands; what runs for long (`bus serve`) never comes here. Whoever ends without
an answer, killed perhaps for its memory, costs time and nothing else: the work is then done again by whoever asked, alone.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

T = TypeVar("T")
MOST = 4
"""Processes, at most: what all of them do, and what they tell one another, does not get less."""
PATIENCE = 30.0
"""Seconds after which the other processes are ended: one may stand still for ever in a lock that the copied process did not hold itself."""


class Indivisible(Exception):
    """This piece of work has to be done by one process."""


class _Gone(Exception):
    """Another process has ended before its time."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of the ``size`` processes that do a piece of work: number 0 is who asked."""

    number: int
    size: int

    def of(self, weights: Mapping[str, int], last: Container[str] = ()) -> frozenset[str]:
        """This process's part of things with weights: all parts are about as heavy. Things of ``last`` are dealt out after all others."""
        loads, own = [0] * self.size, set[str]()
        for one in sorted(weights, key=lambda one: (one in last, -weights[one], one)):
            least = loads.index(min(loads))
            loads[least] += weights[one]
            own |= {one} if least == self.number else set()
        return frozenset(own)

    def exchange(self, said: T) -> list[T]:
        """Tell all others something that can be pickled, and hear what each says, by number. All have to call it equally often."""
        return [said]


ALONE = Share(0, 1)


def processes(pieces: int, least: int) -> int:
    """How many processes so many pieces are for, ``least`` for each at least: as many as processors; one where this one has threads."""
    try:
        return max(1, min(len(os.sched_getaffinity(0)), MOST, pieces // least)) if _threads() == 1 else 1
    except (AttributeError, OSError):  # this is not Linux
        return 1


def _threads() -> int:
    """How many threads this process has, those that Python does not know of included."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def shared(work: Callable[[Share], T], size: int) -> list[T]:
    """What each of ``size`` processes makes of ``work``, by number; one alone makes all of it where they cannot, or it is `Indivisible`.

    ``work`` may be done twice, and what others than number 0 make has to be pickled.
    """
    if size > 1:
        with suppress(_Gone, Indivisible, OSError), _helpers(work, size) as helpers:
            own = work(_Asking(0, size, helpers))
            return [own, *(one.heard() for one in helpers)]
    return [work(ALONE)]


@dataclass(frozen=True, slots=True)
class _Line:
    """A way to another process and back."""

    pid: int
    reading: IO[bytes]
    writing: IO[bytes]

    def tell(self, said: Any) -> None:
        try:
            pickle.dump(said, self.writing, pickle.HIGHEST_PROTOCOL)
            self.writing.flush()
        except OSError:
            raise _Gone from None

    def heard(self) -> Any:
        try:
            return pickle.load(self.reading)  # noqa: S301  our own fork wrote it, into a pipe that nobody else has
        except (EOFError, OSError, pickle.UnpicklingError):
            raise _Gone from None

    def close(self) -> None:
        for end in (self.reading, self.writing):
            with suppress(OSError):  # what could not be written to somebody who is gone
                end.close()


@dataclass(frozen=True, slots=True)
class _Asking(Share):
    """The share of the process that asked for help: whatever the others say goes through it."""

    helpers: list[_Line]

    def exchange(self, said: T) -> list[T]:
        all_said = [said, *(one.heard() for one in self.helpers)]
        for one in self.helpers:
            one.tell(all_said)
        return all_said


@dataclass(frozen=True, slots=True)
class _Helping(Share):
    """The share of a process that was asked for help."""

    asked: _Line

    def exchange(self, said: T) -> list[T]:
        self.asked.tell(said)
        all_said: list[T] = self.asked.heard()
        return all_said


@contextmanager
def _helpers(work: Callable[[Share], Any], size: int) -> Iterator[list[_Line]]:
    """The other processes, at work; none is left afterwards."""
    found: list[_Line] = []
    watch = threading.Timer(PATIENCE, _end, (found,))
    watch.daemon = True
    try:
        for number in range(1, size):
            found.append(_forked(work, number, size, found))
        watch.start()
        yield found
    finally:
        watch.cancel()
        if watch.is_alive():
            watch.join()  # a process with a thread is not forked again
        _end(found)
        for one in found:
            one.close()
            with suppress(ChildProcessError):  # where nobody waits for children, none is left to wait for
                os.waitpid(one.pid, 0)


def _end(helpers: Iterable[_Line]) -> None:
    """Kill helpers, so that whoever waits for one of them learns that it is gone."""
    for one in helpers:
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)


def _forked(work: Callable[[Share], Any], number: int, size: int, others: Iterable[_Line]) -> _Line:
    there, back = os.pipe(), os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # who asked is interrupted, and ends the others
    pid = os.fork()
    if not pid:
        _help(work, Share(number, size), (there, back), others)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return _line(pid, back, there)


def _line(pid: int, inwards: tuple[int, int], outwards: tuple[int, int]) -> _Line:
    """Our ends of the pipes to a helper. The helper's ends are closed here, so that the pipes end when the helper does."""
    os.close(inwards[1])
    os.close(outwards[0])
    return _Line(pid, os.fdopen(inwards[0], "rb"), os.fdopen(outwards[1], "wb"))


def _help(work: Callable[[Share], Any], share: Share, pipes: tuple[tuple[int, int], tuple[int, int]], others: Iterable[_Line]) -> NoReturn:
    """Do a share of the work and end, whatever happens: without what the process that was copied would do on its way out."""
    try:
        for one in others:
            one.close()
        asked = _line(0, *pipes)
        asked.tell(work(_Helping(share.number, share.size, asked)))
    finally:
        os._exit(0)
