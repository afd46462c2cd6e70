"""Settings that would let somebody be taken for another are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from adapters.notifiche.adapter import Notifiche
from adapters.rest import Rest
from adapters.sql import Sql
from bus import config
from bus.cli.rules import offered
from bus.errors import ConfigError
from bus.log.note import COSIGNATURE, Signer
from bus.systems import adapters_of, check_settings
from tests.small_bus import settings
from tests.unit.pagopa_settings import SETTINGS as PAGOPA


def loaded(folder: Path, *, secrets: bool = True, **changes: Any) -> config.Config:
    """The settings as they are read from a file."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(settings(**changes)), "utf-8")
    return config.load(path, secrets=secrets)


def test_nobody_has_the_key_of_somebody_else(tmp_path: Path) -> None:
    """The log would have named the one that stands last, with its role."""

    def said(*keys: tuple[str, str]) -> str:
        given = settings(keys=[{"name": name, "role": "portal", "sha256": digest * 64} for name, digest in keys])
        with pytest.raises(ConfigError) as refused:
            config.parse(given, tmp_path / "config.yaml")
        return refused.value.sentence

    assert "keys of sue and suap are the same key: make one for each (bus keys new)" in said(("sue", "0"), ("suap", "0"))
    assert "keys of sue and sue are the same key" in said(("sue", "0"), ("sue", "0"))
    with pytest.raises(ConfigError, match="make one for each") as refused:  # at its place, and what `keys` is for is no remedy of it
        loaded(tmp_path, keys=[{"name": name, "role": "portal", "sha256": "0" * 64} for name in ("sue", "suap")])
    assert "hint:" not in refused.value.sentence
    unread = [{"name": name, "role": "portal", "sha256": {"env": "SNODO_UNSET"}} for name in ("sue", "suap")]
    config.parse(settings(keys=unread), tmp_path / "config.yaml", secrets=False)


@pytest.mark.parametrize(
    "wrong",
    [{"engine": {name: 3601}} for name in ("lease", "sweep", "stop")]
    + [{"engine": {"circuit": {name: 86_401}}} for name in ("pause", "longest")]
    + [{"log": {"promise": 1e12}}, {"anchors": {"every": 1e12}}],
)
def test_seconds_that_were_meant_as_milliseconds_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """With `lease: 1e12` messages were taken, and none was ever worked: the end of the lease was no date."""
    with pytest.raises(ConfigError, match="may be at most"):
        config.parse(settings(**wrong), tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bus", "keys.0.name may not be bus: what the bus sends by itself has that sender"),
        ("pagopa", "adapters may not hold pagopa: an API key has that name and would send as that system; give the key another one"),
    ],
)
def test_no_api_key_has_the_name_of_a_system_or_of_the_bus(name: str, said: str) -> None:
    own = {**settings()["keys"][0], "name": name}
    with pytest.raises(ConfigError) as told:
        config.parse(settings(keys=[own], adapters={"pagopa": {"use": "pagopa"}}), Path("config.yaml"))
    assert (told.value.code, str(told.value).count(said)) == ("config.invalid", 1)
    config.parse(settings(keys=[{**own, "name": "portale"}], adapters={"pagopa": {"use": "pagopa"}}), Path("config.yaml"))


@pytest.mark.parametrize(
    ("written", "wrong", "place", "said", "hint"),
    [
        ("http:", "htp:", "2:1", "there is no field `htp`", "did you mean http?"),
        ("port: 1", "prot: 1", "2:8", "there is no field `prot`", "did you mean port?"),
        ("port: 1", "port: uno", "2:14", "must be a whole number", ""),
        ("port: 1", "port: true", "2:14", "must be a whole number, not true or false", ""),
        ("port: 1", 'port: "8080"', "2:14", "must be a whole number, not a text", ""),
        ("port: 1", "max_wait: false", "2:18", "must be a number, not true or false", ""),
        ("name: Prova", "nme: Prova", "1:16", "there is no field `nme`", "did you mean name?"),
        ("sha256: x", "sha256: [geheim1]", "3:40", "must be a text", ""),
    ],
)
def test_a_wrong_setting_is_told_at_its_place_with_what_is_meant_and_without_its_line(tmp_path, written, wrong, place, said, hint):
    good = 'organization: {name: Prova, fiscal_code: "00000000000"}\nhttp: {port: 1}\nkeys: [{name: a, role: portal, sha256: x}]\n'
    file = tmp_path / "config.yaml"
    file.write_text(good.replace(written, wrong), "utf-8")
    with pytest.raises(ConfigError) as told:
        config.load(file)
    sentence = told.value.sentence
    assert f"config.yaml:{place}:" in sentence
    assert said in sentence
    assert hint in sentence
    assert "geheim1" not in sentence


