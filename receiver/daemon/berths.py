"""Where a tap's sound arrives: a UDP port of the pool, or a URI of the WebSocket door with sockets behind it.

Each socket is also given to the service manager as soon as it is there, under its port's number (rule D7): whatever
becomes of this process, the next one gets it back, with what queued in it meanwhile.
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from receiver.control.means import Berth, NotNow
from receiver.control.taps import Tap, Wish
from receiver.control.wsdevice import WsDoor, digest_of
from receiver.daemon.sealed import seal_key, unseal_key
from receiver.keys import Key
from receiver.net.pair import Pair, adopt_pair, open_pair
from receiver.net.ports import NoPort, Port, Ports

log = structlog.get_logger("daemon")


class Keeper(Protocol):
    """Who keeps descriptors for the next process: the service manager."""

    def store(self, name: str, *descriptors: int) -> None:
        """Keep these."""

    def remove(self, name: str) -> None:
        """Keep none of this name any more."""


class Berths:
    """Hands them out. ``door`` None: there is none, and nobody is let ask for it (`receiver.api.bodies`)."""

    def __init__(self, ports: Ports, door: WsDoor | None, keeper: Keeper) -> None:
        self._ports, self._door, self._keeper = ports, door, keeper
        self._leaving = False

    def take(self, wish: Wish) -> Berth:
        """One for this tap. Raises `NotNow` where none is free."""
        return self._behind_the_door(wish, self._door) if wish.device == "ws" and self._door else self._port(wish)

    def take_again(self, tap: Tap, descriptors: Sequence[int]) -> Berth:
        """The one that this tap had in an earlier process; the descriptors are ours from now on.

        Raises ``ValueError`` and ``OSError`` where they are not that.
        """
        if tap.wish.device != "ws":
            sockets, key = _told_apart(descriptors)
            return self._at(self._ports.adopt(tap.port, sockets))._replace(key=key)
        pair = adopt_pair(tap.port, descriptors)
        if self._door is None or tap.uri_digest is None:
            pair.close()
            raise ValueError("there is no [ws] door any more")
        self._door.expect_again(tap.uri_digest, tap.wish.law, pair.writer)
        return self._before(pair, self._door, None, tap.uri_digest)

    def bind_again(self, tap: Tap) -> Berth:
        """Its port, of which the socket was not kept: what came meanwhile is lost, what comes is not.

        Raises ``ValueError`` and ``OSError`` where that cannot be.
        """
        if tap.wish.device == "ws":
            raise ValueError("a pair of sockets cannot be bound again")
        port = self._ports.fixed(tap.port)
        try:
            self._keep(port, tap.wish.key)
        except OSError:
            self._ports.give_back(port)
            raise
        tap.socket_lost = True
        log.error("a tap's socket was not kept, its port is bound anew", tap=tap.id, port=tap.port)
        return self._at(port)._replace(key=tap.wish.key)

    def cool(self, left_s: Mapping[int, float]) -> None:
        """Ports of earlier processes' taps cool down here, too (rule A16): somebody may still send there."""
        self._ports.cool(left_s)

    def leave(self) -> None:
        """This process goes: what is given back from now on stays with the keeper."""
        self._leaving = True

    def _port(self, wish: Wish) -> Berth:
        fixed = wish.fixed
        try:
            port = self._ports.take() if fixed is None else self._ports.fixed(fixed)
        except NoPort as error:
            cooled_s = error.cooled_in_s
            raise NotNow("no_port", str(error), 10 if cooled_s is None else max(1, cooled_s)) from error
        except OSError as error:
            which = "no port can" if fixed is None else f"port {fixed} cannot"
            raise NotNow("no_port", f"{which} be bound: {error.strerror}", 10) from error
        try:
            self._keep(port, wish.key)
        except OSError as error:
            self._ports.give_back(port)
            raise NotNow("no_memory", f"no memory for a key: {error.strerror}", 10) from error
        return self._at(port)

    def _keep(self, port: Port, key: Key | None) -> None:
        """A key is kept beside its sockets, under the same name, and for as long."""
        sockets = [each.fileno() for each in (port.socket, port.ear) if each is not None]
        if key is None:
            return self._keeper.store(str(port.number), *sockets)
        sealed = seal_key(key)
        try:
            self._keeper.store(str(port.number), *sockets, sealed)
        finally:
            os.close(sealed)

    def _behind_the_door(self, wish: Wish, door: WsDoor) -> Berth:
        try:
            pair = open_pair()
        except OSError as error:
            log.error("no pair of sockets can be made", error=str(error))
            raise NotNow("no_port", f"no pair of sockets can be made: {error.strerror}", 10) from error
        self._keeper.store(_of_pair(pair.number), pair.socket.fileno(), pair.writer.fileno())
        uri = door.expect(wish.law, pair.writer)
        return self._before(pair, door, uri, digest_of(uri))

    def _at(self, port: Port) -> Berth:
        close = partial(self._ports.give_back, port)
        return Berth(port.number, port.socket, partial(self._release, str(port.number), close), ear=port.ear)

    def _before(self, pair: Pair, door: WsDoor, uri: str | None, digest: str) -> Berth:
        def close() -> None:
            door.forget(digest)
            pair.close()

        release = partial(self._release, _of_pair(pair.number), close)
        return Berth(pair.number, pair.socket, release, uri, pair.source, digest)

    def _release(self, name: str, close: Callable[[], None]) -> None:
        if not self._leaving:
            self._keeper.remove(name)
        close()


def name_of(tap: Tap) -> str:
    """Under which name the keeper has a tap's sockets: short ones, because they come back in one string of the
    environment, which holds 131,071 octets."""
    return _of_pair(tap.port) if tap.wish.device == "ws" else str(tap.port)


def _told_apart(descriptors: Sequence[int]) -> tuple[list[int], Key | None]:
    """Sockets, and what was kept beside them, which is closed; their order is the keeper's."""
    sockets: list[int] = []
    key = None
    for descriptor in descriptors:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            sockets.append(descriptor)
        else:
            key = key or unseal_key(descriptor)
            os.close(descriptor)
    return sockets, key


def _of_pair(number: int) -> str:
    return f"ws-{number}"
