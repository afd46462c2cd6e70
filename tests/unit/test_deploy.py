"""What deploy/ says fits the program: commands and options exist, paths agree, times are long enough, files parse."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from bus import config, diagnostics
from bus.cli import COMMANDS, main
from bus.examine import examine
from bus.secrets import EXAMPLE
from bus.systems import adapter_class, adapters_of
from bus.web.serve import GRACE
from bus.worker import LEAVING
from tests.small_bus import write

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
PRODUCTION = PROJECT / "docs/sysadmin/production.md"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
PROGRAM = "/opt/snodo/bin/bus"
PLACES = (("attachments", "folder"), ("keystore", "folder"), ("keystore", "master"), ("log", "key"), ("log", "receipt_key"))


def unit_of(path: Path) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    read.optionxform = str
    read.read_string(path.read_text("utf-8"))
    return read


def command_of(path: Path) -> list[str]:
    return shlex.split(unit_of(path)["Service"]["ExecStart"].replace("%i", "9101" if "worker" in path.name else "8081"))


def seconds_for(name: str) -> float:
    return float(unit_of(DEPLOY / "systemd" / name)["Service"]["TimeoutStopSec"])


# -- systemd ------------------------------------------------------------------------------------------------------------


def test_there_is_a_unit_for_each_process():
    assert [path.name for path in UNITS] == ["snodo-web@.service", "snodo-worker@.service", "snodo.service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_exists_with_options_that_exist(path, capsys):
    program, command, *options = command_of(path)
    assert (program, command in COMMANDS) == (PROGRAM, True)
    main([command, "--help"])
    shown = capsys.readouterr().out
    assert [option for option in options if option.startswith("-") and option not in shown] == []


@pytest.mark.parametrize("option", ["--port", "--metrics-port"])
def test_the_number_of_a_process_is_its_port_and_no_part_of_one(option, capsys):
    """systemd only puts texts together: worker 10 of `910%i` would have had port 91010."""
    unit = {"--port": "snodo-web@.service", "--metrics-port": "snodo-worker@.service"}[option]
    _, command, *words = unit_of(DEPLOY / "systemd" / unit)["Service"]["ExecStart"].split()
    assert words == [option, "%i"]
    assert main([command, option, "91010"]) == 2
    assert f"'{option}': Input should be less than or equal to 65535" in capsys.readouterr().err


def test_the_numbers_of_processes_in_the_pages_are_ports_that_a_user_may_take():
    numbers = [
        int(number)
        for page in (PROJECT / "docs/sysadmin").glob("*.md")
        for number in re.findall(r"snodo-(?:web|worker)@(\d+)", page.read_text("utf-8"))
    ]
    assert numbers
    assert all(1024 <= number <= 65535 for number in numbers)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_lets_the_process_write_where_the_settings_say_and_nowhere_else(path):
    service = unit_of(path)["Service"]
    made = yaml.safe_load((DEPLOY / "config.yaml").read_text("utf-8"))
    assert service["ProtectSystem"] == "strict"
    for place in places(made):
        assert place.is_relative_to(service["ReadWritePaths"])
    assert service["WorkingDirectory"] == service["ReadWritePaths"]
    assert (service["NoNewPrivileges"], service["Type"], service["Restart"], service["KillSignal"]) == (
        "yes",
        "notify",
        "always",
        "SIGTERM",
    )
    assert int(service["LimitNOFILE"]) >= 4096


def places(made: dict) -> list[Path]:
    """Where the settings for production let the bus write: folders, and the files of its keys."""
    return [Path(made[section][name]) for section, name in PLACES]


def test_whoever_sets_up_makes_those_folders_for_the_bus_alone():
    """The page and the image make them; systemd's umask and the example's volumes keep them so."""
    made = yaml.safe_load((DEPLOY / "config.yaml").read_text("utf-8"))
    folders = {str(place.parent if place.suffix == ".key" else place) for place in places(made)}
    for text in (PRODUCTION.read_text("utf-8"), (DEPLOY / "container/Containerfile").read_text("utf-8")):
        assert set(re.search(r"install -d -o snodo -g snodo -m 0700 (.+)", text)[1].split()) == folders
    assert {unit_of(path)["Service"]["UMask"] for path in UNITS} == {"0077"}
    for service in compose()["services"].values():
        if service["image"] == "snodo":
            assert folders <= {volume.split(":")[1] for volume in service["volumes"]}
    assert folders == {f"/var/lib/snodo/{name}" for name in compose()["volumes"] if name != "db"}


def test_a_command_by_hand_has_what_the_units_have_and_no_secret_among_its_words():
    """The journal keeps the words of each command: it had the password of the tables' owner. And the doctor could write where no unit may."""
    [block] = [
        one for one in re.findall(r"^```sh\n(.*?)^```", PRODUCTION.read_text("utf-8"), re.DOTALL | re.MULTILINE) if "as_bus()" in one
    ]
    function, commands = block.split("}\n")
    given = {"User": re.search(r"--uid=(\w+)", function)[1], **dict(re.findall(r"--property=(\w+)=(\S+)", function))}
    [environment] = re.findall(r"--setenv=(\S+)", function)
    for path in UNITS:
        service = dict(unit_of(path)["Service"])
        assert given.items() <= service.items()
        assert environment in service["Environment"].split()
    assert {"EnvironmentFile", "ProtectSystem", "ReadWritePaths", "UMask"} <= set(given)
    assert "$" not in commands


