"""`bus doctor` beside a real RabbitMQ, well and not well."""

from __future__ import annotations

import kombu
import pytest

from bus import doctor
from bus.channel import QUEUE
from bus.channel.line import Line
from bus.testing.ports import free_port
from tests.small_bus import write
from tests.unit.examining import examined, levels

NOWHERE = "postgresql://snodo@127.0.0.1:1/snodo"


def test_a_broker_that_is_well_is_tried_and_left_as_it_was(tmp_path, rabbitmq, rabbitmq_url):
    before = rabbitmq.evaluate("length(rabbit_amqqueue:list())")
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))
    assert levels(found, "doctor.channel") == levels(found, "doctor.channel-queue") == levels(found, "doctor.channel-alarm") == ["ok"]
    assert found["doctor.channel"][0].what.startswith("RabbitMQ 3.")
    assert rabbitmq.evaluate("length(rabbit_amqqueue:list())") == before


@pytest.mark.parametrize(("limit", "code"), [("max-connections", "doctor.channel"), ("max-queues", "doctor.channel-queue")])
def test_a_limit_of_the_broker_that_is_reached_is_told_as_one(tmp_path, rabbitmq, rabbitmq_url, limit, code):
    vhost = rabbitmq_url.rpartition("/")[2]
    rabbitmq.evaluate(f'rabbit_vhost_limit:set(<<"{vhost}">>, [{{<<"{limit}">>, 0}}], <<"test">>)')
    [told] = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))[code]
    assert (told.level, told.next.partition(":")[0]) == ("wrong", "a limit of the broker is used up")


def test_a_broker_under_alarm_takes_nothing_and_doctor_says_so(tmp_path, rabbitmq, rabbitmq_url, monkeypatch):
    monkeypatch.setattr("bus.doctor.broker.WITHIN", 3.0)
    rabbitmq.raise_alarm()
    try:
        found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))
    finally:
        rabbitmq.clear_alarm()
    assert levels(found, "doctor.channel-queue") == ["ok"]
    [alarm] = found["doctor.channel-alarm"]
    assert (alarm.level, alarm.next.split(";")[0]) == ("warning", "rabbitmq-diagnostics alarms")


def test_a_broker_that_does_not_let_us_in_is_exit_code_3_and_no_password_is_shown(tmp_path, rabbitmq, rabbitmq_url):
    ours = rabbitmq_url.replace("snodo:snodo@", "snodo:segretissima@")
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": f"{ours};{ours}"}))
    assert levels(found, "doctor.channel") == ["wrong"]
    assert doctor.exit_code(found["doctor.channel"]) == 3
    assert "segretissima" not in repr(found)


def test_each_node_of_a_broker_is_looked_at_and_one_that_is_away_is_told(tmp_path, rabbitmq_url):
    """It was told of none as long as one answered: nobody knew that the next one to go would be one too many."""
    away = f"amqp://snodo:snodo@127.0.0.1:{free_port()}/snodo"
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": f"{away};{rabbitmq_url}"}))
    assert levels(found, "doctor.channel") == ["ok", "warning"]
    there, gone = found["doctor.channel"]
    assert (there.where, gone.where) == (rabbitmq_url.partition("@")[2], away.partition("@")[2])
    assert "Connection refused" in gone.what
    assert levels(found, "doctor.channel-queue") == ["ok"]


def test_a_queue_of_tickets_that_takes_none_is_told(tmp_path, rabbitmq, rabbitmq_url):
    """A queue that is made to try it has a leader, and room, where our own has not."""
    vhost, line = rabbitmq_url.rpartition("/")[2], Line(rabbitmq_url, QUEUE, lambda event, detail: None, {})
    with kombu.Connection(rabbitmq_url) as connection:
        line.declare(connection.channel())
    rabbitmq.evaluate(f"ra:force_delete_server(quorum_queues, {{'{vhost}_snodo.runs', node()}})")
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))
    assert levels(found, "doctor.channel-queue") == ["ok", "wrong"]
    told = found["doctor.channel-queue"][1]
    assert told.what.startswith("snodo.runs takes no ticket: ")
    assert "rabbitmqctl" in told.what + told.next


def test_what_the_start_would_refuse_of_a_broker_is_told_with_the_same_remedy(tmp_path, rabbitmq_url, monkeypatch):
    def told(url: str, code: str = "doctor.channel") -> tuple[str, str]:
        [one] = [v for v in examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": url}))[code] if v.level == "wrong"]
        return one.what, one.next

    what, remedy = told(rabbitmq_url.replace("snodo:snodo@", "snodo:altra@"))
    assert what == "the broker does not know our user or password"
    assert remedy.startswith("set channel.url to")
    assert "rabbitmqctl add_vhost nessuno" in told(f"{rabbitmq_url.rpartition('/')[0]}/nessuno")[1]
    with kombu.Connection(rabbitmq_url) as connection:
        kombu.Queue("snodo.runs", durable=True)(connection.channel()).declare()
    assert "rabbitmqctl delete_queue" in told(rabbitmq_url, "doctor.channel-queue")[1]
    monkeypatch.setattr("bus.channel.refusal.OLDEST", (99, 0))
    assert told(rabbitmq_url)[1] == "the bus needs RabbitMQ 3.10 or later: upgrade the broker"


def test_an_exchange_of_another_kind_is_told_with_its_own_remedy(tmp_path, rabbitmq_url):
    with kombu.Connection(rabbitmq_url) as connection:
        kombu.Exchange("snodo.news", type="direct", durable=True, channel=connection.channel()).declare()
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))
    [told] = [one for one in found["doctor.channel-queue"] if one.level == "wrong"]
    assert told.what.startswith("the broker has an exchange 'snodo.news' of another kind")
    assert "rabbit_exchange:delete" in told.next


@pytest.mark.parametrize("lacking", ["configure", "write", "read"])
def test_a_right_that_our_user_lacks_is_told_with_the_remedy(tmp_path, rabbitmq, rabbitmq_url, lacking):
    vhost = rabbitmq_url.rpartition("/")[2]
    rights = ", ".join('<<"^$">>' if right == lacking else '<<".*">>' for right in ("configure", "write", "read"))
    rabbitmq.evaluate(f'rabbit_auth_backend_internal:add_user(<<"{lacking}">>, <<"segreta">>, <<"test">>)')
    try:
        rabbitmq.evaluate(f'rabbit_auth_backend_internal:set_permissions(<<"{lacking}">>, <<"{vhost}">>, {rights}, <<"test">>)')
        url = rabbitmq_url.replace("snodo:snodo@", f"{lacking}:segreta@")
        found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": url}))
    finally:
        rabbitmq.evaluate(f'rabbit_auth_backend_internal:delete_user(<<"{lacking}">>, <<"test">>)')
    wrong = [one for one in found["doctor.channel-queue"] if one.level == "wrong"]
    assert ["the broker forbids it"] == [one.what.partition(":")[0] for one in wrong]
    assert "rabbitmqctl set_permissions" in wrong[0].next
    assert "warning" not in levels(found, "doctor.channel-alarm")
