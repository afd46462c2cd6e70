"""The channels that we ship keep the contract of channels: the embedded default, files, and RabbitMQ with its own promises."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import amqp
import kombu
import pytest

from bus import config
from bus.channel import QUEUE, Channel, refuse_unsafe
from bus.channel.line import Line
from bus.channel.publisher import Flight
from bus.channel.refusal import CERTIFICATES, RIGHTS, reason
from bus.errors import ConfigError
from bus.testing.patience import until
from bus.testing.ports import free_port
from tests.contract.channel_contract import BrokerContract, ChannelContract, Listener
from tests.contract.lossy_line import into_the_void, opened
from tests.contract.tls_peer import peer, self_signed, server_side
from tests.servers import RabbitMQ


class TestMemory(ChannelContract):
    @pytest.fixture
    def url(self) -> str:
        return "memory://"


class TestFiles(ChannelContract):
    """Any of the transports of kombu will do, without the promises that only RabbitMQ makes: a file that is read while it is written is lost."""

    forgets = True

    @pytest.fixture
    def url(self) -> str:
        return "filesystem://"

    @pytest.fixture
    def options(self, tmp_path: Path) -> dict[str, Any]:
        folders = {name: str(tmp_path / name) for name in ("tickets", "control")}
        for folder in folders.values():
            Path(folder).mkdir()
        return {"data_folder_in": folders["tickets"], "data_folder_out": folders["tickets"], "control_folder": folders["control"]}


class TestRabbitMQ(BrokerContract):
    @pytest.fixture
    def url(self, rabbitmq_url: str) -> str:
        return rabbitmq_url

    @pytest.fixture
    def broker(self, rabbitmq: RabbitMQ) -> RabbitMQ:
        return rabbitmq


def test_what_others_leave_in_our_queue_ends_no_line(rabbitmq_url: str) -> None:
    channel, listener, news = Channel(rabbitmq_url), Listener(), Listener()
    channel.consume(listener.ring)
    channel.on_news(news.ring)
    try:
        until(lambda: channel.describe()["connected"])
        with kombu.Connection(rabbitmq_url) as other:
            out = other.channel()
            for body, headers in (
                (b"not packed", {"compression": "application/x-gzip"}),
                (b"\x80pickled", {}),
                (b"[" * 10_000, {}),
                (b"{}", {}),
            ):
                told = amqp.Message(body, content_type="application/json", content_encoding="nonsense", application_headers=headers)
                out.basic_publish(told, routing_key=QUEUE)
                out.basic_publish(told, exchange="snodo.news")
        channel.publish(["run-1"])
        channel.publish_news(["message-1"])
        assert listener.has({"run-1"}, 20)
        assert news.has({"message-1"}, 20)
        assert channel.describe()["outages"] == 0
    finally:
        channel.close()


def test_a_ticket_holds_run_ids_and_nothing_else() -> None:
    channel = Channel("memory://", "snodo.test.content")
    channel.publish(["01a20943-4f17-7091-8e1b-97a3f38b124b"])
    seen: list[Any] = []

    def on_message(message: Any) -> None:
        seen.append(message)
        message.ack()

    with kombu.Connection("memory://", transport_options={"polling_interval": 0.01}) as connection:
        consumer = connection.Consumer([kombu.Queue("snodo.test.content", durable=True)], on_message=on_message)
        with consumer:
            while not seen:
                connection.drain_events(timeout=60)
    channel.close()
    assert json.loads(seen[0].body) == ["01a20943-4f17-7091-8e1b-97a3f38b124b"]
    assert not {k for k in seen[0].headers if k.startswith("snodo")}


def test_a_ticket_of_another_shape_is_passed_over() -> None:
    channel, listener = Channel("memory://", "snodo.test.shape"), Listener()
    channel.consume(listener.ring)
    with kombu.Connection("memory://") as connection, connection.Producer(serializer="json") as producer:
        producer.publish({"run": "x"}, routing_key="snodo.test.shape")
        producer.publish([1, "good"], routing_key="snodo.test.shape")
    listener.wait_for({"good"})
    channel.close()
    assert listener.heard == ["good"]


def test_a_ticket_that_was_not_confirmed_is_published_again(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    assert into_the_void(rabbitmq, rabbitmq_url) == {f"run-{n}" for n in range(1000)}


def test_without_confirms_the_same_tickets_are_lost(rabbitmq: RabbitMQ, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test above: whoever takes "sent" for "arrived" loses them all."""

    def forget() -> None:
        monkeypatch.setattr(Flight, "unconfirmed", lambda flight: [])

    assert into_the_void(rabbitmq, rabbitmq_url, forget) == set()


