"""The contract suite and the simulators' kit are themselves able to fail."""

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
from argparse import Namespace
from urllib.parse import urlsplit

import pytest

from adapters.scrivania.adapter import Assegnazione, Elemento, Scrivania
from adapters.simulator import Fault, Ledger, Reply, Request, Simulator
from bus.adapter import Call, InDoubt, Refused, operation
from bus.testing.adapter_contract import AdapterContract, Example, Play, fresh
from bus.testing.patience import until
from bus.testing.simulators import SimulatorFailed, start
from tests.contract.desk import RICHIESTA

EXAMPLE = Example("assegna", RICHIESTA, "elemento", refusal="UFFICIO_CHIUSO", operation_match="assegna")
KEY = "segreto-delle-scrivanie"


def liar(how):
    """A desks adapter that breaks one rule of the contract."""

    class Liar(Scrivania):
        @operation(effect="keyed", timeout=10, refusals={"ALTRO": "not what it says"})
        def assegna(self, request: Assegnazione, ctx: Call) -> Elemento:
            return how(super().assegna, request, ctx)

    class Suite(AdapterContract):
        adapter_class = Liar
        module = "adapters.scrivania.simulator"
        examples = (EXAMPLE,)

    return Suite(), Liar


def another_key(ask, request, ctx):
    ctx.key = os.urandom(32).hex()
    return ask(request, ctx)


def always_fine(ask, request, ctx):
    try:
        return ask(request, ctx)
    except (InDoubt, Refused):
        return Elemento(elemento="EL-1", scrivania="x", incaricato="y")


def no_evidence(ask, request, ctx):
    try:
        return ask(request, ctx)
    finally:
        ctx.exchanges.clear()


def wrong_model(ask, request, ctx):
    return ask(request, ctx).model_dump()


def patient(ask, request, ctx):
    ctx.timeout = 10.0
    return ask(request, ctx)


def undeclared(ask, request, ctx):
    return ask(request, ctx)


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    with start("adapters.scrivania.simulator", tmp_path_factory.mktemp("desks"), "--api-key", KEY) as running:
        yield running