@pytest.mark.parametrize(
    ("use", "wrong", "said"),
    [
        ("rest", {"concurrency": True}, "concurrency: must be a whole number from 1 to 256"),
        ("rest", {"concurrency": "4"}, "concurrency: must be a whole number from 1 to 256"),
        ("rest", {"connect_timeout": True}, "connect_timeout must be a number, not true or false"),
        ("rest", {"operations": {"x": {"method": "GET", "path": "/x", "effect": "read", "timeout": "5"}}}, "must be a number, not a text"),
    ],
)
def test_true_and_texts_are_no_numbers_in_the_settings_of_adapters(use: str, wrong: dict[str, Any], said: str) -> None:
    operations = {"x": {"method": "GET", "path": "/x", "effect": "read"}}
    own = {"use": use, "url": "http://127.0.0.1:9", "operations": operations, **wrong}
    read = config.parse(settings(adapters={"archivio": own}), Path("config.yaml"))
    for check in (adapters_of, check_settings):
        with pytest.raises(ConfigError, match=said):
            check(read)


@pytest.mark.parametrize(
    ("written", "place"), [("{env: 12}", "4:21"), ("{env: ''}", "4:21"), ("{file: {env: X}}", "4:22"), ("{file: null}", "4:22")]
)
def test_a_secret_whose_place_has_no_name_is_told_where_it_stands(tmp_path: Path, written: str, place: str) -> None:
    good = 'organization: {name: Prova, fiscal_code: "00000000000"}\nadapters:\n  protocollo:\n    password: %s\n'
    (tmp_path / "config.yaml").write_text(good % written)
    for secrets in (True, False):
        with pytest.raises(ConfigError, match=rf"config.yaml:{place}: `(env|file)` takes the name of a secret's (variable|file), a text"):
            config.load(tmp_path / "config.yaml", secrets=secrets)


@pytest.mark.parametrize("written", ["$SNODO_X", "${SNODO_X}", "'postgresql+psycopg://snodo:${SNODO_X}@db/x'"])
def test_a_variable_of_a_shell_is_no_secret(tmp_path: Path, written: str) -> None:
    good = 'organization: {name: Prova, fiscal_code: "00000000000"}\nadapters:\n  protocollo:\n    password: %s\n'
    (tmp_path / "config.yaml").write_text(good % written)
    with pytest.raises(ConfigError, match=r"config.yaml:4:15: nothing fills in `\$\{?SNODO_X\}?`") as caught:
        config.load(tmp_path / "config.yaml", secrets=False)
    assert caught.value.hint == "write {env: SNODO_X} for the whole value"
    (tmp_path / "config.yaml").write_text(good % "'pa$WORD$'")
    config.load(tmp_path / "config.yaml", secrets=False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"retention": {"payloads": "10 anni"}}, "a whole number and d, w, M or y, such as 24M or 10y"),
        ({"anchors": {"daily": {"at": "9:00"}}}, "a time of day, such as 00:30"),
        ({"http": {"prefix": "snodo"}}, "a path without its host, such as /snodo"),
    ],
)
def test_what_a_pattern_asks_for_is_said_in_words(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"must be written as {said}"):
        config.parse(settings(**wrong), Path("config.yaml"))


def test_schemes_of_an_address_are_told_without_a_pattern() -> None:
    own = {"use": "sql", "url": "postgresql://db.example/x", "queries": {"x": {"sql": "SELECT 1", "effect": "read"}}}
    read = config.parse(settings(adapters={"archivio": own}), Path("config.yaml"))
    with pytest.raises(ConfigError, match=r"url must be written as an address that begins with postgresql\+psycopg:// or sqlite://"):
        check_settings(read)