def test_a_deleted_queue_is_declared_again_and_its_ticket_repeated(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    told: list[str] = []
    teller, listener = opened(rabbitmq_url, told), Listener()
    teller.publish(["before"])
    until(lambda: teller.describe()["confirmed"] == 1)
    with kombu.Connection(rabbitmq_url) as connection:
        kombu.Queue("snodo.runs", channel=connection.channel()).delete()
    teller.publish(["after"])
    until(lambda: teller.describe()["confirmed"] == 2)
    assert teller.describe()["returned"] == 1
    teller.consume(listener.ring)
    listener.wait_for({"after"})
    teller.close()


def test_a_deleted_exchange_of_news_is_made_again_and_they_are_heard(rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.channel.listener.ASK_SECONDS", 0.2)
    teller, hearer, listener = opened(rabbitmq_url, []), opened(rabbitmq_url, []), Listener()
    hearer.on_news(listener.ring)

    def told(message: str) -> bool:
        teller.publish_news([message])
        return message in listener.heard

    until(lambda: told("before"))
    with kombu.Connection(rabbitmq_url) as connection:
        kombu.Exchange("snodo.news", channel=connection.channel()).delete()
    until(lambda: told("after"))
    assert hearer.describe()["outages"] == 0
    hearer.close()
    teller.close()


def test_a_ticket_that_the_broker_refuses_is_told_and_published_again(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    """A policy of somebody else makes the queue refuse what it has no room for, in the place of dropping the oldest."""
    told: list[str] = []
    vhost = rabbitmq_url.rpartition("/")[2]
    policy = '[{<<"max-length">>, 1}, {<<"overflow">>, <<"reject-publish">>}]'
    rabbitmq.evaluate(f'rabbit_policy:set(<<"{vhost}">>, <<"poche">>, <<".*">>, {policy}, 0, <<"all">>, <<"test">>)')
    teller, listener = opened(rabbitmq_url, told), Listener()
    runs = [f"run-{n}" for n in range(9)]

    def refused() -> bool:
        """The queue refuses when it has seen that it is full."""
        for run in runs:
            teller.publish([run])
        return bool(told)

    until(refused, "it is told", every=0.1)
    rabbitmq.evaluate(f'rabbit_policy:delete(<<"{vhost}">>, <<"poche">>, <<"test">>)')
    teller.consume(listener.ring)
    listener.wait_for(set(runs))
    teller.close()
    assert told[0].startswith("channel.lost the broker refused a ticket: is its queue full")


def test_a_queue_that_died_with_the_broker_is_made_anew(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    """RabbitMQ 3.10, killed within a second of the declaration, has a queue without a leader: it refuses every ticket for ever."""
    told: list[str] = []
    teller, listener = opened(rabbitmq_url, told), Listener()
    teller.publish(["before"])
    until(lambda: teller.describe()["confirmed"] == 1)
    rabbitmq.restart()
    teller.publish(["after"])
    teller.consume(listener.ring)
    until(lambda: "after" in listener.heard)
    teller.close()


def leaderless(rabbitmq: RabbitMQ, url: str) -> None:
    """The queue has nobody who leads it, as where most of its nodes are gone; those who are connected are told nothing."""
    vhost = url.rpartition("/")[2]
    rabbitmq.evaluate(f"ra:force_delete_server(quorum_queues, {{'{vhost}_snodo.runs', node()}})")


def test_a_node_that_lets_us_in_and_takes_nothing_is_left_for_the_next_one(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    """As one that is cut off from the rest of its cluster: it was dialled again and again, and the others never."""
    told: list[str] = []
    other = rabbitmq.new_vhost()
    teller, listener = opened(f"{rabbitmq_url};{other}", told), Listener()
    teller.consume(listener.ring)
    teller.publish(["before"])
    listener.wait_for({"before"})
    leaderless(rabbitmq, rabbitmq_url)
    teller.publish(["after"])
    listener.wait_for({"after"})
    with kombu.Connection(other) as connection:
        assert kombu.Queue(QUEUE)(connection.channel()).queue_declare(passive=True).consumer_count == 1
    teller.close()
    rabbitmq.drop_vhost(other)
    assert "channel.lost" in told[0]
    assert "rabbitmqctl cluster_status" in told[0]


def test_a_listener_finds_that_its_queue_has_nobody_who_leads_it(
    rabbitmq: RabbitMQ, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Nothing came any more, and nothing told of it, until a worker was started again."""
    monkeypatch.setattr("bus.channel.listener.ASK_SECONDS", 0.2)
    told: list[str] = []
    hearer, listener = opened(rabbitmq_url, told), Listener()
    hearer.consume(listener.ring)
    until(lambda: hearer.describe()["connected"])
    leaderless(rabbitmq, rabbitmq_url)
    until(lambda: any("the queue of tickets does not know that we listen" in one for one in told))
    hearer.close()


def test_the_memory_alarm_keeps_tickets_here_and_blocks_nobody(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    told: list[str] = []
    teller, listener = opened(rabbitmq_url, told), Listener()
    teller.consume(listener.ring)
    teller.publish(["before"])
    listener.wait_for({"before"})
    rabbitmq.raise_alarm()
    teller.publish(["first"])  # RabbitMQ says that it is blocked when somebody publishes
    until(lambda: teller.describe()["blocked"] is True)
    teller.publish(["second"])
    assert teller.describe()["waiting"] == 1
    rabbitmq.clear_alarm()
    listener.wait_for({"first", "second"})
    assert teller.describe()["outages"] == 0
    assert [line.split()[0] for line in told] == ["channel.blocked", "channel.unblocked"]
    assert "rabbitmq-diagnostics alarms" in told[0]
    teller.close()


def test_an_alarm_does_not_keep_a_channel_from_closing(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    teller = opened(rabbitmq_url, [])
    teller.publish(["before"])
    until(lambda: teller.describe()["confirmed"] == 1)
    rabbitmq.raise_alarm()
    teller.publish(["never"])
    teller.close()
    assert not teller._publisher._thread.is_alive()


def test_a_right_that_is_taken_away_while_it_runs_is_told(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    """The first error of such an outage is another one: the operator closes the connections."""
    told: list[str] = []
    channel, listener = opened(rabbitmq_url, told), Listener()
    channel.consume(listener.ring)
    channel.publish(["before"])
    listener.wait_for({"before"})
    vhost = rabbitmq_url.rpartition("/")[2]
    nothing = ", ".join(['<<"^$">>'] * 3)
    rights = 'rabbit_auth_backend_internal:set_permissions(<<"snodo">>, <<"{}">>, {}, <<"t">>)'
    rabbitmq.evaluate(rights.format(vhost, nothing))
    rabbitmq.close_connections()
    until(lambda: any("set_permissions" in line for line in told))
    rabbitmq.evaluate(rights.format(vhost, ", ".join(['<<".*">>'] * 3)))
    until(lambda: any(line.startswith("channel.restored") for line in told))
    channel.close()
    assert told[0].startswith("channel.lost the broker ended the line: CONNECTION_FORCED - test; is the broker up")
    lost = [line for line in told if line.startswith("channel.lost")]
    assert len(lost) == len(set(lost))
    assert not any("Error(" in line or "Lost(" in line for line in lost)


def test_the_queue_is_a_bounded_quorum_queue(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    teller = opened(rabbitmq_url, [])
    teller.publish(["one"])
    until(lambda: teller.describe()["confirmed"] == 1)
    vhost = rabbitmq_url.rpartition("/")[2]
    rows = rabbitmq.evaluate(f"""lists:flatten(io_lib:format("~p", [rabbit_amqqueue:list(<<"{vhost}">>)]))""")
    assert all(word in rows for word in ("quorum", "x-max-length", "drop-head", "x-message-ttl", "x-delivery-limit"))
    teller.close()


def test_beyond_its_bound_the_outbox_drops_and_says_so() -> None:
    channel = Channel("amqp://127.0.0.1:1/none")  # nobody listens there
    for n in range(250):
        channel.publish([f"run-{n}-{m}" for m in range(1000)])
    told = channel.describe()
    assert told["waiting"] <= 200_000
    assert told["waiting"] + told["dropped"] == 250_000
    channel.close()


class TestRefusal:
    """A broker that refuses us for good stops the start, and the error says what to do."""

    @pytest.fixture
    def user(self, rabbitmq: RabbitMQ, rabbitmq_url: str) -> str:
        """The URL for a user without any rights."""
        rabbitmq.evaluate('rabbit_auth_backend_internal:delete_user(<<"modesto">>, <<"test">>)') if "modesto" in self.users(
            rabbitmq
        ) else None
        rabbitmq.evaluate('rabbit_auth_backend_internal:add_user(<<"modesto">>, <<"segreta">>, <<"test">>)')
        return rabbitmq_url.replace("snodo:snodo@", "modesto:segreta@")

    @staticmethod
    def users(rabbitmq: RabbitMQ) -> str:
        return rabbitmq.evaluate('lists:flatten(io_lib:format("~p", [rabbit_auth_backend_internal:list_users()]))')

    @staticmethod
    def refused(url: str) -> ConfigError:
        with contextlib.closing(Channel(url)) as channel, pytest.raises(ConfigError) as caught:
            channel.check()
        assert caught.value.code == "config.channel"
        return caught.value

    def test_a_wrong_password(self, rabbitmq_url: str) -> None:
        assert "user or password" in self.refused(rabbitmq_url.replace("snodo:snodo", "snodo:sbagliata")).sentence

    def test_a_virtual_host_that_is_not_there(self, rabbitmq_url: str) -> None:
        assert "rabbitmqctl add_vhost altrove" in self.refused(rabbitmq_url.rpartition("/")[0] + "/altrove").hint

    def test_a_user_without_rights(self, rabbitmq: RabbitMQ, rabbitmq_url: str, user: str) -> None:
        vhost = rabbitmq_url.rpartition("/")[2]
        rabbitmq.evaluate(
            f'rabbit_auth_backend_internal:set_permissions(<<"modesto">>, <<"{vhost}">>, <<"^$">>, <<"^$">>, <<"^$">>, <<"t">>)'
        )
        assert f"set_permissions -p {vhost} modesto " in self.refused(user).hint

    def test_the_rights_that_the_page_names_are_enough(self, rabbitmq: RabbitMQ, rabbitmq_url: str, user: str) -> None:
        vhost = rabbitmq_url.rpartition("/")[2]
        configure, write, read = (f'<<"{part[1:-1]}">>'.replace("\\", "\\\\") for part in RIGHTS.split())
        rabbitmq.evaluate(
            f'rabbit_auth_backend_internal:set_permissions(<<"modesto">>, <<"{vhost}">>, {configure}, {write}, {read}, <<"t">>)'
        )
        told: list[str] = []
        channel, tickets, news = opened(user, told), Listener(), Listener()
        channel.check()
        channel.consume(tickets.ring)
        other = opened(user, told)
        other.on_news(news.ring)
        channel.publish(["run-1"])
        tickets.wait_for({"run-1"})
        until(lambda: channel.publish_news(["message-1"]) or "message-1" in news.heard)
        assert told == []
        channel.close()
        other.close()

    @pytest.mark.parametrize("limit", ["max-connections", "max-queues"])
    def test_a_limit_that_is_reached_is_told_as_one_and_refuses_no_start(self, rabbitmq: RabbitMQ, rabbitmq_url: str, limit: str) -> None:
        """It was told as a virtual host that is not there, and as a queue of another kind."""
        vhost = rabbitmq_url.rpartition("/")[2]
        told: list[str] = []
        rabbitmq.evaluate(f'rabbit_vhost_limit:set(<<"{vhost}">>, [{{<<"{limit}">>, 0}}], <<"test">>)')
        channel = opened(rabbitmq_url, told)
        channel.check()
        until(lambda: told != [])
        rabbitmq.evaluate(f'rabbit_vhost_limit:clear(<<"{vhost}">>, <<"test">>)')
        until(lambda: channel.describe()["connected"] is True)
        channel.close()
        assert told[0].startswith("channel.lost the broker ended the line: ")
        assert "is reached; a limit of the broker is used up: rabbitmqctl list_vhost_limits" in told[0]

    def test_a_queue_of_another_kind(self, rabbitmq_url: str) -> None:
        with kombu.Connection(rabbitmq_url) as connection:
            kombu.Queue("snodo.runs", durable=True, channel=connection.channel()).declare()
        assert "rabbitmqctl delete_queue" in self.refused(rabbitmq_url).hint

    def test_an_exchange_of_another_kind(self, rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
        """It was told as a queue, with a remedy that mended nothing."""
        with kombu.Connection(rabbitmq_url) as connection:
            kombu.Exchange("snodo.news", type="direct", durable=True, channel=connection.channel()).declare()
        refused = self.refused(rabbitmq_url)
        assert refused.sentence.startswith("the broker has an exchange 'snodo.news' of another kind")
        rabbitmq.evaluate(refused.hint.partition("eval '")[2].partition(".'")[0])
        channel = Channel(rabbitmq_url)
        channel.check()
        channel.close()

    def test_a_broker_that_is_too_old_is_refused(self, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bus.channel.refusal.OLDEST", (99, 0))
        assert self.refused(rabbitmq_url).sentence.startswith("this is RabbitMQ 3.")

    def test_a_broker_that_is_away_is_no_refusal(self) -> None:
        channel = Channel("amqp://snodo:snodo@127.0.0.1:1/none")
        channel.check()
        channel.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("amqp://snodo:segre/tissima@broker.example/snodo", "channel.url is no address"),
        ("amqp://snodo:segreta@broker.example:tissima/snodo", "channel.url is no address"),
        ("ampq://snodo:segreta@broker.example/tissima", "nothing here speaks 'ampq'"),
        ("zookeeper://snodo:segreta@broker.example/tissima", "the library for zookeeper:// is not installed"),
    ],
)
def test_an_address_that_never_leads_to_a_broker_is_refused_and_not_shown(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as told:
        refuse_unsafe(url, {})
    assert "tissima" not in f"{told.value.sentence} {told.value.hint}"
    assert told.value.hint


@pytest.mark.parametrize("url", ["amqp://broker.example/snodo", "amqp://guest:guest@broker.example/snodo", "amqps://broker.example"])
def test_a_broker_elsewhere_is_not_asked_as_guest(url: str) -> None:
    with pytest.raises(ConfigError, match="guest"):
        refuse_unsafe(url, {})


def test_a_broker_elsewhere_without_tls_is_doubtful() -> None:
    assert "amqps://" in refuse_unsafe("amqp://snodo:segreta@broker.example/snodo", {})[0]
    assert refuse_unsafe("amqps://snodo:segreta@broker.example/snodo", {}) == []
    assert refuse_unsafe("amqp://guest:guest@127.0.0.1/", {}) == []


@pytest.mark.parametrize(
    ("tls", "sentence"),
    [
        ({"ca_certs": "none.pem"}, "channel.options.ssl: none.pem cannot be used: No such file or directory"),
        ({"ca_certs": __file__}, f"channel.options.ssl: {__file__} cannot be used: TLS: no certificate or crl found"),
        ({"certfile": "c.pem", "keyfile": "none.pem"}, "channel.options.ssl: c.pem and none.pem cannot be used: No such file"),
        ({"ca_cert": "c.pem"}, "channel.options.ssl knows no ca_cert"),
        (True, "channel.options.ssl is no map of options"),
    ],
)
def test_certificates_that_cannot_be_used_are_refused_before_the_broker_is_asked(tls: Any, sentence: str) -> None:
    """The line was 'lost', again and again, and the remedy to look at the network."""
    with pytest.raises(ConfigError) as told:
        refuse_unsafe("amqps://snodo:segreta@broker.example/snodo", {"ssl": tls})
    assert told.value.sentence.startswith(sentence)
    assert told.value.hint


def test_a_broker_whose_certificate_is_not_trusted_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    certificate, told = self_signed(tmp_path), list[str]()

    def greet(connection: Any) -> None:
        with contextlib.suppress(OSError):
            server_side(connection, certificate).close()

    with peer(greet) as port:
        line = Line(f"amqps://snodo:snodo@127.0.0.1:{port}/snodo", QUEUE, lambda event, said: told.append(said), {})
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED") as refused, line.dial():
            pass
    line.down("listener", refused.value)
    assert told == [f"the line to the broker failed: TLS: self-signed certificate; {CERTIFICATES}"]


@pytest.mark.parametrize(
    ("bearer", "url"),
    [
        ("localhost", "amqps://snodo:snodo@localhost:{port}/snodo"),
        (None, "amqps://snodo:snodo@127.0.0.2:{dead}/snodo;amqps://snodo:snodo@127.0.0.1:{port}/snodo"),
    ],
)
def test_a_certificate_is_held_to_the_host_that_the_address_names(tmp_path: Path, bearer: str | None, url: str) -> None:
    """kombu dials ``localhost`` as 127.0.0.1, and looked for the name of the first node in the certificates of the others."""
    certificate, greeted = self_signed(tmp_path, bearer), list[bytes]()

    def greet(connection: Any) -> None:
        with contextlib.suppress(OSError), server_side(connection, certificate) as secure:
            greeted.append(secure.recv(4))

    with peer(greet) as port:
        line = Line(url.format(port=port, dead=free_port()), QUEUE, print, {"ssl": {"ca_certs": certificate[0]}})
        with pytest.raises(kombu.exceptions.OperationalError), line.dial():
            pass
    assert greeted == [b"AMQP"]


def test_each_node_of_a_cluster_is_looked_at_and_no_password_of_theirs_is_told() -> None:
    url = "amqps://snodo:segreta@uno.example/snodo;amqp://snodo:segretissima@due.example/snodo;tre.example"
    assert refuse_unsafe(url, {}) == ["tickets and the broker's password travel in the clear to due.example: use amqps://"]
    with pytest.raises(ConfigError, match=r"due\.example would be asked as guest"):
        refuse_unsafe("amqps://snodo:segreta@uno.example/snodo;amqps://due.example/snodo", {})
    told = reason(amqp.NotAllowed("NOT_ALLOWED - vhost snodo not found"), url, QUEUE)
    assert told.startswith("the broker has no virtual host 'snodo' for our user; rabbitmqctl add_vhost snodo, ")


def test_only_memory_is_for_one_process() -> None:
    for url, several in (("memory://", False), ("MEMORY://", False), ("amqp://h/v", True), ("redis://h", True), ("filesystem://", True)):
        assert [Line(url, QUEUE, print, {}).shared, config.Channel(url=url).shared] == [several, several]
