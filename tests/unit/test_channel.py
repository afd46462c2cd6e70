"""What a channel keeps account of, and what waits in it."""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import amqp
import kombu
import pytest

from bus.channel import Channel
from bus.channel.line import BackOff, Line
from bus.channel.listener import ASK_SECONDS, Deaf, Listener, _Ears
from bus.channel.outbox import MOST, Outbox
from bus.channel.publisher import CONFIRM_SECONDS, ELECTED_SECONDS, WINDOW, Flight, Publisher, TicketLost


def line(told: list[str]) -> Line:
    return Line("amqp://127.0.0.1/none", "snodo.runs", lambda event, detail: told.append(event), {})


def test_an_outage_is_told_once_however_often_and_by_whomever_it_is_met() -> None:
    told: list[str] = []
    watched = line(told)
    watched.expect("publisher")
    watched.expect("listener")
    for _ in range(5):
        watched.down("publisher", OSError("refused"))
        watched.down("listener", OSError("refused"))
    watched.up("listener")
    assert (told, watched.describe()["connected"], watched.describe()["outages"]) == (["channel.lost"], False, 1)
    watched.up("publisher")
    assert (told, watched.describe()["connected"]) == (["channel.lost", "channel.restored"], True)


def test_each_reason_of_an_outage_is_told_once_in_words() -> None:
    """Both lines may be down, each for a reason of its own, and dial again and again."""
    told: list[str] = []
    watched = Line("amqp://127.0.0.1/prova", "snodo.runs", lambda event, detail: told.append(detail.partition(";")[0]), {})
    forbidden = "ACCESS_REFUSED - read access to queue 'snodo.news.{}' refused"
    away = kombu.exceptions.OperationalError("[Errno 111] Connection refused")
    away.__cause__ = ConnectionRefusedError(111, "Connection refused")
    for attempt in range(3):
        watched.down("publisher", away)
        watched.down("listener", amqp.AccessRefused(forbidden.format(f"01ab-{attempt}"), (50, 20)))
        watched.down("publisher", TicketLost("the broker refused a ticket"))
        watched.down("listener", amqp.ConsumerCancelled("None4", (60, 30)))
        watched.down("listener", amqp.NotAllowed("access to vhost 'prova' refused for user 'snodo': vhost 'prova' is down", (10, 40)))
    assert told == [
        "the line to the broker failed: Connection refused",
        "the broker forbids it: ACCESS_REFUSED - read access to queue 'snodo.news.…' refused",
        "the broker refused a ticket",
        "the broker ended the line: it took a queue of ours away",
        "the broker ended the line: access to vhost 'prova' refused for user 'snodo': vhost 'prova' is down",
    ]
    assert watched.describe()["outages"] == 1


def test_the_next_outage_is_told_again() -> None:
    told: list[str] = []
    watched = line(told)
    for _ in range(2):
        watched.down("publisher", OSError("reset"))
        watched.up("publisher")
    assert told == ["channel.lost", "channel.restored"] * 2


def test_a_broker_that_is_away_is_not_dialled_without_a_pause_by_who_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[float] = []
    monkeypatch.setattr("bus.channel.publisher.CLOSE_SECONDS", 0.5)
    monkeypatch.setattr(Line, "dial", lambda self, **options: dialled.append(time.monotonic()) or (_ for _ in ()).throw(OSError("away")))
    channel = Channel("amqp://127.0.0.1/none")
    channel.publish(["run"])
    channel.close()
    assert 1 <= len(dialled) < 20


LATE = 200.0
"""After any election of a cluster."""