def test_all_that_is_wrong_in_the_settings_of_adapters_is_told_at_its_place(tmp_path: Path) -> None:
    written = """organization: {name: Prova, fiscal_code: "00000000000"}
adapters:
  archivio:
    use: rest
    urll: http://127.0.0.1:9
    concurrency: zero
    operations: {prova: {method: GET, path: /prova, effect: read}}
  scrivania:
    connect_timeout: presto
    url: http://127.0.0.1:9
    chiave: una-chiave-di-prova
"""
    (tmp_path / "config.yaml").write_text(written)
    read, file = config.load(tmp_path / "config.yaml"), f"{tmp_path}/config.yaml"
    for check in (adapters_of, check_settings):
        with pytest.raises(ConfigError) as told:
            check(read)
        assert told.value.sentence.splitlines() == [
            f"{file}:6:18: adapters.archivio.concurrency: must be a whole number from 1 to 256",
            f"{file}:5:5: adapters.archivio: urll is not one of the fields, did you mean url?",
            f"{file}:9:22: adapters.scrivania: connect_timeout must be a number, not a text",
        ]
    for use, line in (("scrivannia", "  scrivannia: {}"), ("scrivannia", "  altra: {use: scrivannia}")):
        (tmp_path / "config.yaml").write_text(written[: written.index("  archivio")] + line + "\n")
        with pytest.raises(ConfigError, match=rf"config.yaml:3:{3 if 'use' not in line else 16}: there is no adapter '{use}'") as refused:
            adapters_of(config.load(tmp_path / "config.yaml"))
        assert "did you mean scrivania?" in (refused.value.hint or "")
    (tmp_path / "config.yaml").write_text(written[: written.index("  archivio")] + "  mensa: {use: mensa.adapter:Mensa}\n")
    with pytest.raises(ConfigError, match=r"there is no adapter 'mensa\.adapter:Mensa': No module named 'mensa'") as refused:
        adapters_of(config.load(tmp_path / "config.yaml"))
    assert "the folder that holds it in PYTHONPATH" in (refused.value.hint or "")


def test_what_an_adapter_finds_in_its_settings_is_told_at_its_place(tmp_path: Path) -> None:
    written = """organization: {name: Prova, fiscal_code: "00000000000"}
adapters:
  anagrafe: {url: "http://127.0.0.1:9", dialetto: anprx}
  registro: {use: anagrafe, url: "http://127.0.0.1:9", dialetto: wsanagrafe2}
"""
    (tmp_path / "config.yaml").write_text(written)
    with pytest.raises(ConfigError) as told:
        adapters_of(config.load(tmp_path / "config.yaml"))
    first, second = told.value.sentence.splitlines()
    assert first.startswith(f"{tmp_path}/config.yaml:3:3: adapters.anagrafe: no dialect 'anprx' (there are anpr")
    assert second.startswith(f"{tmp_path}/config.yaml:4:3: adapters.registro: this dialect ships no contract")


def test_a_key_that_is_none_or_of_somebody_else_is_refused_before_the_log_goes_without_a_witness() -> None:
    """The bus would start, and every answer of the witness, every number in `/metrics`, fail on it."""
    ours, theirs = str(Signer.new("comune.example/log").verifier), str(Signer.new("testimone.example/t1", COSIGNATURE).verifier)

    def said(witness: str, lost: str) -> str:
        try:
            config.parse(
                settings(anchors={"witnesses": [{"url": "http://127.0.0.1:9", "key": witness}]}, log={"lost_keys": [lost]}), Path("c.yaml")
            )
        except ConfigError as error:
            return error.sentence
        return ""

    assert said(theirs, ours) == ""
    other = theirs.replace("testimone", "testimonio")
    for wrong in ("", "nulla", ours, theirs[:-1], other, theirs.replace("+", " "), theirs[:-1] + "\n"):
        assert "anchors.witnesses.0.key is no public key of a witness: one line" in said(wrong, ours)
    for wrong in ("nulla", theirs, ours.replace("comune", "comuna")):
        assert "is no public key of a log" in said(theirs, wrong)


def test_two_witnesses_of_one_name_are_refused() -> None:
    """What they cosign is kept by that name: the second would never be asked, and nobody would be told."""
    first, second, other = (str(Signer.new(name, COSIGNATURE).verifier) for name in ("uno.example", "uno.example", "due.example"))
    one, two = ({"url": f"http://127.0.0.1:{port}", "key": first} for port in (9, 10))
    config.parse(settings(anchors={"witnesses": [one, {**two, "key": other}]}), Path("c.yaml"))
    with pytest.raises(ConfigError, match="two keys have the name uno"):
        config.parse(settings(anchors={"witnesses": [one, {**two, "key": second}]}), Path("c.yaml"))


