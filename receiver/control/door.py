"""What a socket to the relay is for those who speak over it: text frames, and one way to fail."""

from typing import Protocol


class SocketClosed(Exception):
    """The socket cannot be opened, or is no more. ``nonsense``: because of what came over it."""

    def __init__(self, why: str, nonsense: bool = False) -> None:
        super().__init__(why)
        self.nonsense = nonsense


class Socket(Protocol):
    """Text frames in both directions. All three may raise `SocketClosed`."""

    async def send(self, text: str) -> None: ...
    async def receive(self) -> str: ...
    async def close(self) -> None: ...


class Door(Protocol):
    """Where sockets come from. Raises `SocketClosed`."""

    async def open(self) -> Socket: ...
