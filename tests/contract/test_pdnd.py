"""Vouchers of PDND: the whole contract of an e-service behind them, and how they are asked for, kept and let go."""

import base64
import datetime as dt
import json
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from adapters.esterni.adapter import Esterni
from adapters.http import modi, tokens
from adapters.http.pdnd import Pdnd
from adapters.rest import Rest
from bus.adapter import Call, Caution, Refused, Unreachable
from bus.testing.adapter_contract import attempt, call
from bus.testing.ports import free_port
from bus.testing.simulators import start
from tests.contract.scripted_peer import http, peer
from tests.contract.test_esterni import IGNOTA, IRREGOLARE, REGOLARE
from tests.contract.test_esterni import TestEsterni as Eservice

CLIENT, KID, PURPOSE = "4a1f4d0c-0000-4000-8000-000000000001", "kid-di-prova", "4a1f4d0c-0000-4000-8000-000000000002"
DOMANDA = {"codice_fiscale": REGOLARE}


def _keys(folder):
    """A private RSA key and its public one, by openssl."""
    private, public = folder / "chiave.pem", folder / "pubblica.pem"
    subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return str(private), str(public)


_FOLDER = tempfile.TemporaryDirectory()
PRIVATE, PUBLIC = _keys(Path(_FOLDER.name))


def asked_of(url, **other):
    return {"client": CLIENT, "kid": KID, "key": PRIVATE, "purpose": PURPOSE, "url": f"{url}/token.oauth2", **other}