def test_files_of_an_adapter_are_looked_for_beside_the_settings_as_all_others(tmp_path: Path) -> None:
    """A service works in another folder than that of its settings: `bus validate` had found the contract, and the bus did not."""
    (tmp_path / "archivio.json").write_text(
        '{"openapi": "3.0.3", "paths": {"/x": {"get": {"operationId": "x", "responses": {"200": {}}}}}}'
    )
    rest = {"use": "rest", "url": "http://127.0.0.1:9", "openapi": "archivio.json", "ca": "tls/ca.pem", "certificate": "/etc/nostro.pem"}
    operations = {"operations": {"x": {"operation": "x", "effect": "read"}}}
    mail = {
        "chiave": "x",
        "smtp_host": "posta.example",
        "mittente": "a@b.example",
        "smtp_ca": "ca.pem",
        "use": "notifiche",
        "url": "http://x",
    }
    made = adapters_of(config.parse(settings(adapters={"archivio": rest | operations, "posta": mail}), tmp_path / "config.yaml"))
    rows = {"type": "object", "properties": {"via": {"type": "string"}}}
    read = {"effect": "read", "statements": ["select via from vie"], "request": {"type": "object"}, "answer": rows}
    for said, placed in (
        ("x.db", f"{tmp_path}/x.db"),
        ("a/x.db?cache=shared", f"{tmp_path}/a/x.db?cache=shared"),
        ("/var/x.db", "/var/x.db"),
    ):
        sql = {"strade": {"use": "sql", "url": f"sqlite:///{said}", "operations": {"vie": read}}}
        roads = adapters_of(config.parse(settings(adapters=sql), tmp_path / "config.yaml"))["strade"]
        assert isinstance(roads, Sql)
        assert roads.settings.url == f"sqlite:///{placed}"
    archive, post = made["archivio"], made["posta"]
    assert isinstance(archive, Rest) and isinstance(post, Notifiche)
    assert (archive.settings.openapi, archive.settings.ca) == (str(tmp_path / "archivio.json"), str(tmp_path / "tls/ca.pem"))
    assert (archive.settings.certificate, archive.settings.certificate_key) == ("/etc/nostro.pem", None)
    assert post.settings.smtp_ca == str(tmp_path / "ca.pem")


def test_a_number_out_of_the_environment_is_one_and_a_secret_of_digits_stays_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNODO_HTTP_PORT", "8099")
    monkeypatch.setenv("SNODO_CHIAVE", "00118")
    own = {
        "use": "notifiche",
        "url": "http://127.0.0.1:9",
        "chiave": {"env": "SNODO_CHIAVE"},
        "smtp_host": "posta",
        "mittente": "a@b.example",
    }
    given = {"http": {"port": {"env": "SNODO_HTTP_PORT"}}, "adapters": {"notifiche": own}}
    read = loaded(tmp_path, **given)
    assert read.http.port == 8099
    assert read.adapters["notifiche"]["chiave"] == "00118"
    check_settings(read)
    monkeypatch.setenv("SNODO_HTTP_PORT", "ottomila")
    with pytest.raises(ConfigError, match="must be a whole number"):
        loaded(tmp_path, **given)


def test_how_many_calls_are_made_at_once_may_be_told_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"use": "scrivania", "url": "http://127.0.0.1:9", "chiave": "x", "concurrency": {"env": "SNODO_AT_ONCE"}}
    check_settings(loaded(tmp_path, secrets=False, adapters={"scrivania": own}))
    monkeypatch.setenv("SNODO_AT_ONCE", "4")
    assert adapters_of(loaded(tmp_path, adapters={"scrivania": own}))["scrivania"].concurrency == 4
    for wrong in ("0", "quattro", "2.5"):
        monkeypatch.setenv("SNODO_AT_ONCE", wrong)
        with pytest.raises(ConfigError, match="concurrency: must be a whole number from 1 to 256"):
            adapters_of(loaded(tmp_path, adapters={"scrivania": own}))


def test_two_adapters_that_would_be_called_at_one_address_are_refused(tmp_path: Path) -> None:
    """The second one took the first one's calls, and said nothing."""
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(settings(adapters={"pagopa": PAGOPA, "unione": {"use": "pagopa", **PAGOPA}}), indent=1), "utf-8")
    with pytest.raises(ConfigError, match=r"yaml:\d+:\d+: adapters.unione: systems call it at /in/pagopa, where they call adapters.pagopa"):
        adapters_of(config.load(path))


def test_a_file_that_is_no_text_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "chiave").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read the secret in 'chiave': it is no text in UTF-8"):
        loaded(tmp_path, adapters={"notifiche": {"chiave": {"file": "chiave"}}})