@pytest.mark.parametrize("page", ["production", "upgrading"])
def test_what_an_earlier_installation_built_is_put_away_before_the_next_one(page):
    """pip builds where the sources are, and takes all that lies in `build` along: also what this version does not have any more."""
    lines = [line.split("#")[0].strip() for line in (PROJECT / f"docs/sysadmin/{page}.md").read_text("utf-8").splitlines()]
    at = lines.index("/opt/snodo/bin/pip install --no-deps --no-build-isolation .")
    assert lines[at - 1] == "rm -rf build"


def test_a_unit_waits_longer_than_a_graceful_stop_takes():
    calls = config.Engine().stop
    assert seconds_for("snodo-web@.service") > GRACE + LEAVING
    assert seconds_for("snodo-worker@.service") > calls + LEAVING
    assert seconds_for("snodo.service") > GRACE + calls + LEAVING
    for service in compose()["services"].values():
        if service["image"] == "snodo":
            assert float(service["stop_grace_period"].removesuffix("s")) > max(GRACE, calls) + LEAVING


@pytest.mark.parametrize("path", [path for path in UNITS if "@" in path.name], ids=lambda path: path.name)
def test_database_and_broker_of_the_same_machine_are_stopped_after_the_bus(path):
    """Or every shutdown waits half a minute for a bus that cannot give back its claims; none of them has to be there."""
    unit = unit_of(path)["Unit"]
    assert {"remote-fs.target", "postgresql.service", "rabbitmq-server.service"} <= set(unit["After"].split())
    assert (unit["Wants"], "Requires" in unit) == ("network-online.target", False)


@pytest.mark.parametrize("path", [*UNITS, DEPLOY / "witness/snodo-witness.service"], ids=lambda path: path.name)
def test_a_process_that_is_ended_leaves_no_memory_on_the_disk(path):
    assert unit_of(path)["Service"]["LimitCORE"] == "0"


def test_a_unit_names_a_page_that_is_where_the_page_puts_it():
    [source] = re.findall(r"^git clone \S+ (\S+)$", PRODUCTION.read_text("utf-8"), re.MULTILINE)
    for path in (*UNITS, DEPLOY / "systemd/snodo.target", DEPLOY / "witness/snodo-witness.service"):
        page = unit_of(path)["Unit"]["Documentation"].removeprefix(f"file://{source}/")
        assert (PROJECT / page).is_file(), page