@pytest.mark.parametrize(
    ("url", "moments", "expected"),
    [
        (
            "amqp://uno/v",
            (0, 3, 20, 30, 31, 30 + ELECTED_SECONDS, 31 + LATE, 32 + LATE),
            [False, False, False, True, False, False, True, False],
        ),
        ("amqp://uno/v;due", (0, 3, 20, 30, 20 + ELECTED_SECONDS, 20 + LATE, 21 + LATE), [False, False, False, False, False, True, False]),
    ],
)
def test_a_queue_is_made_anew_when_nothing_was_confirmed_since_it_first_failed_and_only_then(
    monkeypatch: pytest.MonkeyPatch, url: str, moments: Sequence[float], expected: list[bool]
) -> None:
    """Of a cluster, and of what was made anew, not before another node may have taken the lead: three processes deleted it from each other."""
    now, made = 0.0, list[bool]()

    class Lost(Flight):
        """Confirms something at moment 3, and ends with a ticket that nobody confirms."""

        def open(self, connection: object, *, anew: bool) -> None:
            made.append(anew)
            self.opened, self._tickets = now, {1: (["run"], now)}

        def publish(self) -> None:
            self.confirmed = now == 3

        def wait(self) -> None:
            raise TicketLost("refused")

    monkeypatch.setattr("bus.channel.publisher.Flight", Lost)
    monkeypatch.setattr("bus.channel.publisher.time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(Line, "dial", lambda self, **options: nullcontext())
    publisher, back_off = Publisher(Line(url, "snodo.runs", lambda event, detail: None, {}), Outbox()), BackOff()
    back_off.seconds()
    for moment in moments:
        now = moment
        with pytest.raises(TicketLost):
            publisher._carry(back_off)
    assert made == expected
    assert back_off.seconds() <= 0.1
    publisher._outbox.close()


def test_what_was_in_flight_has_its_whole_time_from_when_the_broker_takes_tickets_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, frames = 0.0, list[Callable[[], None]]()

    def drain(timeout: float) -> None:
        if not frames:
            raise TimeoutError
        frames.pop(0)()

    monkeypatch.setattr("bus.channel.publisher.time", SimpleNamespace(monotonic=lambda: now))
    outbox = Outbox()
    flight = Flight(line([]), outbox)
    flight._connection = SimpleNamespace(connection=SimpleNamespace(sock=None), drain_events=drain, heartbeat_check=lambda: None)
    flight._tickets_out = SimpleNamespace(publish=lambda *told, **how: None)  # type: ignore[assignment]
    flight._news_out = None
    outbox.put(["run"])
    outbox.wake()
    flight.publish()
    for at, frame in ((1, lambda: flight._on_blocked("memory")), (60, flight._on_unblocked), (60 + CONFIRM_SECONDS, lambda: None)):
        now = at
        frames.append(frame)
        outbox.wake()
        flight.wait()
    assert len(flight) == 1
    now += 1
    outbox.wake()
    with pytest.raises(TicketLost, match="confirmed no ticket"):
        flight.wait()
    outbox.close()


def test_what_comes_back_goes_first_and_in_order() -> None:
    outbox = Outbox()
    outbox.put([f"run-{n}" for n in range(2 * MOST + 1)])
    tickets = [outbox.take(), outbox.take()]
    assert [len(ticket) for ticket in tickets] == [MOST, MOST]
    outbox.put_back(tickets)
    assert outbox.take() == [f"run-{n}" for n in range(MOST)]
    outbox.close()


def test_a_full_outbox_keeps_the_oldest_and_counts_the_rest() -> None:
    outbox = Outbox(bound=3)
    outbox.put(["a", "b"])
    outbox.put(["c", "d", "e"])
    assert (outbox.take(), outbox.dropped) == (["a", "b", "c"], 2)
    outbox.put(["f"])
    outbox.put_back([["a", "b", "c"]])
    assert (outbox.take(), outbox.dropped) == (["a", "b", "c"], 3)
    outbox.close()


def test_news_do_not_wait_behind_tickets() -> None:
    outbox = Outbox()
    outbox.put(["run"])
    outbox.put_news(["message"])
    assert (outbox.take_news(), outbox.take()) == (["message"], ["run"])
    outbox.close()


def test_who_puts_while_the_bell_is_silenced_is_heard_and_so_is_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox()
    bell = outbox._bell
    putting = SimpleNamespace(fileno=bell.fileno, recv=lambda most: [outbox.put(["meanwhile"]), bell.recv(most)])
    outbox.put(["first"])
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_bell", putting)
        outbox.wait(5)
    assert outbox.take() == ["first", "meanwhile"]
    outbox.put(["next"])
    assert select.select([bell], [], [], 0)[0], "nobody rang"
    outbox.close()


def test_the_back_off_grows_and_is_bounded() -> None:
    back_off = BackOff()
    waits = [back_off.seconds() for _ in range(20)]
    assert waits[0] <= 0.1
    assert 1.0 <= waits[-1] <= 2.0
    back_off.reset()
    assert back_off.seconds() <= 0.1


class Afloat:
    """Tickets on their way to a broker that is not there; ``moment`` is the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tickets: int) -> None:
        self.moment, self.sent, self.beats, self.outbox = 100.0, list[list[str]](), 0, Outbox()
        monkeypatch.setattr("bus.channel.publisher.time", SimpleNamespace(monotonic=lambda: self.moment))
        monkeypatch.setattr("bus.channel.publisher.HEARTBEAT_SECONDS", 0.0)
        self.outbox.put([f"run-{n}" for n in range(tickets * MOST)])
        self.flight = Flight(line([]), self.outbox)
        self.flight._tickets_out = SimpleNamespace(publish=lambda ticket, **how: self.sent.append(ticket))
        self.flight._news_out = None
        self.flight._connection = SimpleNamespace(
            connection=SimpleNamespace(sock=None), drain_events=self.nothing, heartbeat_check=self.beat
        )
        self.flight.publish()

    def nothing(self, timeout: float) -> None:
        raise TimeoutError

    def beat(self) -> None:
        self.beats += 1


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Afloat]]:
    """Publishes so many tickets."""
    made: list[Afloat] = []
    yield lambda tickets: made.append(Afloat(monkeypatch, tickets)) or made[-1]
    for one in made:
        one.outbox.close()


def test_a_confirmation_is_of_the_tickets_that_it_names_and_of_no_other(launch: Callable[[int], Afloat]) -> None:
    afloat = launch(4)
    flight, sent = afloat.flight, afloat.sent
    assert (len(sent), flight.confirmed) == (4, False)
    flight._on_ack(2, False)
    assert [one for one, _ in flight._tickets.values()] == [sent[0], sent[2], sent[3]]
    flight._on_ack(3, True)
    assert (flight.unconfirmed(), flight.confirmed, flight._line.counts["confirmed"]) == ([sent[3]], True, 3)
    afloat.outbox.put(["another"])
    flight.publish()
    flight._on_ack(5, False)
    assert flight.unconfirmed() == [sent[3]], "tags go on counting, whatever was confirmed"


def test_a_ticket_that_is_refused_or_comes_back_ends_the_line(launch: Callable[[int], Afloat]) -> None:
    flight = launch(1).flight
    for said in (lambda: flight._on_nack(1, False), lambda: flight._on_return("no route")):
        with pytest.raises(TicketLost):
            said()
    assert len(flight) == 1, "it is still to be published"


def test_no_more_tickets_are_under_way_than_the_window_holds(launch: Callable[[int], Afloat]) -> None:
    afloat = launch(WINDOW + 1)
    assert (len(afloat.sent), len(afloat.outbox)) == (WINDOW, MOST)
    afloat.flight._on_ack(1, False)
    afloat.flight.publish()
    assert len(afloat.sent) == WINDOW + 1


def test_a_ticket_that_nobody_confirms_in_time_ends_the_line_but_not_while_the_broker_takes_none(launch: Callable[[int], Afloat]) -> None:
    afloat = launch(1)
    flight = afloat.flight
    flight._on_blocked("memory")
    afloat.outbox.put(["waits"])
    flight.publish()
    afloat.moment += CONFIRM_SECONDS + 1
    flight.wait()
    assert (len(afloat.sent), afloat.beats) == (1, 1)
    flight._on_unblocked()
    afloat.moment += CONFIRM_SECONDS - 1
    flight.wait()
    afloat.moment += 2
    with pytest.raises(TicketLost):
        flight.wait()


@pytest.mark.parametrize("fails", [False, True])
def test_a_ticket_is_acknowledged_behind_the_bell_whatever_that_does(fails: bool) -> None:
    done: list[str] = []
    listener = Listener(line([]))

    def ring(runs: Sequence[str]) -> None:
        done.extend(runs)
        if fails:
            raise RuntimeError("no bell")

    listener.ring = ring
    listener._on_ticket(SimpleNamespace(body='["run"]', ack=lambda: done.append("ack")))  # type: ignore[arg-type]
    assert done == ["run", "ack"]


def test_a_queue_that_twice_does_not_know_its_listener_ends_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is where it was made anew behind a partition of a cluster: the line is well, and nothing ever comes."""
    now, known = 0.0, [1, 0, 1, 0, 0]

    def asked(queue: object, **how: object) -> SimpleNamespace:
        return SimpleNamespace(consumer_count=known.pop(0))

    monkeypatch.setattr(kombu.Queue, "queue_declare", asked)
    monkeypatch.setattr("bus.channel.listener.time", SimpleNamespace(monotonic=lambda: now))
    ears = _Ears(line([]), [SimpleNamespace(auto_declare=False, channel=Mock())])
    ears.examine()
    assert len(known) == 5
    for n in range(1, 5):
        now = n * ASK_SECONDS
        ears.examine()
    now += ASK_SECONDS
    with pytest.raises(Deaf):
        ears.examine()


def test_another_node_is_dialled_first_after_one_that_was_of_no_use() -> None:
    dialled = Line("amqp://uno/none;due;amqp://tre/none", "snodo.runs", lambda event, detail: None, {})
    seen = []
    for _ in range(4):
        seen.append(dialled._nodes[0])
        dialled.turn()
    assert seen == ["amqp://uno/none", "amqp://due/none", "amqp://tre/none", "amqp://uno/none"]
    alone = line([])
    alone.turn()
    assert (alone.turns, dialled.turns) == (0, 4)


def test_a_channel_is_connected_and_an_outage_over_when_both_of_its_lines_are_up() -> None:
    told: list[str] = []
    watched = line(told)

    def connected() -> object:
        return watched.describe()["connected"]

    for who in ("publisher", "listener"):
        watched.expect(who)
    watched.up("publisher")
    assert not connected()
    watched.up("listener")
    assert connected()
    for who in ("publisher", "listener"):
        watched.down(who, OSError("reset"))
    watched.up("publisher")
    assert (connected(), told) == (False, ["channel.lost"])
    watched.up("listener")
    assert (connected(), told) == (True, ["channel.lost", "channel.restored"])


def test_a_broker_must_show_its_certificate() -> None:
    assert Line("amqps://broker.example/none", "snodo.runs", print, {})._tls == {"server_hostname": None, "cert_reqs": ssl.CERT_REQUIRED}