@pytest.mark.parametrize(
    ("section", "own", "said"),
    [
        ("organization", {"name": " ", "fiscal_code": "00000000000"}, "`name` may not be empty"),
        ("attachments", {"folder": ""}, "`folder` may not be empty"),
        ("keystore", {"master": ""}, "`master` may not be empty"),
        ("log", {"key": ""}, "`key` may not be empty"),
        ("log", {"previous_key": ""}, "`previous_key` may not be empty"),
        ("http", {"host": ""}, "`host` may not be empty"),
    ],
)
def test_a_setting_that_can_never_work_is_refused(tmp_path: Path, section: str, own: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, **{section: own})


@pytest.mark.parametrize("own", ["chiave", "smtp_host"])
def test_a_setting_of_an_adapter_that_is_left_empty_is_refused_also_as_a_secret(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    monkeypatch.setenv("SNODO_EMPTY", "")
    mail = {"use": "notifiche", "url": "http://x", "chiave": "k", "smtp_host": "posta", "mittente": "a@b.example"}
    for said in ("", {"env": "SNODO_EMPTY"}):
        with pytest.raises(ConfigError, match=f"{own} may not be empty"):
            adapters_of(config.parse(settings(adapters={"posta": mail | {own: said}}), Path("config.yaml")))


@pytest.mark.parametrize("section", ["store", "channel"])
def test_an_address_that_is_left_empty_is_refused_and_one_that_is_a_secret_is_not(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match="`url` may not be empty"):
        loaded(tmp_path, secrets=False, **{section: {"url": ""}})
    assert getattr(loaded(tmp_path, secrets=False, **{section: {"url": {"env": "SNODO_ADDRESS"}}}), section).url == ""


@pytest.mark.parametrize(
    "own",
    [
        {"http": {"port": {"env": "SNODO_UNSET"}}},
        {"engine": {"threads": {"env": "SNODO_UNSET"}}},
        {"retention": {"wire": {"file": "unset"}}},
        {"anchors": {"timestamps": {"url": {"env": "SNODO_UNSET"}, "ca": "ca.pem", "proxy": {"env": "SNODO_UNSET"}}}},
        {"anchors": {"witnesses": [{"url": "https://x", "key": {"env": "SNODO_UNSET"}}]}},
        {"keys": [{"name": "a", "role": {"env": "SNODO_UNSET"}, "sha256": {"env": "SNODO_UNSET"}}]},
    ],
)
def test_nothing_is_said_of_the_form_of_a_secret_that_is_not_read(tmp_path: Path, own: dict[str, Any]) -> None:
    loaded(tmp_path, secrets=False, **own)


def test_a_setting_beside_a_secret_that_is_not_read_is_looked_at_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_wait") as told:
        loaded(tmp_path, secrets=False, http={"port": {"env": "SNODO_UNSET"}, "max_wait": 1000})
    assert "port" not in told.value.sentence


_OPERATION = {"effect": "read", "request": {"type": "object", "properties": {}}, "answer": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "own",
    [
        {"use": "sql", "url": {"env": "SNODO_UNSET"}, "operations": {"una": {**_OPERATION, "statements": ["SELECT 1"]}}},
        {
            "use": "rest", "url": {"env": "SNODO_UNSET"}, "proxy": {"env": "SNODO_UNSET"}, "pool": {"env": "SNODO_UNSET"},
            "operations": {"una": {**_OPERATION, "method": "GET", "path": "/x"}},
        },
    ],
)  # fmt: skip
def test_what_an_adapter_offers_is_told_though_its_address_is_a_secret_that_is_not_read(own: dict[str, Any]) -> None:
    assert [*offered(config.parse(settings(adapters={"strade": own}), Path("config.yaml"), secrets=False))] == ["strade.una"]


def test_a_pipe_in_the_place_of_the_settings_is_told_as_such(tmp_path):
    """`--config <(…)`: nobody says that it is not there, and nobody waits for who never writes into it."""
    os.mkfifo(pipe := tmp_path / "pipe")
    with pytest.raises(ConfigError, match=f"{pipe} is no file of its own, but a pipe or a device"):
        config.load(pipe)


def test_a_folder_in_the_place_of_the_settings_is_told_as_such(tmp_path):
    with pytest.raises(ConfigError, match=f"{tmp_path} is a folder") as refused:
        config.load(tmp_path)
    assert refused.value.hint == f"name the file: {tmp_path / 'config.yaml'}"