class TestEserviceBehindPdnd(Eservice):
    adapter_class = Esterni
    arguments = ("--pdnd-key", PUBLIC, "--irregular", IRREGOLARE, "--unknown", IGNOTA)
    secrets = (PRIVATE,)

    @classmethod
    def settings(cls, url, facts):
        return {"url": url, "pdnd": asked_of(url)}

    test_a_voucher_that_is_not_valid_is_refused = None

    def test_one_voucher_serves_until_it_is_not_taken_any_more(self, adapter, simulator):
        before = len(simulator.ledger("voucher"))
        for _ in range(3):
            call(adapter, "verifica-regolarita", DOMANDA)
        assert len(simulator.ledger("voucher")) == before + 1
        adapter._client._tokens._kept = tokens.Token("revocato", float("inf"))
        over = attempt(adapter, "verifica-regolarita", DOMANDA).error
        assert (type(over), over.outside_code, over.locked_out) == (Unreachable, "HTTP_401", False)
        call(adapter, "verifica-regolarita", DOMANDA)
        assert len(simulator.ledger("voucher")) == before + 2

    def test_a_new_voucher_that_is_not_taken_is_told_to_the_sysadmin(self, simulator):
        """Not that one only is over: there is no right to the e-service, and another voucher would not help."""
        with (
            peer(http(401)) as (url, _),
            closing(Esterni("esterni", Esterni.Settings.model_validate({"url": url, "pdnd": asked_of(simulator.url)}))) as adapter,
        ):
            refused = attempt(adapter, "verifica-regolarita", DOMANDA).error
        assert (type(refused), refused.outside_code, refused.locked_out) == (Refused, "HTTP_401", True)

    def test_an_assertion_says_who_asks_and_for_what(self, adapter, simulator):
        call(adapter, "verifica-regolarita", DOMANDA)
        said = simulator.ledger("assertion")[-1]["detail"]
        host = simulator.url.removeprefix("http://")
        assert {name: said[name] for name in ("iss", "sub", "aud", "purposeId")} == {
            "iss": CLIENT, "sub": CLIENT, "aud": f"{host}/client-assertion", "purposeId": PURPOSE,
        }  # fmt: skip

    def test_what_is_kept_as_evidence_can_be_used_by_nobody(self, adapter, simulator):
        done = attempt(adapter, "verifica-regolarita", DOMANDA)
        out, back = done.ctx.exchanges[:2]
        assertion = parse_qs(out.content.decode())["client_assertion"][0].split(".")
        head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in assertion)
        assert (head, claims["iss"]) == ({"alg": "RS256", "kid": KID, "typ": "JWT"}, CLIENT)
        [given] = [one["key"] for one in simulator.ledger("voucher")][-1:]
        assert json.loads(back.content)["access_token"] == given.rpartition(".")[0]
        assert given.rpartition(".")[2].encode() not in done.wire
        assert (out.note, back.note) == ("POST /token.oauth2", "200 POST /token.oauth2")

    def test_a_voucher_that_does_not_come_leaves_no_doubt_and_nobody_is_asked(self, adapter, simulator):
        simulator.faults([{"fault": "slow", "operation": "voucher", "seconds": 8}])
        communicated = {"ente": "asl_demo", "oggetto": "x", "contenuto": {"a": 1}}
        late = attempt(adapter, "trasmetti-comunicazione", communicated, timeout=1.0)
        assert (type(late.error), late.seconds < 7) == (Unreachable, True)
        assert [one.note for one in late.ctx.exchanges] == ["POST /token.oauth2"], "it left"
        simulator.clear()
        simulator.wait_until_quiet()
        away = self.build({"url": simulator.url, "pdnd": asked_of(f"http://127.0.0.1:{free_port()}")})
        with pytest.raises(Unreachable, match="PDND gives no voucher: the connection failed: Connection refused"):
            call(away, "trasmetti-comunicazione", communicated)
        away.close()
        assert not [one for one in simulator.ledger("comunicazione") if one["detail"]["richiesta"] == communicated]

    def test_a_key_that_pdnd_does_not_know_is_told_to_the_sysadmin(self, simulator, tmp_path):
        stranger, _ = _keys(tmp_path)
        adapter = self.build({"url": simulator.url, "pdnd": asked_of(simulator.url, key=stranger)})
        assert list(adapter.check()) == []
        done = attempt(adapter, "verifica-regolarita", DOMANDA)
        adapter.close()
        assert isinstance(done.error, Unreachable)
        assert done.error.locked_out
        assert done.error.sentence == "PDND gives no voucher: HTTP 400: 015-0001 the client assertion is not valid"

    @pytest.mark.parametrize("content", [None, "", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    def test_a_key_that_cannot_be_read_is_said_before_and_when_it_is_needed(self, simulator, tmp_path, content):
        file = tmp_path / "chiave.pem"
        if content is not None:
            file.write_text(content)
        adapter = self.build({"url": simulator.url, "pdnd": asked_of(simulator.url, key=str(file))})
        [said] = adapter.check()
        assert (isinstance(said, Caution), said.startswith("pdnd.key: no private RSA key can be read there: ")) == (True, True)
        done = attempt(adapter, "verifica-regolarita", DOMANDA)
        adapter.close()
        assert (type(done.error), done.error.locked_out, done.ctx.exchanges) == (Unreachable, True, [])

    def test_a_system_described_in_the_settings_has_vouchers_too(self, simulator):
        settings = {
            "url": simulator.url, "pdnd": asked_of(simulator.url),
            "operations": {"verifica": {
                "method": "POST", "path": "/regolarita/verifica", "effect": "read",
                "request": {"type": "object", "properties": {"codice_fiscale": {"type": "string"}}, "required": ["codice_fiscale"]},
                "answer": {"type": "object", "properties": {"regolare": {"type": "boolean"}}, "required": ["regolare"]},
            }},
        }  # fmt: skip
        adapter = Rest("altri", Rest.Settings.model_validate(settings))
        answer, _ = call(adapter, "verifica", DOMANDA)
        adapter.close()
        assert answer.regolare
        with pytest.raises(ValidationError, match="both say Authorization"):
            Rest.Settings.model_validate({**settings, "headers": {"authorization": "Bearer x"}})

    def test_a_voucher_is_said_once(self):
        with pytest.raises(ValidationError, match="leave one of them out"):
            Esterni.Settings.model_validate({"url": "https://a.example", "voucher": "x", "pdnd": asked_of("https://b.example")})


WANTED = "https://modipa.comune.example/rest/in/Altri/C001-servizio/v1"
SIGNED = {"e_service": WANTED, "integrity": True, "audit": {"location": "sportello-1", "loa": "LOA3"}}


class TestEserviceThatWantsSignatures(Eservice):
    """AUDIT_REST_02 and INTEGRITY_REST_02: each call with a voucher of its own, bound to what says for which message we ask."""

    adapter_class = Esterni
    arguments = (*TestEserviceBehindPdnd.arguments, "--e-service", WANTED)
    secrets = (PRIVATE,)

    @classmethod
    def settings(cls, url, facts):
        return {"url": url, "pdnd": asked_of(url, **SIGNED)}

    test_a_voucher_that_is_not_valid_is_refused = None

    def test_who_asks_is_said_of_each_message_by_its_id(self, adapter, simulator):
        before = len(simulator.ledger("voucher"))
        done, _ = (attempt(adapter, "verifica-regolarita", DOMANDA) for _ in range(2))
        first, second = (one["detail"] for one in simulator.ledger("evidence")[-2:])
        assert {name: first[name] for name in ("aud", "iss", "purposeId", "userID", "userLocation", "LoA")} == {
            "aud": WANTED, "iss": CLIENT, "purposeId": PURPOSE, "userID": done.ctx.message_id, "userLocation": "sportello-1", "LoA": "LOA3",
        }  # fmt: skip
        assert (first["jti"] != second["jti"], first["dnonce"] != second["dnonce"]) == (True, True)
        assert len(simulator.ledger("voucher")) == before + 2

    def test_what_was_said_is_kept_without_its_signature(self, adapter):
        done = attempt(adapter, "verifica-regolarita", DOMANDA)
        [kept] = [one for one in done.ctx.exchanges if one.note == "Agid-JWT-TrackingEvidence"]
        head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in kept.content.decode().split("."))
        assert (head["kid"], claims["userID"]) == (KID, done.ctx.message_id)

    def test_a_user_that_is_the_same_for_all_needs_one_voucher(self, simulator):
        settings = {**SIGNED, "audit": {"user": "sportello", **SIGNED["audit"]}}
        adapter = self.build({"url": simulator.url, "pdnd": asked_of(simulator.url, **settings)})
        before = len(simulator.ledger("voucher"))
        for _ in range(3):
            call(adapter, "verifica-regolarita", DOMANDA)
        adapter.close()
        assert len(simulator.ledger("voucher")) == before + 1
        assert {one["detail"]["userID"] for one in simulator.ledger("evidence")[-3:]} == {"sportello"}

    def test_what_is_signed_for_another_service_is_refused(self, simulator):
        adapter = self.build({"url": simulator.url, "pdnd": asked_of(simulator.url, **{**SIGNED, "e_service": ""})})
        refused = attempt(adapter, "verifica-regolarita", DOMANDA).error
        adapter.close()
        assert (type(refused), refused.evidence["code"]) == (Refused, "FIRMA_PER_ALTRI")

    def test_a_voucher_for_one_call_that_is_not_taken_is_told_to_the_sysadmin(self, simulator):
        with (
            peer(http(401)) as (url, _),
            closing(
                Esterni("esterni", Esterni.Settings.model_validate({"url": url, "pdnd": asked_of(simulator.url, **SIGNED)}))
            ) as adapter,
        ):
            refused = attempt(adapter, "verifica-regolarita", DOMANDA).error
        assert (type(refused), refused.outside_code, refused.locked_out) == (Refused, "HTTP_401", True)


def test_what_has_no_body_is_not_signed(tmp_path):
    ctx = Call(key="0" * 64, timeout=10, now=dt.datetime.now(dt.UTC), message_id="m")
    with start("adapters.esterni.simulator", tmp_path, "--pdnd-key", PUBLIC) as simulator:
        vouchers = Pdnd.model_validate(asked_of(simulator.url, **SIGNED)).tokens(simulator.url, None)
        assert vouchers.headers(ctx).keys() == {"Authorization", "Agid-JWT-TrackingEvidence"}
        assert vouchers.headers(ctx, b"{}", "application/json").keys() == {
            "Authorization", "Agid-JWT-TrackingEvidence", "Digest", "Agid-JWT-Signature",
        }  # fmt: skip


def test_the_digest_is_that_of_the_published_vector():
    """RFC 3230 over the body that ModI's guidelines print; the value that they print beside it is of another one."""
    assert modi.digest(b'{"testo": "Ciao mondo"}') == "SHA-256=hPq3xjgxGMr98LL2/lP2Y66DVCTcXdwL+YpNQD/gmvk="


@pytest.mark.parametrize("signed", [{}, SIGNED])
def test_headers_that_are_signed_are_none_that_rules_must_give(tmp_path, signed):
    names = ["Agid-JWT-Signature", "Agid-JWT-TrackingEvidence", "Digest"]
    asked = [{"in": "header", "name": name, "required": True, "schema": {"type": "string"}} for name in names]
    (tmp_path / "c.json").write_text(
        json.dumps({"openapi": "3.0.3", "paths": {"/x": {"post": {"parameters": asked, "responses": {"200": {}}}}}})
    )
    settings = {
        "url": "http://127.0.0.1:1", "openapi": str(tmp_path / "c.json"), "pdnd": asked_of("http://127.0.0.1:1", **signed),
        "operations": {"x": {"method": "POST", "path": "/x", "effect": "read"}},
    }  # fmt: skip
    with closing(Rest("x", Rest.Settings.model_validate(settings))) as adapter:
        assert adapter.operations["x"].request.model_json_schema()["required"] == ([] if signed else names)


def test_a_voucher_is_renewed_before_its_end(tmp_path, monkeypatch):
    clock = [1000.0]
    with start("adapters.esterni.simulator", tmp_path, "--pdnd-key", PUBLIC, "--lasts", "600") as simulator:
        vouchers = Pdnd.model_validate(asked_of(simulator.url)).tokens(simulator.url, None)
        monkeypatch.setattr(tokens, "_now", lambda: clock[0])
        given = set()
        for moment in (1000, 1500, 1539, 1541, 2000):
            clock[0] = moment
            ctx = Call(key="0" * 64, timeout=10, now=dt.datetime.now(dt.UTC))
            given.add(vouchers.headers(ctx)["Authorization"])
        assert len(given) == len(simulator.ledger("voucher")) == 2
