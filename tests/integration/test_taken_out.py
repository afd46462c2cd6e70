"""What is told where somebody took rows out of the tables that portal and console look at: the log has them still."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from bus.message import new_id
from bus.testing.patience import until
from tests.integration.erasing import sent
from tests.integration.test_damaged import change
from tests.small_bus import Caller, running, wait_reply


def replayed(folder) -> tuple[int, str]:
    """Exit code and last line of a replay of everything."""
    words = ["replay", "--from", "2026-01-01", "--config", str(folder / "config.yaml")]
    done = subprocess.run([sys.executable, "-m", "bus", *words], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout.splitlines()[-1]


def test_a_message_that_somebody_took_out_of_its_table_is_named_and_recomputed_from_the_log(tmp_path):
    """Sent again it was a 500; to whoever asked for it there was no such message; a replay called it erased, and its case empty and equal."""
    with running(tmp_path) as server:
        ask, key = Caller(server.port), {"Idempotency-Key": "una"}
        message = ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, key).json["id"]
        wait_reply(server.app, message, 60)
        change(tmp_path, "DELETE FROM messages WHERE id = ?", message)
        for answer in (
            ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, key),
            ask("GET", f"/messages/{message}"),
        ):
            said = f"the message {message} was accepted, and does not stand in the table `messages` any more"
            assert (answer.status, answer.json["code"], answer.json["detail"]) == (503, "evidence.broken", said)
        assert ask("GET", f"/messages/{new_id()}", headers={"Snodo-Purpose": "prova"}, name="revisore").status == 404
        assert sent(server, "prova.silenzio", {"nome": "Bea"})
    assert replayed(tmp_path) == (0, "2 runs, 1 step recomputed: 2 equal")
    words = ["replay", "istanza:Ada", "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run([sys.executable, "-m", "bus", *words], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "none of its messages stands in the table" in done.stderr) == (3, True)


def test_a_run_that_somebody_took_out_of_its_table_is_recomputed_all_the_same(tmp_path):
    """A replay said that all was equal: it had not looked at it."""
    with running(tmp_path) as server:
        for name in ("Ada", "Bea"):
            wait_reply(server.app, sent(server, "prova.saluto", {"nome": name}), 60)
    assert replayed(tmp_path) == (0, "2 runs, 2 steps recomputed: 2 equal")
    change(tmp_path, "DELETE FROM runs")
    assert replayed(tmp_path) == (0, "2 runs, 2 steps recomputed: 2 equal")


@pytest.mark.parametrize(
    "damage", ["DELETE FROM receipts", "UPDATE receipts SET leaves = zeroblob(64)", "UPDATE receipts SET leaves = 'x'"]
)
def test_a_receipt_that_is_gone_is_not_said_never_to_have_been_given(tmp_path, damage):
    """Where its row was changed it was a 500, also for who sent the message again: he had only to be told that it was accepted."""
    with running(tmp_path) as server:
        ask, given = Caller(server.port), ({"type": "prova.saluto", "data": {"nome": "Ada"}}, {"Idempotency-Key": "una"})
        message = ask("POST", "/messages", *given).json["id"]
        change(tmp_path, damage)
        receipt, again = ask("GET", f"/messages/{message}/receipt"), ask("POST", "/messages", *given)
        assert (receipt.status, receipt.json["code"]) == (503, "evidence.broken")
        assert f"the receipt of the message {message} does not stand in the table `receipts`" in receipt.json["detail"]
        assert (again.status, again.json["id"], "receipt" in again.json) == (202, message, False)


def test_a_dead_letter_whose_record_is_gone_is_named_by_whatever_is_done_with_it(tmp_path):
    """Whoever asked for it, or released it, was never answered: the connection stood until the client gave up."""
    with running(tmp_path) as server:
        ask = Caller(server.port, "sistemista")
        wait_reply(server.app, sent(server, "prova.guasto", {"nome": "Ada"}), 60)
        [run] = [one["id"] for one in ask("GET", "/dead").json["dead"]]
        change(tmp_path, "DELETE FROM records WHERE kind = 'dead'")
        tries = [("GET", f"/dead/{run}", None), *(("POST", f"/dead/{run}/{act}", {"reason": "prova"}) for act in ("redeliver", "discard"))]
        for method, path, body in tries:
            answer = ask(method, path, body, {"Snodo-Purpose": "prova"})
            said = f"the run {run} is dead, and the log does not say any more why"
            assert (answer.status, answer.json["code"], answer.json["detail"]) == (503, "evidence.broken", said)


def test_a_wait_whose_run_is_gone_is_named_to_whom_it_waits_for_and_keeps_no_other_deadline(tmp_path):
    """A message that it waited for was a 500; and once its deadline had passed, no wait of anybody ended, and what was claimed stood."""
    with running(tmp_path) as server:
        ask = Caller(server.port)
        lost, other = (sent(server, "prova.attesa", {"nome": name}) for name in ("Ada", "Bea"))
        until(lambda: all(server.app.message(one)["state"] == "waiting" for one in (lost, other)), "both wait")
        [run] = [one["id"] for one in server.app.message(lost)["runs"]]
        change(tmp_path, "DELETE FROM runs WHERE id = ?", run)
        answer = ask("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Ada"}})
        said = f"the run {run} waits for this message, and does not stand in the table `runs` any more"
        assert (answer.status, answer.json["code"], answer.json["detail"]) == (503, "evidence.broken", said)
        change(tmp_path, "UPDATE waits SET deadline = '2026-01-01T00:00:00.000000Z'")
        assert wait_reply(server.app, other, 60)["state"] == "done"


def test_a_run_that_somebody_has_and_for_no_time_is_shown_with_the_others(tmp_path):
    """Of one such row every list of runs, and of dead letters, was a 500."""
    with running(tmp_path) as server:
        ask = Caller(server.port, "sistemista")
        wait_reply(server.app, sent(server, "prova.saluto", {"nome": "Ada"}), 60)
        change(tmp_path, "UPDATE runs SET owner = 'qualcuno', lease = NULL")
        assert [ask("GET", path).status for path in ("/runs", "/dead", "/cases/istanza:Ada")] == [200] * 3


MORE = (
    "ALTER TABLE messages ADD COLUMN altro int NOT NULL DEFAULT 1; ALTER TABLE messages ALTER altro DROP DEFAULT",
    "ALTER TABLE messages DROP altro",
)
REFUSES = (
    """CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'vietato'; END $$ LANGUAGE plpgsql;
    CREATE TRIGGER no BEFORE INSERT ON payloads FOR EACH ROW EXECUTE FUNCTION no()""",
    "DROP TRIGGER no ON payloads; DROP FUNCTION no()",
)
KIND = (
    "ALTER TABLE messages ALTER time TYPE bytea USING time::bytea",
    "ALTER TABLE messages ALTER time TYPE text USING encode(time, 'escape')",
)


@pytest.mark.parametrize(("done", "undone"), [MORE, REFUSES, KIND], ids=["a column more", "a trigger that refuses", "another type"])
def test_tables_that_somebody_altered_are_no_fault_of_whoever_sends_and_work_again_once_they_are_as_they_were(
    postgresql_url, tmp_path, done, undone
):
    """It was a 500; and what was asked meanwhile was one for ever after, since the session kept how the table had been."""
    with running(tmp_path, store={"url": postgresql_url}) as server, psycopg.connect(postgresql_url, autocommit=True) as owner:
        ask = Caller(server.port)

        def several() -> set[int]:
            looks = [ask("GET", "/cases/istanza:Ada", name="sistemista").status for _ in range(20)]
            return {*looks, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).status}

        wait_reply(server.app, sent(server, "prova.saluto", {"nome": "Ada"}), 60)
        several()
        owner.execute(done)
        answer = ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}})
        assert (answer.status, answer.json["code"]) == (503, "store.failed")
        several()
        owner.execute(undone)
        until(lambda: several() == {200, 202}, "each session is a new one")
