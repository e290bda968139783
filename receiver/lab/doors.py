"""Where a sender's packets come from and go to: its sockets, and destinations."""

import socket
from collections.abc import Sequence
from typing import Final

import numpy as np

from receiver.lab import plan as plans
from receiver.lab import sound
from receiver.lab.plan import Caller, Plan, PlanError
from receiver.lab.senderlog import About

_SEND_BUFFER: Final = 4 << 20


class Doors:
    """The sockets of a plan: one, or one per caller. Raises OSError when an address cannot be had."""

    def __init__(self, plan: Plan) -> None:
        self.family, host, port = plans.address(plan.source, 0)
        count = len(plan.callers) if plan.own_ports else 1
        if count > 1 and port:
            raise PlanError("callers with ports of their own cannot share the one that `source` names")
        self.sockets = [socket.socket(self.family, socket.SOCK_DGRAM) for _ in range(count)]
        try:
            for each in self.sockets:
                each.bind((host, port))
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        except OSError as error:
            self.close()
            raise OSError(error.errno, f"{error.strerror}: {plan.source}") from None
        self.of = np.arange(len(plan.callers)) if plan.own_ports else np.zeros(len(plan.callers), np.int64)
        """Which socket a caller has, by the caller's row in the plan."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Each caller's own address, "host:port"."""
        names = [each.getsockname()[:2] for each in self.sockets]
        told = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in names]
        return tuple(told[which] for which in self.of)

    def close(self) -> None:
        """Close all."""
        for each in self.sockets:
            each.close()


def aimed(to: Sequence[str], callers: Sequence[Caller]) -> list[str]:
    """One destination per caller. Raises PlanError."""
    if len(to) != len(callers):
        raise PlanError(f"{len(callers)} callers need as many destinations, not {len(to)}")
    return list(to)


def resolved(to: Sequence[str], family: int) -> list[tuple[int, str, int]]:
    """Read destinations; raises PlanError for one that is missing, or of another family than the source."""
    told: list[tuple[int, str, int]] = []
    for text in to:
        if not text:
            raise PlanError("a caller has nowhere to send to")
        its, host, port = plans.address(text)
        if its != family:
            raise PlanError(f"{text} and the source are not of the same IP version")
        told.append((int(its), host, port))
    return told


def abouts(plan: Plan, sources: Sequence[str], to: Sequence[str]) -> list[About]:
    """Who sent, for the log."""
    return [
        About(caller.id, sound.CROWD if plan.lean else caller.voice, source, where, caller.codec, plan.seed)
        for caller, source, where in zip(plan.callers, sources, to, strict=True)
    ]
