"""A loopback peer that answers requests as a script says, and a REST client that asks it."""

import datetime as dt
import socket
import threading
from contextlib import contextmanager, suppress

from adapters.http.client import RestClient, RestSettings
from bus.adapter import Call, InDoubt, Refused, Unreachable

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


class Seen(list):
    """The requests a peer received, and over how many connections."""

    connections = 0


@contextmanager
def peer(*replies):
    """A loopback peer that answers each request with the next script: bytes, or a function of the connection. Yields (url, requests)."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Seen()

    def serve():
        waiting = list(replies)
        while waiting:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.connections += 1
            with connection:
                while waiting and (got := received(connection)):
                    seen.append(got)
                    reply = waiting.pop(0)
                    if callable(reply):
                        reply(connection)
                        break
                    with suppress(ConnectionError):
                        connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)
        assert not thread.is_alive()


def received(connection):
    """One request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            chunk = connection.recv(65536)
        except ConnectionError:
            return b""
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http(status, body=b"{}", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send(url, effect="keyed", *, timeout=30.0, method="POST", path="/x", settings=None, client=None, **more):
    client = client or RestClient(RestSettings(url=url, **(settings or {})), {"X-Api-Key": "segreto"})
    ctx = Call(key="ab" * 32, timeout=timeout, now=NOW, correlation_id="c-1", traceparent="00-1-2-01")
    try:
        return client.send(ctx, effect, method, path, **more), ctx
    except (Unreachable, InDoubt, Refused) as error:
        return error, ctx
    finally:
        client.close()
