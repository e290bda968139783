"""Where a tap's sound arrives: a UDP port of the pool, or a URI of the WebSocket door with sockets behind it."""

from functools import partial

import structlog

from receiver.control.means import Berth, NotNow
from receiver.control.taps import Wish
from receiver.control.wsdevice import WsDoor
from receiver.net.pair import open_pair
from receiver.net.ports import NoPort, Ports

log = structlog.get_logger("daemon")


class Berths:
    """Hands them out. ``door`` None: there is none, and nobody is let ask for it (`receiver.api.bodies`)."""

    def __init__(self, ports: Ports, door: WsDoor | None) -> None:
        self._ports, self._door = ports, door

    def take(self, wish: Wish) -> Berth:
        """One for this tap. Raises `NotNow` where none is free."""
        return self._behind_the_door(wish, self._door) if wish.device == "ws" and self._door else self._port()

    def _port(self) -> Berth:
        try:
            port = self._ports.take()
        except NoPort as error:
            cooled_s = error.cooled_in_s
            raise NotNow("no_port", str(error), 10 if cooled_s is None else max(1, cooled_s)) from error
        except OSError as error:
            log.error("no port can be bound", error=str(error))
            raise NotNow("no_port", f"no port can be bound: {error.strerror}", 10) from error
        return Berth(port.number, port.socket, partial(self._ports.give_back, port))

    def _behind_the_door(self, wish: Wish, door: WsDoor) -> Berth:
        try:
            pair = open_pair()
        except OSError as error:
            log.error("no pair of sockets can be made", error=str(error))
            raise NotNow("no_port", f"no pair of sockets can be made: {error.strerror}", 10) from error
        uri = door.expect(wish.law, pair.writer)

        def release() -> None:
            door.forget(uri)
            pair.close()

        return Berth(pair.number, pair.socket, release, uri, pair.source)
