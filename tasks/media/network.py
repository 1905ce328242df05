"""Connections to public addresses alone, each judged as it is connected.

In: a host name. Out: a stream, whose every wait ends at a deadline. The host is looked up once and that very address is
connected, after it was judged: a name cannot mean one address to the check and another to the socket. Knows no URL.
"""

import ipaddress
import socket
import ssl
import time
from typing import Any

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(Exception):
    """The address that a host name leads to is not public."""


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects public addresses only, and ends everything at a deadline."""

    def __init__(self, allow: tuple[str, ...], deadline: float) -> None:
        """deadline: of time.monotonic()."""
        self._hosts = {entry.lower().rstrip(".") for entry in allow}
        self._networks = tuple(network for entry in allow if (network := _network(entry)) is not None)
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """As httpcore asks for it. Raises AddressRefused when any address of `host` is not public."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "no host can be called so") from error
        numbers = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self.allows(host):
            for number in numbers:
                self.judge(number)
        failure: Exception = OSError("the host has no address")
        for number in numbers[:4]:
            try:
                stream = self._plain.connect_tcp(
                    number, port, left(self._deadline, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _TimedStream(stream, self._deadline)
        raise failure

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        """Never."""
        raise AddressRefused("a local socket")

    def allows(self, host: str) -> bool:
        """Whether `host` is an exception by its name."""
        return host.lower().rstrip(".") in self._hosts

    def judge(self, number: str) -> None:
        """Raises AddressRefused for an address that is neither public nor an exception."""
        address = ipaddress.ip_address(number.partition("%")[0])
        if any(address in network for network in self._networks if network.version == address.version):
            return
        if not all(is_public(inner) for inner in (address, *_embedded(address))):
            raise AddressRefused(str(address))


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline: a server that drips bytes gains nothing."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, left(self._deadline, timeout))
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def left(deadline: float, timeout: float | None) -> float:
    """Seconds that a wait may take. Raises TimeoutError past the deadline."""
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise TimeoutError("the time for this download is over")
    return rest if timeout is None else min(timeout, rest)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet would reach the same machine by it."""
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _embedded(address: Address) -> tuple[Address, ...]:
    """IPv4 addresses inside an IPv6 one: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    inner: list[Address] = [found for found in (address.ipv4_mapped, address.sixtofour) if found is not None]
    inner.extend(address.teredo or ())
    if address in _NAT64 or int(address) >> 32 == 0:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(inner)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
