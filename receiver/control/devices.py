"""Where a tap's sound goes to (ours) or comes from (the relay's), as the CallTap page writes them and as RELAY does."""

from dataclasses import dataclass
from typing import Any

from receiver.control import words


@dataclass(frozen=True)
class RtpDevice:
    """RTP over UDP. ``port`` may be a text, ``ptime`` is in ms. As a source, what was not told is None."""

    addr: str
    port: int | str
    codec: str | None = "PCMU"
    ptime: int | None = 20

    def wire(self) -> dict[str, Any]:
        """As RELAY wants it. ``ValueError`` for a port that is no number."""
        params = {"addr": self.addr, "port": int(self.port), "codec": self.codec, "ptime": self.ptime}
        return {"type": "rtp", "params": {name: value for name, value in params.items() if value is not None}}


@dataclass(frozen=True)
class WsDevice:
    """A WebSocket that the platform connects to. The URI may hold a secret: it is not shown."""

    uri: str
    codec: str | None = "PCMU"

    def wire(self) -> dict[str, Any]:
        """As RELAY wants it."""
        return {"type": "ws", "params": {"uri": self.uri} | ({} if self.codec is None else {"codec": self.codec})}

    def __repr__(self) -> str:
        return f"WsDevice(uri=********, codec={self.codec!r})"


Device = RtpDevice | WsDevice


def read_device(told: Any) -> Device | None:
    """Read ``{"type", "params"}`` leniently; None where it does not say what is needed."""
    params = told.get("params") if isinstance(told, dict) else None
    if not isinstance(params, dict):
        return None
    codec = params["codec"] if isinstance(params.get("codec"), str) else None
    if told.get("type") == "ws" and isinstance(params.get("uri"), str):
        return WsDevice(params["uri"], codec)
    addr, port = params.get("addr"), words.number(params.get("port"))
    if told.get("type") == "rtp" and isinstance(addr, str) and port is not None and 0 < port < 65_536:
        return RtpDevice(addr, port, codec, words.number(params.get("ptime")))
    return None
