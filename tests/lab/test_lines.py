"""Lines from a pipe, each with a bound."""

import os
from collections.abc import Iterator

import pytest

from receiver.lab.lines import Gone, Lines, NoLine


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    out, into = os.pipe()
    yield out, into
    for fd in (out, into):
        try:
            os.close(fd)
        except OSError:
            assert fd == into  # a test closed it


def test_lines_are_told_apart_however_they_come(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[0])
    os.write(pipe[1], b"one\ntwo\nth")
    assert [lines.next(1), lines.next(1)] == [b"one", b"two"]
    os.write(pipe[1], b"ree\n")
    assert lines.next(1) == b"three"


def test_no_line_in_time_is_told(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"half")
    with pytest.raises(NoLine, match=r"0\.01 s"):
        Lines(pipe[0]).next(0.01)


def test_waiting_can_be_given_up(pipe: tuple[int, int]) -> None:
    with pytest.raises(NoLine):
        Lines(pipe[0]).next(3600, lambda: True)


def test_a_closed_pipe_is_told(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"last\nhalf")
    os.close(pipe[1])
    lines = Lines(pipe[0])
    assert lines.next(1) == b"last"
    with pytest.raises(Gone):
        lines.next(1)
