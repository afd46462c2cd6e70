"""The outside systems: settings of their adapters, addresses that open, certificates. Nothing is ever asked of them."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from bus.adapter import Adapter, Caution, Settings
from bus.config import Anchors, Timestamps, WitnessAt
from bus.doctor.verdict import Surroundings, Verdict, ok, warning, wrong
from bus.errors import ConfigError
from bus.network import ANEW, STRICT, Proxy, has_authorities
from bus.systems import adapter_of

WITHIN = 5.0
"""Seconds for one address: name, connection and TLS."""
SOON = dt.timedelta(days=30)
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "oracle": 1521, "mssql": 1433}


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a system is called."""

    system: str
    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def adapters(at: Surroundings) -> Iterator[Verdict]:
    """One adapter at a time, so that all faults are seen at once. Where secrets lack, nothing is said of settings that may hold them."""
    made: dict[str, Adapter] = {}
    for name in at.settings.adapters:
        try:
            made[name] = adapter_of(at.settings, name)
        except ConfigError as error:
            if at.lacking:
                continue
            yield wrong("doctor.adapters", error.sentence, str(at.path), why=error.code, next=error.hint)
            continue
        for sentence in made[name].check():
            said = f"adapters.{name}: {sentence}"
            if isinstance(sentence, Caution):
                yield warning("doctor.adapters", said, str(at.path), why="the bus starts with it, and it stays so until it is mended")
            else:
                yield wrong("doctor.adapters", said, str(at.path))
    at.adapters = made
    if made:
        yield ok("doctor.adapters", f"{len(made)} of {len(at.settings.adapters)} can be made: {', '.join(sorted(made))}")


_NAMING = frozenset({"audience", "e_service"})
"""Settings that may look like the URL of a server and only name one, for whom a token is meant."""


def addresses(at: Surroundings) -> Iterator[Verdict]:
    """All at once: a system that does not answer costs `WITHIN`, ten of them no more."""
    for name, adapter in at.adapters.items():
        if file := getattr(adapter.settings, "certificate", None):
            yield _ours(name, str(file), at.now())
    called: list[tuple[str, Iterable[tuple[str, Any]]]] = [(name, adapter.settings) for name, adapter in at.adapters.items()]
    called += [(name, [("url", url)]) for name, url in _vouching(at.settings.anchors)]
    found = [(address, settings) for name, settings in called for address in sorted(set(_addresses(name, settings)))]
    found += [(address, by) for name, adapter in at.adapters.items() for address, by in _asked_first(name, adapter.settings)]
    if found:
        with ThreadPoolExecutor(len(found)) as pool:
            for verdicts in pool.map(lambda one: list(_reach(one[0], one[1], at.now())), found):
                yield from verdicts


def _asked_first(system: str, settings: Any) -> Iterator[tuple[Address, Any]]:
    """The servers that are asked before a system is, as PDND for vouchers: each has settings within the system's, and its proxy."""
    for part, within in settings:
        if isinstance(within, Settings):
            by = SimpleNamespace(ca=getattr(within, "ca", None), proxy=getattr(settings, "proxy", None))
            yield from ((address, by) for address in sorted(set(_addresses(f"{part} of {system}", within))))


def _vouching(anchors: Anchors) -> Iterator[tuple[str, str]]:
    """Who vouches for the log, each with the address that is to be tried: that of the proxy, where there is one."""
    found: list[tuple[str, WitnessAt | Timestamps]] = [(f"witness {one.key.partition('+')[0]}", one) for one in anchors.witnesses]
    if anchors.timestamps is not None:
        found.append(("the time-stamping authority", anchors.timestamps))
    for name, one in found:
        yield (name, one.url) if one.proxy is None else (f"the proxy of {name}", one.proxy.url)


def _addresses(system: str, settings: Iterable[tuple[str, Any]]) -> Iterator[Address]:
    """Every setting that is the URL of a server, and every pair of settings ``…host`` and ``…port``.

    Plain HTTP by way of a proxy opens nothing but the proxy.
    """
    values = dict(settings)
    proxy = values.get("proxy")
    if isinstance(proxy, Proxy):
        yield from _addresses(f"the proxy of {system}", [("url", proxy.url)])
    for name, value in values.items():
        if isinstance(value, str) and "://" in value and name not in _NAMING:
            url = urlsplit(value)
            if isinstance(proxy, Proxy) and url.scheme == "http":
                continue
            if url.hostname and (port := url.port or PORTS.get(url.scheme.partition("+")[0])):
                yield Address(system, url.hostname, port, url.scheme == "https")
        elif name.endswith("host") and value and (port := values.get(f"{name.removesuffix('host')}port")):
            yield Address(system, str(value), int(port))


def _reach(address: Address, settings: object, now: dt.datetime) -> Iterator[Verdict]:
    try:
        with _line(address, settings) as line:
            yield ok("doctor.address", f"{address.system} takes connections", str(address))
            if address.tls:
                yield _certificate(address, settings, line, now)
    except OSError as error:
        yield warning("doctor.address", f"{address.system} cannot be reached: {error.strerror or error}", str(address))


def _line(address: Address, settings: object) -> socket.socket:
    """A connection as the adapter makes its own: for https by way of the proxy that its settings name."""
    proxy = getattr(settings, "proxy", None)
    if isinstance(proxy, Proxy) and address.tls:
        host = f"[{address.host}]" if ":" in address.host else address.host
        return proxy.line("https", f"{host}:{address.port}", WITHIN)
    return socket.create_connection((address.host, address.port), timeout=WITHIN)


def _ours(adapter: str, file: str, now: dt.datetime) -> Verdict:
    """Our own certificate, which most servers look at only once the connection stands."""
    from cryptography.x509 import load_pem_x509_certificate

    try:
        until = load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return wrong("doctor.tls", f"{adapter}: our certificate cannot be read: {getattr(error, 'strerror', '') or error}", file)
    return _good_until(until, now, f"{adapter}: our certificate is", file)


def _certificate(address: Address, settings: object, line: socket.socket, now: dt.datetime) -> Verdict:
    try:
        with _context(settings).wrap_socket(line, server_hostname=address.host) as secured:
            certificate = secured.getpeercert()
    except (OSError, ValueError) as error:
        if isinstance(error, ssl.SSLCertVerificationError) and not getattr(settings, "ca", None) and not has_authorities():
            sentence = f"{address.system}: not looked at, because this machine has no certificate authorities; calls take those of the bus"
            return warning("doctor.tls", sentence, str(address), next="install the package ca-certificates")
        cure = ANEW if getattr(error, "verify_code", 0) in STRICT else ""
        return wrong("doctor.tls", f"{address.system}: {getattr(error, 'verify_message', '') or error}", str(address), next=cure)
    until = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(str((certificate or {})["notAfter"])), dt.UTC)
    return _good_until(until, now, f"{address.system}: certificate", str(address))


def _good_until(until: dt.datetime, now: dt.datetime, what: str, where: str) -> Verdict:
    left = until - now
    tell = wrong if left < dt.timedelta() else warning if left < SOON else ok
    return tell("doctor.tls", f"{what} good until {until:%Y-%m-%d}", where)


def _context(settings: Any) -> ssl.SSLContext:
    """TLS as the adapter itself speaks it: with the authority and our own certificate that its settings name."""
    context = ssl.create_default_context(cafile=getattr(settings, "ca", None) or None)
    if certificate := getattr(settings, "certificate", None):
        context.load_cert_chain(certificate, getattr(settings, "certificate_key", None) or None)
    return context
