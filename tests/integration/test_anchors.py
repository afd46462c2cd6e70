"""Anchors: a real witness, a real time-stamping authority and the protocol register vouch for the checkpoints of a real bus."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import closing, contextmanager
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bus import config, figures
from bus.anchors import outside
from bus.cli import main
from bus.config import WitnessAt
from bus.diagnostics import configure
from bus.engine.sequencer import LEASE
from bus.errors import EvidenceError, Interrupted, Refused, Unreachable
from bus.log import note as notes
from bus.log import timestamp
from bus.log.checkpoint import cosigned
from bus.log.note import COSIGNATURE, Signer
from bus.log.stored import StoredTree
from bus.log.verify import Trust, verify
from bus.network import Proxy
from bus.testing.patience import until
from tests.contract.forward_proxy import ForwardProxy
from tests.contract.tls_peer import peer, self_signed, server_side
from tests.integration.anchoring import ORIGIN, bus
from tests.small_bus import write
from tests.tsa import Authority

WITNESS = Signer.new("testimone.example/t1", COSIGNATURE)


@contextmanager
def witness(folder, key: str):
    """`bus witness serve` for a log with that public key; gives its address."""
    folder.mkdir(exist_ok=True)
    (folder / "memory").mkdir(exist_ok=True)
    (folder / "key").write_text(WITNESS.secret())
    (folder / "key").chmod(0o600)
    settings = {"key": "key", "memory": "memory", "port": 0, "logs": [{"origin": ORIGIN, "keys": [key]}]}
    (folder / "witness.yaml").write_text(json.dumps(settings))
    assert main(["witness", "begin", "--config", str(folder / "witness.yaml")]) == 0
    command = [sys.executable, "-m", "bus.cli", "witness", "serve", "--config", str(folder / "witness.yaml"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def at(url: str) -> WitnessAt:
    return WitnessAt(url=url, key=str(WITNESS.verifier))


def test_a_witness_cosigns_what_the_bus_seals_and_the_auditor_sees_it(tmp_path):
    with bus(tmp_path / "uno") as first:
        key = str(first.key())
    with witness(tmp_path / "witness", key) as url, bus(tmp_path / "uno", witnesses=[{"url": url, "key": str(WITNESS.verifier)}]) as one:
        for count in (3, 1, 20):
            size = one.add(count)
            [standing] = one.app.anchoring.turn()
            assert (standing.size, standing.late) == (size, False)
            [row] = one.anchors()
            assert cosigned(notes.parse(row["evidence"]), [WITNESS.verifier])
            assert notes.parse(row["evidence"]).text == notes.parse(one.newest().note).text
        one.app.anchoring.turn()  # nothing new: nobody is asked
        assert len(one.anchors()) == 1
        report = verify(one.app.store.read, Trust((one.key(),), (WITNESS.verifier,)))
        assert report.cosigned[WITNESS.verifier.name][0] == size
        # A store that knows nothing of the witness asks from 0, hears where it is, and goes on from there.
        assert outside.cosign(at(url), notes.parse(one.newest().note), 0, lambda old: _proof(one, old, size))


@pytest.mark.parametrize("secret", ["", "una:chi@v€"])
def test_a_witness_and_an_authority_behind_a_forward_proxy(tmp_path, authority, capfd, secret):
    said = base64.b64encode(f"snodo:{secret}".encode()).decode() if secret else ""
    with bus(tmp_path / "uno") as first:
        key = str(first.key())
    with ForwardProxy(user=said) as proxy, witness(tmp_path / "witness", key) as url:
        way = {"url": proxy.url, "user": "snodo", "password": secret} if secret else proxy.url
        witnesses = [{"url": url, "key": str(WITNESS.verifier), "proxy": way}]
        stamps = {"url": authority.url, "ca": str(authority.root), "proxy": way}
        with bus(tmp_path / "uno", witnesses=witnesses, timestamps=stamps) as one:
            size = one.add(3)
            assert [(standing.size, standing.late) for standing in one.app.anchoring.turn()] == [(size, False)] * 2
            path = one.path
            assert "chi@v" not in repr(one.app.config)
        assert [line.split()[1].decode().rstrip("/") for line in proxy.asked] == [f"{url}/add-checkpoint", authority.url.rstrip("/")]
        assert doctor(path, capfd, "doctor.address") == [
            ("ok", f"the proxy of witness {WITNESS.verifier.name} takes connections"),
            ("ok", "the proxy of the time-stamping authority takes connections"),
        ]
        assert outside.heads(config.load(path).anchors.witnesses, ORIGIN)[WITNESS.verifier.name].size == size


def test_proxies_and_passwords_of_the_environment_are_not_for_anchors(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login snodo password geheim1\n")
    for name, value in {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NETRC": str(tmp_path / "netrc")}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ForwardProxy(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as authority, pytest.raises(Refused, match="403"):
        outside.stamp(authority.url, b"x", b"")
    assert b"authorization" not in authority.asked[0].lower()


def test_a_witness_is_trusted_as_this_machine_trusts(monkeypatch, tmp_path):
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])

    def refuses(connection):
        with server_side(connection, certificate) as secured:
            asked = b""
            while not asked.partition(b"\r\n\r\n")[2]:
                asked += secured.recv(4096)
            secured.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with peer(refuses) as port, pytest.raises(Refused, match="403"):
        outside.stamp(f"https://127.0.0.1:{port}/tsa", b"x", b"")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"])
def test_a_forward_proxy_that_lets_nothing_through(answer):
    with ForwardProxy(answer=answer or b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as door:
        proxy = Proxy(url=door.url, user="snodo", password="è:chi@v€")
        with pytest.raises(Unreachable, match="proxy") as caught:
            outside.stamp("https://marche.example/tsa", b"x", b"", proxy)
        assert door.asked[0].startswith(b"CONNECT marche.example:443 ")
        assert base64.b64encode("snodo:è:chi@v€".encode()) in door.asked[0]
        assert "chi" not in str(caught.value)


def _proof(one, old, size):
    with one.app.store.read() as tx:
        return StoredTree(tx).consistency(old, size)


def test_a_log_that_was_rolled_back_or_forked_gets_no_cosignature(tmp_path, capfd):
    with bus(tmp_path / "uno") as first:
        key, secret = str(first.key()), (tmp_path / "uno/var/log.key").read_text()
        first.add(5)
    with witness(tmp_path / "witness", key) as url:
        settings = {"witnesses": [{"url": url, "key": str(WITNESS.verifier)}]}
        with bus(tmp_path / "uno", **settings) as one:
            size = one.add(9)
            one.app.anchoring.turn()
        (tmp_path / "due/var").mkdir(parents=True)
        (tmp_path / "due/var/log.key").write_text(secret)
        (tmp_path / "due/var/log.key").chmod(0o600)
        with bus(tmp_path / "due", **settings) as other:  # the same key, another history
            other.add(2)
            with pytest.raises(Refused, match="the log was rolled back") as caught:
                outside.cosign(at(url), notes.parse(other.newest().note), 0, lambda old: [])
            assert caught.value.outside_code == "WITNESS_AHEAD"
            other.add(size + 3)
            assert other.app.anchoring.turn()[0].size == 0
            assert other.anchors() == []
    assert "does not follow from the one" in capfd.readouterr().err


def test_a_restored_backup_is_told_at_the_first_look_by_the_doctor_and_after_it_has_outgrown_what_the_witness_saw(tmp_path, capfd):
    with bus(tmp_path / "uno") as first:
        key = str(first.key())
    database, backup = tmp_path / "uno/var/snodo.db", tmp_path / "backup.db"
    with witness(tmp_path / "witness", key) as url:
        settings = {"witnesses": [{"url": url, "key": str(WITNESS.verifier)}]}
        with bus(tmp_path / "uno", **settings) as one:
            kept = one.add(3)
            one.app.anchoring.turn()
            with closing(sqlite3.connect(database)) as raw:
                raw.execute("VACUUM INTO ?", (str(backup),))
            lost = one.add(5)
            one.app.anchoring.turn()
        assert ("ok", f"witness {WITNESS.verifier.name}: {lost} records") in doctor(one.path, capfd)
        for path in database.parent.glob("snodo.db*"):
            path.unlink()
        backup.rename(database)
        said = f"the witness {WITNESS.verifier.name} has cosigned {lost} records of this log, which has {kept}: the log was rolled back"
        assert ("wrong", said) in doctor(one.path, capfd)
        with bus(tmp_path / "uno", **settings) as one:
            one.app.anchoring.turn()  # the log has nothing that its own witness had not cosigned
            [line] = told(capfd, "log.rolled-back")
            assert (line["level"], line["sentence"], line["hint"]) == ("error", said, outside.BACK)
            one.clock.ahead = dt.timedelta(seconds=LEASE + 1)  # the backup names who had the duty then
            one.add(20)
            one.app.anchoring.turn()
            [line] = told(capfd, "log.rolled-back")
            assert "has seen another history" in line["sentence"]
        assert ("wrong", f"the witness {WITNESS.verifier.name} has cosigned another history of {lost} records") in doctor(one.path, capfd)
    [remembered] = [path for path in (tmp_path / "witness/memory").iterdir() if path.is_dir()]
    remembered.rename(tmp_path / "of-before")  # as docs/sysadmin/witness.md says, with minutes
    with witness(tmp_path / "witness", key) as url:
        settings = {"witnesses": [{"url": url, "key": str(WITNESS.verifier)}]}
        with bus(tmp_path / "uno", **settings) as one:
            one.clock.ahead = dt.timedelta(seconds=2 * LEASE + 2)
            size = one.add(1)
            one.app.anchoring.turn()
            assert told(capfd, "log.rolled-back") == []
        assert ("ok", f"witness {WITNESS.verifier.name}: {size} records") in doctor(one.path, capfd)
    assert 5 == main(["log", "verify", "--config", str(one.path), "--from-checkpoint", str(tmp_path / "of-before/checkpoint")])


def test_a_witness_that_knows_less_than_it_has_cosigned_is_told_of_and_given_what_it_lacks(tmp_path, capfd):
    with bus(tmp_path / "uno") as first:
        key = str(first.key())
    settings = {"witnesses": [{"url": "", "key": str(WITNESS.verifier)}]}
    sizes, kept, heard = [], [], []
    for turn in range(4):
        with witness(tmp_path / "witness", key) as url:
            settings["witnesses"][0]["url"] = url
            with bus(tmp_path / "uno", **settings) as one:
                one.clock.ahead = turn * dt.timedelta(seconds=LEASE + 1)
                sizes.append(one.add(4))
                one.app.anchoring.turn()
                assert len(one.anchors()) == 1
        heard.append([(line["size"], line["known"]) for line in told(capfd, "witness.forgot")])
        [last] = (tmp_path / "witness/memory").glob("*/checkpoint")
        kept.append(last.read_bytes())
        if turn == 1:
            last.write_bytes(kept[0])
    assert heard == [[], [], [(sizes[0], sizes[1])], []]


def doctor(path, capfd, code: str = "doctor.anchors") -> list[tuple[str, str]]:
    """What it says of the anchors: level and sentence."""
    capfd.readouterr()
    main(["doctor", "--config", str(path), "--json"])
    checks = json.loads(capfd.readouterr().out)["checks"]
    return [(check["level"], check["what"]) for check in checks if check["code"] == code]


def test_those_who_vouch_for_the_log_are_looked_for_before_the_first_start(tmp_path, authority, capfd):
    dead = {"url": "http://127.0.0.1:9/", "key": str(WITNESS.verifier)}
    path = write(
        tmp_path, log={"origin": ORIGIN}, anchors={"witnesses": [dead], "timestamps": {"url": authority.url, "ca": str(authority.root)}}
    )
    assert doctor(path, capfd, "doctor.address") == [
        ("warning", f"witness {WITNESS.verifier.name} cannot be reached: Connection refused"),
        ("ok", "the time-stamping authority takes connections"),
    ]
    assert doctor(path, capfd, "doctor.authority") == []


@pytest.mark.parametrize(
    ("content", "said"), [(None, "anchors.timestamps.ca cannot be read: "), (b"nothing", "no certificate of an authority is in its file")]
)
def test_a_root_by_which_no_stamp_could_be_verified_is_told_before_the_first_start(tmp_path, capfd, content, said):
    """Else the first that anybody hears of it is a checkpoint without a stamp, hours later."""
    root = tmp_path / "root.pem"
    if content is not None:
        root.write_bytes(content)
    path = write(tmp_path, anchors={"timestamps": {"url": "http://127.0.0.1:9/", "ca": str(root)}})
    [(level, sentence)] = doctor(path, capfd, "doctor.authority")
    assert (level, sentence.startswith(said)) == ("wrong", True)


@pytest.mark.parametrize(("days", "level"), [(40, None), (20, "warning"), (-1, "wrong")])
def test_a_root_that_expires_is_told_before_no_stamp_holds_any_more(tmp_path, authority, capfd, days, level):
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days)
    name, key = x509.Name([]), ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, until - dt.timedelta(400), until).sign(key, hashes.SHA256())
    root = tmp_path / "root.pem"
    root.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path = write(tmp_path, anchors={"timestamps": {"url": authority.url, "ca": str(root)}})
    said = f"the last certificate in anchors.timestamps.ca is good until {until:%Y-%m-%d}"
    assert doctor(path, capfd, "doctor.authority") == ([(level, said)] if level else [])


def told(capfd, event: str) -> list[dict]:
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_the_first_question_to_a_witness_waits_for_nothing(tmp_path, monkeypatch):
    """Whoever starts upon a log that was rolled back hears of it at once."""
    turned = threading.Event()
    with bus(tmp_path / "uno", every=3600) as one:
        monkeypatch.setattr(one.app.anchoring, "turn", turned.set)
        one.app.anchoring.start()
        assert turned.wait(60)


def test_a_time_stamp_is_verified_before_it_is_kept_and_openssl_agrees(tmp_path, authority):
    with bus(tmp_path / "uno", timestamps={"url": authority.url, "ca": str(authority.root), "every": 100}) as one:
        one.add(3)
        assert one.app.anchoring.turn()[0].size == one.newest().size
        [row] = one.anchors()
        assert "Verification: OK" in authority.says(one.newest().note, row["evidence"])
        stamped = timestamp.verified(row["evidence"], one.newest().note, authority.root.read_bytes())
        assert abs(stamped - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=30)
        before = authority.asked
        one.add(1)
        one.app.anchoring.turn()
        assert authority.asked == before, "not before its time"
        one.clock.ahead = dt.timedelta(seconds=101)
        one.app.anchoring.turn()
        assert authority.asked == before + 1


def test_a_time_stamp_that_does_not_name_its_certificate_is_refused(authority, monkeypatch):
    """RFC 3161 wants it signed; rfc3161-client does not look, OpenSSL does."""
    stamped, root = b"un sigillo\n", authority.root.read_bytes()
    asked = timestamp.ask(stamped)
    answer = authority.anonymous(asked.content)
    assert "Verification: OK" not in authority.says(stamped, answer)
    with pytest.raises(EvidenceError, match="ESSCertID"):
        timestamp.verified(answer, stamped, root, asked)
    settings = (authority.folder / "openssl.cnf").read_text("utf-8")
    for algorithm in ("sha1", "sha256", "sha512"):  # the first is a SigningCertificate, the others are of version 2
        (authority.folder / "openssl.cnf").write_text(settings.replace("ess_cert_id_alg = sha256", f"ess_cert_id_alg = {algorithm}"))
        good = authority.stamp(asked.content)
        assert timestamp.verified(good, stamped, root, asked)
        assert "Verification: OK" in authority.says(stamped, good)
    (authority.folder / "openssl.cnf").write_text(settings)
    monkeypatch.setattr(timestamp, "_names_its_certificate", lambda _: None)
    assert timestamp.verified(answer, stamped, root, asked), "nothing else is wrong with it"


def test_a_time_stamp_over_something_else_or_by_somebody_else_is_refused(tmp_path, authority):
    stamped, other = b"un sigillo\n", b"un altro\n"
    answer, _ = outside.stamp(authority.url, stamped, authority.root.read_bytes())
    with closing(Authority(tmp_path / "stranger", "straniera")) as stranger:
        wrong = [
            lambda: timestamp.verified(answer, other, authority.root.read_bytes()),
            lambda: timestamp.verified(answer, stamped, stranger.root.read_bytes()),
            lambda: timestamp.verified(answer[:-40] + bytes(40), stamped, authority.root.read_bytes()),
            lambda: timestamp.verified(b"", stamped, authority.root.read_bytes()),
            lambda: timestamp.verified(bytes(200_000), stamped, authority.root.read_bytes()),
            lambda: outside.stamp(stranger.url, stamped, authority.root.read_bytes()),
            # The answer to another request over the same bytes: its nonce is not ours.
            lambda: timestamp.verified(answer, stamped, authority.root.read_bytes(), timestamp.ask(stamped)),
        ]
        for attempt in wrong:
            with pytest.raises(EvidenceError) as caught:
                attempt()
            assert caught.value.code == "evidence.timestamp"
    authority.answer = lambda _: b""
    try:
        with pytest.raises(Refused, match="answered 500"):
            outside.stamp(authority.url, stamped, authority.root.read_bytes())
    finally:
        authority.answer = authority.stamp
    with pytest.raises(Unreachable):
        outside.stamp("http://127.0.0.1:9/", stamped, authority.root.read_bytes())


def test_a_certificate_must_be_good_when_it_stamps_and_may_expire_afterwards(tmp_path):
    with closing(Authority(tmp_path / "own")) as own:
        until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=8)
        own.certified(30, until)
        answer, _ = outside.stamp(own.url, b"x", own.root.read_bytes())
        time.sleep(max((until - dt.datetime.now(dt.UTC)).total_seconds(), 0) + 1.1)  # its times are whole seconds
        assert timestamp.verified(answer, b"x", own.root.read_bytes()) <= until
        with pytest.raises(EvidenceError, match="expired"):
            outside.stamp(own.url, b"x", own.root.read_bytes())


@pytest.mark.parametrize("hours", [-1.2, 1.2])
def test_a_time_stamp_of_another_time_than_ours_is_not_kept(tmp_path, authority, hours):
    """Signed by an authority that we trust, over our bytes, with our nonce: one of the clocks is wrong, and which is for a person to say."""
    with bus(tmp_path / "uno", timestamps={"url": authority.url, "ca": str(authority.root), "every": 1}) as one:
        one.add(3)
        one.clock.ahead = dt.timedelta(hours=hours)
        before = authority.asked
        assert one.app.anchoring.turn()[0].size == 0
        assert (authority.asked, one.anchors()) == (before + 1, [])
        one.clock.ahead = dt.timedelta(hours=0.8 * hours / abs(hours))
        assert one.app.anchoring.turn()[0].size == one.newest().size


@pytest.mark.parametrize("time", [0, 4_102_444_800, 1 << 50])
def test_a_cosignature_of_another_time_than_ours_is_not_kept(tmp_path, capfd, time):
    """It would tell auditors for ever that these records were seen in 1970, or in 2100: the clock of the witness counts in milliseconds, say."""
    with bus(tmp_path / "uno") as one:
        one.add(3)
        line = refused(one, WITNESS.sign(notes.parse(one.newest().note).text, time), capfd)
        assert "one of the clocks is wrong" in line["hint"]


def test_a_cosignature_of_no_time_at_all_is_shown_by_verify(tmp_path, capsys):
    """It stands in a database of before such ones were refused; its signature is good, so that is no fault of the log."""
    with bus(tmp_path / "uno") as one:
        one.add(3)
        newest = one.newest()
        evidence = notes.parse(newest.note).signed(WITNESS.sign(notes.parse(newest.note).text, 1 << 50)).encode()
        one.app.anchoring._keep("witness", WITNESS.verifier.name, newest.size, evidence)
        url = one.app.config.store.url
    capsys.readouterr()
    assert main(["log", "verify", "--store", url, "--witness-key", str(WITNESS.verifier)]) == 0
    assert f"at {1 << 50:,} seconds after 1970" in capsys.readouterr().out


def test_an_anchor_that_is_late_is_told_by_log_metrics_and_doctor_and_holds_up_no_other(tmp_path, authority, capfd):
    dead = {"url": "http://127.0.0.1:9/", "key": str(WITNESS.verifier)}
    stamps = {"url": authority.url, "ca": str(authority.root)}
    with bus(tmp_path / "uno", witnesses=[dead], timestamps=stamps, late=600) as one:
        one.add(3)
        assert [standing.late for standing in one.app.anchoring.turn()] == [False, False]
        assert "anchor.late" not in capfd.readouterr().err
        one.clock.ahead = dt.timedelta(seconds=601)
        late, stamped = one.app.anchoring.turn()
        assert (late.late, late.size, stamped.late, stamped.size) == (True, 0, False, one.newest().size)
        one.app.anchoring.turn()
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "anchor.late" in line]
        assert [(line["name"], line["seconds"] > 600) for line in lines] == [(WITNESS.verifier.name, True)], "once an hour"
        shown = {figure.name: figure.values for figure in figures.of(one.app)}
        assert shown["snodo_anchor_late"] == {f"witness {WITNESS.verifier.name}": 1.0, f"timestamp {authority.url}": 0.0}
        assert [(shown_one["name"], shown_one["late"]) for shown_one in one.app.status()["anchors"]] == [
            (WITNESS.verifier.name, True),
            (authority.url, False),
        ]
        assert shown["snodo_anchor_behind_seconds"][f"witness {WITNESS.verifier.name}"] > 600
    capfd.readouterr()
    write(tmp_path / "uno", log={"origin": ORIGIN}, anchors={"witnesses": [dead], "late": 0.001})
    main(["doctor", "--config", str(one.path), "--json"])
    said = [check for check in json.loads(capfd.readouterr().out)["checks"] if check["code"] == "doctor.anchors"]
    assert [(check["level"], "behind" in check["what"]) for check in said] == [("warning", True)]


def test_what_fails_at_every_look_is_told_once_and_every_hour_and_that_it_is_over(tmp_path, monkeypatch, capfd):
    looks = 0

    def fails(made):
        def cosign(*asked):
            nonlocal looks
            looks += 1
            raise made(f"look {looks}")

        return cosign

    def heard() -> list[str]:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
        return [line["event"] for line in lines if line["event"].startswith(("anchor.", "log."))]

    with bus(tmp_path / "uno", witnesses=[{"url": "http://127.0.0.1:9/", "key": str(WITNESS.verifier)}]) as one:
        one.add()
        configure("warning")
        turn = one.app.anchoring.turn
        for made, event in ((Unreachable, "anchor.failed"), (partial(Refused, outside_code="WITNESS_AHEAD"), "log.rolled-back")):
            with monkeypatch.context() as at:
                at.setattr(outside, "cosign", fails(made))
                for _ in range(3):
                    turn()
                assert heard() == [event]
                one.clock.ahead += dt.timedelta(hours=1, seconds=1)
                turn()
                assert heard() == [event, "anchor.late"]
        monkeypatch.setattr(one.app.anchoring, "_witness", lambda *asked: None)
        for _ in range(2):
            turn()
        assert heard() == ["anchor.goes-on"]


def test_a_database_that_is_away_is_told_in_a_line_and_not_by_a_traceback(tmp_path, capfd, monkeypatch):
    def away(*asked):
        raise Interrupted("the database gave no lock in time")

    with bus(tmp_path / "uno", every=0.01) as one:
        configure("warning")
        monkeypatch.setattr(one.app.anchoring._leases, "take", away)
        said: list[dict] = []
        one.app.anchoring.start()
        until(lambda: said.extend(told(capfd, "anchor.failed")) or said, "it is told")
    [line] = said
    assert (line["code"], line["sentence"], "exception" in line) == ("store.interrupted", "the database gave no lock in time", False)


@pytest.mark.parametrize("signs", ["another checkpoint", "with another key of its name", "with the key of the log"])
def test_a_witness_that_signs_something_else_or_with_another_key_is_not_believed(tmp_path, capfd, signs):
    with bus(tmp_path / "uno") as one:
        one.add(3)
        text, key = notes.parse(one.newest().note).text, one.app.sequencer._signers[0]
        lies = {
            "another checkpoint": WITNESS.sign(text.replace(ORIGIN, ORIGIN + "2"), 1_800_000_000),
            "with another key of its name": Signer.new(WITNESS.verifier.name, COSIGNATURE).sign(text, 1_800_000_000),
            "with the key of the log": key.sign(text),
        }
        assert "gave no good signature of its key" in refused(one, lies[signs], capfd)["sentence"]


def refused(one, signature, capfd):
    """What is told of a witness that gives this signature, which is not kept."""
    said = signature.line().encode()
    with answering([HEAD + b"Content-Length: %d\r\n\r\n" % len(said) + said]) as url:
        settings = at(url)
        one.app.anchoring._settings = one.app.config.anchors.model_copy(update={"witnesses": (settings,)})
        configure("warning")
        assert one.app.anchoring.turn()[0].size == 0
    assert one.anchors() == []
    [line] = told(capfd, "anchor.failed")
    return line


@pytest.mark.parametrize("said", [b"409 Conflict\r\nContent-Length: 7\r\n\r\n999999\n", b"422 No\r\nContent-Length: 3\r\n\r\nno\n"])
def test_a_no_that_nobody_signed_on_a_line_without_tls_is_not_told_as_a_log_that_was_rolled_back(said, tmp_path, capfd):
    """The alarm stops a municipality: whoever stands between could raise it."""
    with bus(tmp_path / "uno") as one, answering([b"HTTP/1.1 " + said]) as url:
        one.add(3)
        settings = at(url)
        one.app.anchoring._settings = one.app.config.anchors.model_copy(update={"witnesses": (settings,)})
        configure("warning")
        one.app.anchoring.turn()
        [line] = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "rolled" in line]
    assert (line["event"], line["level"], line["hint"]) == ("anchor.failed", "warning", outside.UNSIGNED)
    assert line["sentence"].endswith("the log was rolled back; nobody has signed that") or "or forked; nobody has" in line["sentence"]


HEAD = b"HTTP/1.1 200 OK\r\n"
BROKEN = {
    "nothing": b"", "no http": b"\0\xff" * 50, "breaks off": HEAD + b"Content-Length: 9\r\n\r\nabc", "too large": HEAD + b"\r\n" + bytes(100_001),
    "no chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "no gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
}  # fmt: skip


@contextmanager
def answering(pieces: Iterable[bytes], every: float = 0.0):
    """Somebody who answers each question with these bytes."""

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(every)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                answer(listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_broken_is_no_answer_and_holds_up_no_other(said, tmp_path, authority):
    with answering([said]) as url:
        witnesses, stamps = [{"url": url, "key": str(WITNESS.verifier)}], {"url": authority.url, "ca": str(authority.root)}
        with bus(tmp_path / "uno", witnesses=witnesses, timestamps=stamps, late=600) as one:
            one.add(3)
            one.clock.ahead = dt.timedelta(seconds=601)
            late, stamped = one.app.anchoring.turn()
            assert (late.late, stamped.late) == (True, False)
        with pytest.raises((Unreachable, Refused)):
            outside.stamp(url, b"x", b"")
        assert outside.heads(config.load(one.path).anchors.witnesses, ORIGIN) == {}


@pytest.mark.parametrize(
    "begun", [HEAD + b"Content-Length: 100\r\n\r\n", HEAD + b"\r\n", HEAD + b"X-Slow: ", b""], ids=["body", "no length", "head", "status"]
)
def test_an_answer_that_drips_has_an_end_wherever_it_does(monkeypatch, begun):
    monkeypatch.setattr(outside, "LONGEST", 0.2)
    with answering([begun, *[b"a"] * 40], every=0.05) as url, pytest.raises(Unreachable, match="not whole"):
        outside.stamp(url, b"x", b"")


def test_a_handshake_of_tls_that_drips_has_an_end(monkeypatch):
    monkeypatch.setattr(
        outside, "LONGEST", 1.0
    )  # a busy machine may take 0.2 s to begin: a line cut then leaks its socket (CPython, `SSLSocket._create`)
    begun = time.monotonic()
    with answering([b"\x16\x03\x03\x40\x00", *[b"a"] * 1200], every=0.05) as url, pytest.raises(Unreachable, match="not whole"):
        outside.stamp(url.replace("http:", "https:"), b"x", b"")
    assert time.monotonic() - begun < 40, "it goes on for a minute"


def test_whatever_one_anchor_meets_the_others_are_asked_and_who_is_late_is_told(tmp_path, authority, monkeypatch):
    def broken(*_):
        raise RuntimeError

    monkeypatch.setattr(outside, "cosign", broken)
    witnesses, stamps = [{"url": "http://127.0.0.1:9/", "key": str(WITNESS.verifier)}], {"url": authority.url, "ca": str(authority.root)}
    with bus(tmp_path / "uno", witnesses=witnesses, timestamps=stamps, late=600) as one:
        one.add(3)
        one.clock.ahead = dt.timedelta(seconds=601)
        assert [standing.late for standing in one.app.anchoring.turn()] == [True, False]