def test_systemd_itself_understands_the_units_where_it_is_at_hand(tmp_path):
    """`systemd-analyze verify` needs programs that exist: ours stand in the place of those in /opt."""
    for path in (DEPLOY / "systemd").glob("snodo*.[st]*"):
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace(PROGRAM, f"{Path(sys.executable).parent}/bus"), "utf-8")
    assert {"Unit", "Install"} <= set(unit_of(tmp_path / "snodo.target").sections())
    if shutil.which("systemd-analyze"):
        names = [str(path) for path in sorted(tmp_path.iterdir())]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=60)
        said = [line for line in done.stderr.splitlines() if "snodo" in line and "is not executable" not in line]
        assert said == []


@pytest.mark.timeout(200)
def test_the_process_tells_systemd_when_it_is_ready_and_stops_when_told(tmp_path):
    """`snodo.service` as it stands, in the place of systemd: its command, NOTIFY_SOCKET, SIGTERM."""
    command = [sys.executable, "-m", "bus.cli", *command_of(DEPLOY / "systemd/snodo.service")[1:], "--port", "0"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(80)
        environment = {
            **os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000", "SNODO_CONFIG": str(write(tmp_path)),
        }  # fmt: skip
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert [told.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            assert process.stdout.readline().startswith("snodo listens on http://127.0.0.1:")
            process.terminate()
            assert process.wait(80) == 0


def test_a_process_that_is_not_well_does_not_say_that_it_is(monkeypatch):
    from bus.cli import serve

    said, well = [], iter([True, False, True])
    monkeypatch.setattr(serve, "_tell_systemd", said.append)
    monkeypatch.setattr(serve, "time", SimpleNamespace(sleep=said.append))
    with pytest.raises(StopIteration):
        serve._keep_telling(lambda: next(well), 7)
    assert said == ["WATCHDOG=1", 7, 7, "WATCHDOG=1", 7]


def test_who_tells_systemd_goes_on_where_that_cannot_be_told_and_says_so_once(tmp_path, monkeypatch):
    """Its socket is away while systemd is started anew."""
    from bus.cli import serve

    said, slept = [], iter([None, None])
    monkeypatch.setattr(
        diagnostics, "logger", lambda name: SimpleNamespace(warning=lambda event, **more: said.append((event, more["error"])))
    )
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "away"))
    monkeypatch.setattr(serve, "time", SimpleNamespace(sleep=lambda seconds: next(slept)))
    serve._say_untold.cache_clear()
    with pytest.raises(StopIteration):
        serve._keep_telling(lambda: True, 7)
    assert said == [("systemd.not-told", "[Errno 2] No such file or directory")]


# -- settings and secrets -------------------------------------------------------------------------------------------------


def test_the_settings_for_production_are_taken_and_their_secrets_are_in_the_environment_file(monkeypatch):
    named = set(re.findall(r"\{env: (\w+)\}", (DEPLOY / "config.yaml").read_text("utf-8")))
    given = dict(line.split("=", 1) for line in (DEPLOY / "systemd/snodo.env").read_text("utf-8").splitlines() if not line.startswith("#"))
    assert named <= set(given)
    for name, value in given.items():
        assert EXAMPLE in value
        monkeypatch.setenv(name, value.replace(EXAMPLE, "segreta"))
    loaded = config.load(DEPLOY / "config.yaml")
    assert loaded.store.shared and loaded.channel.shared


def test_the_settings_for_production_let_the_shipped_routes_load():
    """Or nothing starts: a route that calls an unknown system does not load."""
    loaded = config.load(DEPLOY / "config.yaml", secrets=False)
    classes = {name: adapter_class(str(own.get("use", name))) for name, own in loaded.adapters.items()}
    operations = {f"{name}.{one.name}": one for name, kind in classes.items() for one in kind.operations.values()}
    catalog, findings = examine(PROJECT, operations)
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert catalog is not None and catalog.routes


def test_the_settings_for_production_can_make_every_adapter(monkeypatch):
    for line in (DEPLOY / "systemd/snodo.env").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            monkeypatch.setenv(line.partition("=")[0], line.partition("=")[2].replace(EXAMPLE, "segreta"))
    made = adapters_of(config.load(DEPLOY / "config.yaml"))
    assert [said for adapter in made.values() for said in adapter.check()] == []


