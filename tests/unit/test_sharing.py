"""Work done by several processes: each its share, and all of it whatever becomes of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from bus import sharing
from bus.sharing import Indivisible, Share, processes, shared

ALL = list(range(100))


def _squares(share: Share) -> list[int]:
    return [number * number for number in ALL[share.number :: share.size]]


def _nobody_is_left() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_each_does_its_share(size: int) -> None:
    parts = shared(lambda share: (os.getpid(), _squares(share)), size)
    assert [number * number for number in ALL] == sorted(one for _, part in parts for one in part)
    assert [ALL[number::size][0] ** 2 for number in range(size)] == [part[0] for _, part in parts]
    assert size == len({pid for pid, _ in parts})
    assert os.getpid() == parts[0][0]
    assert _nobody_is_left()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_all_hear_what_each_says_by_number(size: int) -> None:
    large = "x" * 300_000  # more than a pipe holds

    def work(share: Share) -> list[tuple[int, str]]:
        first = share.exchange((share.number, large))
        return share.exchange((len(first), first[-1][1][:2]))

    assert [[(size, "xx")] * size] * size == shared(work, size)


def _killed(share: Share) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _failing(share: Share) -> None:
    raise ValueError("only here")


def _unsaid(share: Share) -> None:
    share.exchange(lambda: None)  # which nobody can pickle


@pytest.mark.parametrize("end", [_killed, _failing, _unsaid])
@pytest.mark.parametrize("early", [True, False])
def test_the_work_of_who_ends_before_its_time_is_done_by_who_asked(end: Callable[[Share], None], early: bool) -> None:
    def work(share: Share) -> list[int]:
        if share.number == 2 and early:
            end(share)
        heard = share.exchange(_squares(share))
        if share.number == 2:
            end(share)
        return [one for part in heard for one in part]

    assert [[number * number for number in ALL]] == shared(work, 3)
    assert _nobody_is_left()


def test_what_cannot_be_divided_is_done_by_one() -> None:
    def work(share: Share) -> list[int]:
        if share.size > 1:
            raise Indivisible
        return _squares(share)

    assert [_squares(sharing.ALONE)] == shared(work, 3)


def test_where_no_process_can_be_copied_one_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refused)
    assert [_squares(sharing.ALONE)] == shared(_squares, 2)


def test_who_is_interrupted_leaves_nobody_behind() -> None:
    def work(share: Share) -> None:
        if share.number:
            time.sleep(60)
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        shared(work, 3)
    assert time.monotonic() - begun < 30
    assert _nobody_is_left()


def test_a_helper_hears_that_who_asked_is_gone() -> None:
    """Its pipes are open nowhere else: not in other helpers either."""
    seen, told = os.pipe()
    asking = os.fork()
    if not asking:
        try:
            os.close(seen)

            def work(share: Share) -> None:
                if not share.number:
                    os.kill(os.getpid(), signal.SIGKILL)
                share.exchange(None)

            shared(work, 3)
        finally:
            os._exit(0)
    os.waitpid(asking, 0)
    os.close(told)
    with os.fdopen(seen, "rb") as end:
        assert b"" == end.read()  # it ends when the last helper has


def test_there_are_as_many_as_processors_and_as_the_work_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_threads", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert [1, 1, 2, 3, 3] == [processes(pieces, 25) for pieces in (0, 49, 50, 99, 1000)]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert sharing.MOST == processes(1000, 25)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert 1 == processes(1000, 25)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert 1 == processes(1000, 25)


def test_a_process_with_threads_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert 1 == processes(1000, 25)
    finally:
        over.set()
        thread.join()


def test_one_that_stands_still_is_ended_and_its_work_is_done_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 0.5)

    def work(share: Share) -> int:
        if share.number:
            time.sleep(250)
        return share.size

    assert [1] == shared(work, 3)
    assert _nobody_is_left()
