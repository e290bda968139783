"""A sender in a process of its own, as tests, benchmarks and the demo start it.

The child (``python -m receiver lab send --plan - --wait``) reads a line with the plan, binds, prints a line with its
addresses, waits for a line (with destinations, or empty), sends, prints a line with the summary, and ends. All lines
are JSON.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import msgspec

from receiver.lab.lines import Gone, Lines, NoLine
from receiver.lab.pace import Summary
from receiver.lab.plan import Plan

START_TIMEOUT_S: Final = 30.0


class Ready(msgspec.Struct, frozen=True):
    """The child's first line: each caller's own address, "host:port", in the plan's order."""

    sources: tuple[str, ...]


class Go(msgspec.Struct, frozen=True):
    """The line that starts it: where the callers' packets go, in the plan's order; empty: as the plan says."""

    to: tuple[str, ...] = ()


class SenderFailed(RuntimeError):
    """The child did not do what it should; the message carries what it said on stderr."""


class SenderProcess:
    """Starts bound and waiting. Every wait is bounded; ``with`` ends the child whatever happens."""

    def __init__(self, plan: Plan) -> None:
        arguments = [sys.executable, "-m", "receiver", "lab", "send", "--plan", "-", "--wait", "--json"]
        self._child = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        assert self._child.stdout is not None
        self._lines = Lines(self._child.stdout.fileno())
        try:
            self._say(msgspec.json.encode(plan))
            self.sources = msgspec.json.decode(self._line(START_TIMEOUT_S), type=Ready).sources
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The child's."""
        return self._child.pid

    def go(self, to: Sequence[str] = ()) -> None:
        """Start sending; ``to`` overrides the plan's destinations."""
        self._say(msgspec.json.encode(Go(tuple(to))))

    def stop(self) -> None:
        """Let it end before its time: it still writes its log and its summary."""
        self._child.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> Summary:
        """Wait for the summary; raises SenderFailed when the child fails or takes longer."""
        summary = msgspec.json.decode(self._line(timeout_s), type=Summary)
        try:
            code = self._child.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise SenderFailed("the sender said that it was done and did not end") from None
        if code != 0:
            raise SenderFailed(f"the sender ended with {code}: {self._complaint()}")
        return summary

    def close(self) -> None:
        """End the child, if it still lives, and the pipes."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "SenderProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _say(self, line: bytes) -> None:
        assert self._child.stdin is not None
        left = memoryview(line + b"\n")
        try:
            while left:
                left = left[os.write(self._child.stdin.fileno(), left) :]
        except BrokenPipeError:
            raise SenderFailed(f"the sender is gone: {self._complaint()}") from None

    def _line(self, timeout_s: float) -> bytes:
        try:
            return self._lines.next(timeout_s)
        except Gone:
            raise SenderFailed(f"the sender ended: {self._complaint()}") from None
        except NoLine as error:
            raise SenderFailed(f"nothing from the sender: {error}") from None

    def _complaint(self) -> str:
        """What the child left on stderr; only asked when it is ending."""
        assert self._child.stderr is not None
        try:
            self._child.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
        return self._child.stderr.read().decode(errors="replace").strip()[-2_000:]