# -- nginx ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "port"), [("nginx/snodo-upstream.conf", None), ("container/snodo-upstream.conf", "8080")])
def test_the_proxy_never_writes_into_a_connection_that_the_bus_is_closing(file, port):
    from bus.web.serve import IDLE

    text = (DEPLOY / file).read_text("utf-8")
    assert int(re.search(r"keepalive_timeout (\d+)s;", text)[1]) < IDLE
    if port:
        assert set(re.findall(r"server ([\w-]+):(\d+) ", text)) == {
            (name, port) for name in compose()["services"] if name.startswith("web-")
        }


@pytest.mark.parametrize("file", ["nginx/snodo-upstream.conf", "container/snodo-upstream.conf"])
def test_a_door_that_is_back_is_asked_again_before_the_other_one_is_restarted(file):
    """Left out for ten seconds, the first door was away for the proxy while the second one restarted: of a minute's messages half got 502."""
    restarted = int(re.search(r"RestartSec=(\d+)", (DEPLOY / "systemd/snodo-web@.service").read_text("utf-8"))[1])
    left_out = re.findall(r" fail_timeout=(\d+)s;", (DEPLOY / file).read_text("utf-8"))
    assert [int(seconds) < restarted for seconds in left_out] == [True, True]


@pytest.mark.parametrize("file", ["nginx/snodo-upstream.conf", "container/snodo-upstream.conf"])
def test_a_door_that_hangs_gets_no_more_than_what_hangs_in_it(file):
    """In turns six senders, of which each waited for it soon, got through 266 messages in 83 s, and 2,451 so. It must stand before keepalive."""
    words = re.findall(r"^    (\w+)", (DEPLOY / file).read_text("utf-8"), re.MULTILINE)
    assert words == ["least_conn", "server", "server", "keepalive", "keepalive_timeout"]


def test_the_proxy_takes_what_the_bus_takes_and_waits_as_long():
    text = (DEPLOY / "nginx/snodo.conf").read_text("utf-8")
    settings = yaml.safe_load((DEPLOY / "config.yaml").read_text("utf-8"))
    assert int(re.search(r"client_max_body_size (\d+)m;", text)[1]) * 1_000_000 > settings["attachments"]["limit"]
    assert int(re.search(r"proxy_read_timeout (\d+)s;", text)[1]) > config.Http().max_wait
    assert text.count("{") == text.count("}")


def test_every_location_of_the_proxy_gives_up_a_lost_machine_in_time_for_the_node():
    """What a location does not inherit is nginx's own: 60 s to connect, where the node of pagoPA waits 7 s in all."""
    server, *locations = re.split(r"\n    location ", (DEPLOY / "nginx/snodo.conf").read_text("utf-8"))
    assert int(re.search(r"proxy_connect_timeout (\d+)s;", server)[1]) < 7
    assert [re.findall(r"(proxy_\w+)", location) for location in locations] == [["proxy_pass"]] * 3


def test_what_needs_no_key_of_an_outside_system_is_closed_until_an_address_is_let_in():
    locations = re.split(r"\n    location ", (DEPLOY / "nginx/snodo.conf").read_text("utf-8"))
    assert [one.split("{")[0].strip() for one in locations if "\n        deny all;\n" in one] == ["= /metrics", "/in/"]


# -- the image --------------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    joined = (DEPLOY / "container/Containerfile").read_text("utf-8").replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line and not line.startswith("#")]


def test_what_the_image_copies_is_there_and_let_through():
    let_through = {
        line[1:] for line in (DEPLOY / "container/Containerfile.dockerignore").read_text("utf-8").splitlines() if line.startswith("!")
    }
    copied = {name for word, text in instructions() if word == "COPY" and not text.startswith("--from") for name in text.split()[:-1]}
    assert copied == let_through
    assert [name for name in copied if not (PROJECT / name).exists()] == []


def test_the_image_is_built_from_the_lock_with_hashes_and_does_not_run_as_root():
    runs = [text for word, text in instructions() if word == "RUN"]
    assert any("--require-hashes" in run and "-r requirements.lock" in run for run in runs)
    assert not any("pip install" in run and "--require-hashes" not in run and "--no-deps" not in run for run in runs)
    assert ("USER", "10001") in instructions()