@pytest.mark.parametrize(
    ("how", "test", "more"),
    [
        (another_key, "test_sending_again_with_the_same_key_leaves_one_effect", {"fault": "lose_reply"}),
        (another_key, "test_the_same_key_twice_at_once_leaves_one_effect", {}),
        (another_key, "test_an_effect_that_comes_after_the_resend_is_still_one", {}),
        (always_fine, "test_a_lost_reply_is_unreachable_for_a_read_and_in_doubt_for_the_rest", {}),
        (always_fine, "test_a_refusal_has_a_declared_code_and_no_effect", {}),
        (undeclared, "test_a_refusal_has_a_declared_code_and_no_effect", {}),
        (always_fine, "test_an_error_page_is_kept_as_evidence", {}),
        (no_evidence, "test_an_error_page_is_kept_as_evidence", {}),
        (no_evidence, "test_an_answer_that_means_nothing_is_kept_as_evidence", {}),
        (no_evidence, "test_the_bytes_are_kept_both_ways_and_their_notes_hold_no_secret", {}),
        (wrong_model, "test_a_success_answers_the_declared_model_and_leaves_one_effect", {}),
        (patient, "test_the_timeout_is_obeyed", {}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_adapter_that_breaks_a_rule_is_caught(desks, how, test, more):
    suite, cls = liar(how)
    adapter = cls("scrivania", cls.Settings(url=desks.url, chiave=KEY, riserva="urp-smistamento"))
    try:
        with pytest.raises(AssertionError):
            getattr(suite, test)(play=Play(EXAMPLE, adapter, desks), **more)
    finally:
        adapter.close()
        desks.clear()
        desks.wait_until_quiet()


def test_an_operation_without_an_example_is_caught():
    class Suite(AdapterContract):
        adapter_class = Scrivania
        module = "adapters.scrivania.simulator"

    with pytest.raises(AssertionError):
        Suite().test_every_operation_has_an_example()


def test_the_token_of_a_request_is_one_and_new_each_time():
    first, second = (fresh({"a": "x-{unico}", "b": [{"c": "{unico}"}], "d": 1}) for _ in range(2))
    assert first["a"] == "x-" + first["b"][0]["c"]
    assert first["a"] != second["a"]
    assert first["d"] == 1


# -- the kit --------------------------------------------------------------------------------------------------------------


def test_what_the_ledger_took_is_there_after_a_kill(tmp_path):
    script = (
        "import os, pathlib, sys; from adapters.simulator import Ledger; ledger = Ledger(pathlib.Path(sys.argv[1]));"
        "ledger.effect('a', 'k', {'n': 1}); ledger.remember('s', 'k', [1, 2]); os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path / "l.sqlite")], timeout=100)
    assert ran.returncode == -signal.SIGKILL
    with contextlib.closing(Ledger(tmp_path / "l.sqlite")) as ledger:
        assert [(one["kind"], one["key"], one["detail"]) for one in ledger.effects()] == [("a", "k", {"n": 1})]
        assert ledger.state("s", "k") == [1, 2]


@pytest.fixture
def ledger(tmp_path):
    with contextlib.closing(Ledger(tmp_path / "l.sqlite")) as ledger:
        yield ledger
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        ledger.effects()


def test_a_transaction_of_the_ledger_is_all_or_nothing(ledger):
    with pytest.raises(RuntimeError), ledger.transaction():
        ledger.once("a", "k", {})
        ledger.remember("s", "k", 1)
        raise RuntimeError
    assert (ledger.effects(), ledger.state("s", "k")) == ([], None)
    assert ledger.once("a", "k", {"n": 1})[1] is True
    found, fresh_ = ledger.once("a", "k", {"n": 2})
    assert (found["detail"], fresh_) == ({"n": 1}, False)
    assert ledger.effects("b") == []


class Echo(Simulator):
    name = "eco"

    def handle(self, request):
        self.ledger.effect("eco", request.path, {})
        return Reply.json(request.body.decode())


@pytest.fixture
def echo(tmp_path):
    echo = Echo(tmp_path, Namespace())
    yield echo
    echo.ledger.close()


def told(echo, *faults):
    return echo.control(Request("POST", "/_control/faults", {}, {}, json.dumps(faults).encode()))


def test_the_first_fault_that_matches_rules_and_uses_up_its_times(echo):
    told(echo, {"fault": "refuse", "operation": "/b", "code": "NO"}, {"fault": "html", "times": 1})
    answers = [echo.serve(Request("POST", path, {}, {}, b"")).status for path in ("/a", "/a", "/b", "/b")]
    assert answers == [502, 200, 422, 422]
    assert [one["key"] for one in echo.ledger.effects()] == ["/a"]
    echo.control(Request("DELETE", "/_control/faults", {}, {}, b""))
    assert echo.serve(Request("POST", "/b", {}, {}, b"")).status == 200


def test_chance_is_repeatable():
    def struck():
        fault = Fault("html", probability=0.3, seed=7)
        return [fault.strikes("x") for _ in range(200)]

    assert struck() == struck()
    assert 30 < sum(struck()) < 90


def test_a_lost_reply_has_its_effect_and_a_late_one_has_it_later(echo):
    told(echo, {"fault": "lose_reply", "times": 1}, {"fault": "late", "seconds": 4.0, "times": 1})
    assert echo.serve(Request("POST", "/1", {}, {}, b"")) is None
    assert echo.serve(Request("POST", "/2", {}, {}, b"")) is None
    assert [one["key"] for one in echo.ledger.effects()] == ["/1"]
    until(lambda: len(echo.ledger.effects()) == 2, "both had their effect")
    assert [one["key"] for one in echo.ledger.effects()] == ["/1", "/2"]


@pytest.mark.parametrize("wrong", [{"fault": "tempesta"}, {"fault": "slow", "second": 1}, {}])
def test_a_fault_we_do_not_know_is_refused(echo, desks, wrong):
    assert told(echo, wrong).status == 422
    with pytest.raises(SimulatorFailed):
        desks.faults([wrong])
    assert desks.status()["faults"] == []


def test_a_simulator_that_lacks_something_says_what_in_one_sentence(tmp_path, monkeypatch):
    """`bus demo` shows it to whoever has no developer's tools: no traceback."""
    lines = (
        "from adapters.simulator import NotReady, Simulator, main", "class Cometa(Simulator):", "    name = 'cometa'",
        "    def begin(self):", "        raise NotReady('it needs a tail')", "main(Cometa)",
    )  # fmt: skip
    (tmp_path / "cometa.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SimulatorFailed, match=r"^cometa did not get ready: the simulator of cometa cannot begin: it needs a tail\n$"):
        start("cometa", tmp_path / "cometa")


def test_chunked_requests_and_kept_connections_are_served(desks):
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(desks.url).port, timeout=60)
    body = json.dumps({**fresh(RICHIESTA)}).encode()
    for _ in range(2):
        headers = {"X-Api-Key": KEY, "Idempotency-Key": "chunked", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/elementi", iter([body[:10], body[10:]]), headers, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status in {200, 201}
        answer.read()
    connection.close()


def test_a_simulator_that_does_not_start_says_why(tmp_path):
    with pytest.raises(SimulatorFailed, match="No module named"):
        start("adapters.nessuno.simulator", tmp_path)


def test_a_simulator_ends_with_its_parent(tmp_path):
    command = [sys.executable, "-m", "adapters.scrivania.simulator", "--folder", str(tmp_path), "--with-parent"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert json.loads(child.stdout.readline())["name"] == "scrivania"
        child.stdin.close()
        assert child.wait(60) == 0


def test_a_restarted_simulator_has_its_port_and_its_ledger_and_no_faults(tmp_path):
    with start("adapters.sito.simulator", tmp_path) as site:
        url = site.url
        site.faults([{"fault": "html"}])
        site.kill()
        assert not site.alive
        site.restart()
        assert (site.url, site.status()["faults"]) == (url, [])
