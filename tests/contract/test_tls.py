"""TLS: echo, start_tls, facts about the connection, bad certificates, closing."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from dataclasses import dataclass

import pytest
import trustme

from contract.support import Recorder, until
from loops import Report, Run


@dataclass(frozen=True)
class Contexts:
    """The TLS settings of a server for localhost, and of clients that do and do not trust it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    stranger: ssl.SSLContext


@pytest.fixture(scope="module")
def tls() -> Contexts:
    """Certificates made for this run of the tests."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Contexts(server, client, ssl.create_default_context())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@pytest.mark.parametrize("size", [1, 1000, 100_000, 3_000_000])
def test_an_echo_over_tls(run: Run, tls: Contexts, size: int) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port_of(server), ssl=tls.client, server_hostname="localhost"
            )
            payload = b"t" * size
            writer.write(payload)
            assert await reader.readexactly(size) == payload
            writer.close()
            await writer.wait_closed()

    run(main)


def test_the_facts_of_a_tls_connection(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port_of(server), ssl=tls.client, server_hostname="localhost"
            )
            assert isinstance(writer.transport, asyncio.Transport)
            assert writer.get_extra_info("sslcontext") is tls.client
            assert writer.get_extra_info("ssl_object").version().startswith("TLSv1")
            assert writer.get_extra_info("peercert")["subjectAltName"] == (("DNS", "localhost"),)
            assert writer.get_extra_info("cipher")
            assert writer.get_extra_info("peername") == ("127.0.0.1", port_of(server))
            assert writer.transport._ssl_protocol is not None  # type: ignore[attr-defined]
            assert writer.can_write_eof() is False
            writer.close()
            await writer.wait_closed()

    run(main)


def test_a_server_that_is_not_trusted_is_refused(run: Run, tls: Contexts) -> None:
    reports: list[Report] = []

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(
                    "127.0.0.1", port_of(server), ssl=tls.stranger, server_hostname="localhost"
                )
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(
                    "127.0.0.1", port_of(server), ssl=tls.client, server_hostname="elsewhere.test"
                )
            await asyncio.sleep(0.01)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run(main, reports=reports)


def test_start_tls_on_both_sides(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = loop.create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"OK\n")
            await writer.drain()
            protocol = writer.transport.get_protocol()
            transport = await loop.start_tls(
                writer.transport, protocol, tls.server, server_side=True
            )
            writer._transport = transport  # type: ignore[attr-defined]
            line = await reader.readline()
            transport.write(line.upper())
            writer.close()
            served.set_result(None)

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            transport, protocol = await loop.create_connection(
                Recorder, "127.0.0.1", port_of(server)
            )
            transport.write(b"STARTTLS\n")
            await until(lambda: protocol.data == b"OK\n")
            secure = await loop.start_tls(
                transport, protocol, tls.client, server_hostname="localhost"
            )
            assert secure is not None
            assert protocol.events.count("connection_made") == 1
            secure.write(b"secret\n")
            await until(lambda: protocol.data == b"OK\nSECRET\n")
            await served
            secure.close()
            await until(lambda: protocol.lost)

    run(main)


def test_stream_writer_start_tls(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"ready\n")
            await writer.drain()
            await writer.start_tls(tls.server)
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            assert await reader.readline() == b"ready\n"
            await writer.start_tls(tls.client, server_hostname="localhost")
            writer.write(b"upgraded\n")
            assert await reader.readline() == b"upgraded\n"
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main)


def test_the_protocol_hears_of_the_end_of_a_tls_connection(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepted: list[Recorder] = []

        def factory() -> Recorder:
            accepted.append(Recorder())
            return accepted[-1]

        async with await loop.create_server(factory, "127.0.0.1", 0, ssl=tls.server) as server:
            transport, protocol = await loop.create_connection(
                Recorder,
                "127.0.0.1",
                port_of(server),
                ssl=tls.client,
                server_hostname="localhost",
            )
            transport.write(b"last words")
            transport.close()
            await until(lambda: accepted[0].lost)
            assert accepted[0].data == b"last words"
            assert accepted[0].events[-2:] == ["eof_received", "connection_lost"]
            assert accepted[0].reason is None
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


def test_abort_of_a_tls_connection(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server) as server:
            transport, protocol = await loop.create_connection(
                Recorder,
                "127.0.0.1",
                port_of(server),
                ssl=tls.client,
                server_hostname="localhost",
            )
            transport.abort()
            await until(lambda: protocol.lost)
            await asyncio.sleep(0.01)

    run(main)


def test_a_client_that_speaks_no_tls_does_not_harm_the_server(run: Run, tls: Contexts) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.server) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            writer.write(b"GET / HTTP/1.0\r\n\r\n" * 10)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1 << 16)
            writer.close()
            good_reader, good_writer = await asyncio.open_connection(
                "127.0.0.1", port_of(server), ssl=tls.client, server_hostname="localhost"
            )
            good_writer.write(b"fine")
            assert await good_reader.readexactly(4) == b"fine"
            good_writer.close()
            await good_writer.wait_closed()

    run(main, reports=reports)


def test_a_handshake_that_does_not_come_times_out(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer"):
                await asyncio.open_connection(
                    "127.0.0.1",
                    port_of(server),
                    ssl=tls.client,
                    server_hostname="localhost",
                    ssl_handshake_timeout=0.05,
                )
            await asyncio.sleep(0.01)

    run(main)