def test_the_build_takes_the_builder_from_the_lock():
    """The very command of the image: one library, with its hashes."""
    [command] = [re.search(r"(sed .*?) > build.lock", text)[1] for word, text in instructions() if word == "RUN" and "build.lock" in text]
    made = subprocess.run(["sh", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"setuptools==[\d.]+ \\\n(    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", made)


def test_the_image_runs_commands_that_exist():
    for word in ("CMD", "ENTRYPOINT"):
        [said] = [yaml.safe_load(text) for found, text in instructions() if found == word and not text.startswith('["python"')]
        assert said[0] == ("bus" if word == "ENTRYPOINT" else "web")


# -- compose ----------------------------------------------------------------------------------------------------------------


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "container/compose.yaml").read_text("utf-8"))


def test_the_example_has_two_doors_two_workers_and_what_they_need():
    services = compose()["services"]
    assert set(services) == {"migrate", "web-1", "web-2", "worker-1", "worker-2", "db", "broker", "proxy"}
    ours = [service for service in services.values() if service["image"] == "snodo"]
    assert all(service.get("command", ["web"])[0] in COMMANDS or service["command"] == ["migrate", "up"] for service in ours)


def test_the_doors_of_the_example_are_looked_at_also_where_the_image_does_not_say_how():
    """podman and buildah leave HEALTHCHECK out of an image, and the proxy waits until the doors are healthy."""
    services = compose()["services"]
    assert [name for name in services["proxy"]["depends_on"] if "8080/status" not in str(services[name].get("healthcheck"))] == []


def test_a_door_of_the_example_that_is_started_anew_is_where_the_proxy_looked_it_up():
    """podman gave each a new address; once both had been restarted, the proxy answered 504 to all, for good."""
    [pool] = compose()["networks"]["default"]["ipam"]["config"]
    services = compose()["services"]
    doors = [ip_address(service["networks"]["default"]["ipv4_address"]) for name, service in services.items() if name.startswith("web-")]
    assert len(set(doors)) == 2
    assert [door in ip_network(pool["subnet"]) and door not in ip_network(pool["ip_range"]) for door in doors] == [True, True]


def test_the_database_of_the_example_is_asked_where_the_bus_asks_it():
    """While the image makes its database, a server answers at the socket alone, and is ended again."""
    assert "--host=127.0.0.1" in compose()["services"]["db"]["healthcheck"]["test"][1]


def test_every_file_that_the_example_mounts_is_there_except_the_certificates():
    folder = DEPLOY / "container"
    mounted = {
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    }
    assert {name for name in mounted if not (folder / name).exists()} == {"./tls"}


def test_what_the_example_wants_beside_it_is_told_in_it_and_kept_out_of_git():
    """Passwords and the proxy's private key; `git add -A` took them along."""
    ignored = (PROJECT / ".gitignore").read_text("utf-8").splitlines()
    assert {"/deploy/container/.env", "/deploy/container/tls/"} <= set(ignored)
    head = (DEPLOY / "container/compose.yaml").read_text("utf-8").partition("x-bus:")[0]
    certificates = re.findall(r"/etc/ssl/snodo(/\S+);", (DEPLOY / "nginx/snodo.conf").read_text("utf-8"))
    assert [name for name in (".env", *(f"tls{name}" for name in certificates if "authority" not in name)) if name not in head] == []


def test_the_processes_of_the_example_are_given_the_secrets_that_the_settings_name():
    for service in compose()["services"].values():
        if service["image"] == "snodo":
            assert service["env_file"] == ".env"


def test_secrets_come_from_outside_the_example():
    assert set(re.findall(r"PASS(?:WORD)?: (.*?)[,}]", (DEPLOY / "container/compose.yaml").read_text("utf-8"))) <= {
        '"${SNODO_DB_PASSWORD',
        '"${SNODO_BROKER_PASSWORD',
    }
