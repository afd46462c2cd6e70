"""The reports that the law asks for, after a day's work, as somebody gets them: `bus report` against a running bus."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from bus.cli.report import _anew
from bus.client import Client, ClientError
from bus.testing.town import key_of
from tests.integration.kit import ADA, Town, building, case_when, present

ALWAYS = ("--from", "2020-01-01", "--to", "2100-01-01")


def report(town: Town, *words: str, who: str = "revisore") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SNODO_URL": town.url, "SNODO_KEY": key_of(who)}
    return subprocess.run([sys.executable, "-m", "bus.cli", "report", *words], capture_output=True, text=True, env=environment, timeout=120)


def lines(town: Town, name: str, *more: str) -> list[dict[str, str]]:
    done = report(town, name, *ALWAYS, "--purpose", "verifica trimestrale", *more)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.fixture(scope="module")
def paid(town: Town) -> dict[str, str]:
    """A building application that was paid: its notice and protocol number."""
    reply = present(town, building("SUE-2026-000901"))["reply"]
    assert town.pay(reply["avviso"])["receipt"]["outcome"] == "OK"
    case_when(town, "istanza:SUE-2026-000901")
    return {"avviso": reply["avviso"], "protocollo": reply["protocollo"]}


def test_the_journal_of_events_has_every_request_and_every_answer(town: Town, paid: dict[str, str]) -> None:
    mine = [line for line in lines(town, "pagopa") if paid["avviso"] in line["parametriSpecificiInterfaccia"]]
    told = [(line["tipoEvento"], line["sottoTipoEvento"], line["esito"]) for line in mine]
    for event in ("crea-posizione", "paVerifyPaymentNotice"):
        assert told.count((event, "REQ", "n/a")) == told.count((event, "RSP", "OK")) >= 1, told
    receipt = next(line for line in mine if line["tipoEvento"].startswith("paSendRT") and line["sottoTipoEvento"] == "RSP")
    assert receipt["identificativoUnivocoVersamento"] == paid["avviso"][1:]
    assert receipt["identificativoPrestatoreServiziPagamento"] == "PSPSIMULATO"
    assert receipt["codiceContestoPagamento"] not in ("", "n/a")
    assert ADA not in str(mine), "no person is named in it"


def test_the_daily_extract_has_what_the_register_has(town: Town, paid: dict[str, str]) -> None:
    year, number = paid["protocollo"].split("/")
    [line] = [line for line in lines(town, "protocollo") if (line["anno"], line["numero"]) == (year, number)]
    assert line["esito"] == "registrato"
    assert line["flusso"] == "E"
    assert line["oggetto"]
    assert line["mittente"]


def test_who_was_given_a_report_stands_in_the_next_one_with_the_purpose(town: Town, paid: dict[str, str]) -> None:
    lines(town, "pagopa")
    [*_, last] = [line for line in lines(town, "purposes") if line["what"] == "pagopa"]
    assert (last["act"], last["who"], last["purpose"]) == ("exported", "revisore", "verifica trimestrale")


def test_of_a_bundle_and_a_replay_it_is_told_of_which_case_message_or_time(town: Town, paid: dict[str, str]) -> None:
    with town.client("revisore") as auditor:
        [message, *_] = [one["id"] for one in auditor.get(f"/cases/protocollo:{quote(paid['protocollo'], safe='')}")["messages"]]
        scopes = [{"case": f"protocollo:{paid['protocollo']}"}, {"message": message}, {"from": "2020-01-01", "to": "2100-01-01"}]
        for scope in scopes:
            auditor.export(scope, f"accesso agli atti, {next(iter(scope))}")
        auditor.post("/replays", {"what": f"protocollo:{paid['protocollo']}", "purpose": "accesso agli atti, replay"})
    told = {one["purpose"].partition(", ")[2]: one for one in lines(town, "purposes") if one["purpose"].startswith("accesso agli atti, ")}
    assert [{name: told[next(iter(scope))][name] for name in scope} for scope in scopes] == scopes
    assert (told["replay"]["case"], told["from"]["case"], told["case"]["message"]) == (f"protocollo:{paid['protocollo']}", "", "")


def test_accesses_of_persons_are_told_and_refused_ones_too(town: Town) -> None:
    with Client(town.url, "a-key-that-nobody-gave") as stranger, pytest.raises(ClientError):
        stranger.get("/runs")
    town.client("sistemista").get("/runs")
    found = lines(town, "accesses")
    entered = {line["who"]: line for line in found if line["event"] == "entered"}
    assert {"sistemista", "revisore"} <= set(entered)
    assert "portale" not in entered, "a portal is a program"
    assert entered["sistemista"]["from"] == "127.0.0.1"
    assert any(line["event"] == "refused" and line["from"] == "127.0.0.1" for line in found)


def test_a_report_needs_a_purpose_a_time_and_the_right_to_read(town: Town, tmp_path: Path) -> None:
    no_purpose = report(town, "pagopa", *ALWAYS)
    assert no_purpose.returncode == 2
    assert "purpose" in no_purpose.stderr
    assert "pagopa" in report(town, "pagopax", *ALWAYS, "--purpose", "prova").stderr, "the error names those that there are"
    assert report(town, "pagopa", *ALWAYS, "--purpose", "prova", who="portale").returncode == 1
    assert "'9999-12-31' is no day" in report(town, "pagopa", "--from", "9999-12-31", "--purpose", "prova").stderr
    for name, code, said in (("pagopa", "input.time", "missing: to"), ("pagopax", "report.unknown", "no report 'pagopax'")):
        with pytest.raises(ClientError, match=said) as refused:
            town.client("revisore").post(f"/reports/{name}", {"from": "2026-11-27", "purpose": "prova"})
        assert refused.value.code == code
    assert "there is no report 'pagopax'" in report(town, "pagopax").stderr, "which is told before what else is missing"
    target = tmp_path / "estratto.csv"
    assert report(town, "protocollo", *ALWAYS, "--purpose", "prova", "-o", str(target)).returncode == 0
    assert target.read_text("utf-8").startswith("numero,anno,data_registrazione")
    for place, said in ((target, "choose another name"), (tmp_path / "manca/estratto.csv", "is it there")):
        assert said in report(town, "protocollo", *ALWAYS, "--purpose", "a vuoto", "-o", str(place)).stderr
    assert "a vuoto" not in report(town, "purposes", *ALWAYS, "--purpose", "prova").stdout, "who was given nothing is not told of"


def test_all_reports_are_listed_with_their_source(town: Town) -> None:
    said = report(town).stdout
    assert all(name in said for name in ("accesses", "purposes", "pagopa", "protocollo"))
    assert "DPR 445/2000" in said


def test_a_report_has_its_name_once_it_is_whole_and_one_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ClientError), _anew(tmp_path / "mezzo.csv") as file:
        file.write("data,numero\n")
        file.flush()
        assert not (tmp_path / "mezzo.csv").exists(), "whoever is killed now leaves no half of it"
        raise ClientError(503, {"code": "store.failed"})
    assert not [*tmp_path.iterdir()]
