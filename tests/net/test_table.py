"""The slab's memory: what is written in which order (rules K1 to K3)."""

import ctypes
import mmap
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.net.table import HEADER, ROW, Table, slab_octets

ROWS = 100
FRESH_ROWS = 700


def mapped_pages(memory: mmap.mmap) -> list[bool]:
    """Which pages of a mapping this process has in its page table (proc(5), pagemap, bit 63)."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(address // mmap.PAGESIZE * 8)
        entries = np.frombuffer(pagemap.read(len(memory) // mmap.PAGESIZE * 8), np.uint64)
    return [bool(entry >> 63) for entry in entries.tolist()]


def random_memory(seed: int) -> NDArray[np.uint8]:
    memory = np.random.default_rng(seed).integers(0, 256, slab_octets(ROWS) + 8, np.uint8)
    return memory[-memory.ctypes.data % 8 :][: slab_octets(ROWS)]


def contents(table: Table) -> list[bytes]:
    """Everything of a table but its pointers."""
    message = [table._message[column].tobytes() for column in ("namelen", "controllen", "flags", "size")]
    return [
        *message, table.tap.tobytes(), table.octets.tobytes(), table._name.tobytes(), table._control.tobytes(),
        table._header.tobytes(),
    ]  # fmt: skip


def test_k1_pointing_touches_every_page_of_a_fresh_mapping(memory_file: int) -> None:
    memory = mmap.mmap(memory_file, slab_octets(ROWS))
    table = Table(memory, ROWS)
    assert not any(mapped_pages(memory))
    table.point()
    assert all(mapped_pages(memory))


@given(st.integers(0, 2**32 - 1))
def test_k2_pointing_changes_nothing_but_pointers(seed: int) -> None:
    table = Table(random_memory(seed), ROWS)
    before = contents(table)
    table.point()
    assert contents(table) == before


def test_k2_each_pointer_points_to_its_own_row() -> None:
    table = Table(random_memory(1), ROWS)
    table.point()
    for pointer, column in (("name", table._name), ("vector", table._vector), ("control", table._control)):
        assert table._message[pointer].tolist() == [column[row:].ctypes.data for row in range(ROWS)]
    assert table._vector["base"].tolist() == [table.octets[row:].ctypes.data for row in range(ROWS)]
    assert set(table._vector["size"].tolist()) == {ROW}
    assert set(table._message["vectors"].tolist()) == {1}


class Spy:
    """Stands before a record and notes how the table looked when a field was written."""

    def __init__(self, record: np.void, look: Callable[[], object]) -> None:
        self._record, self._look = record, look
        self.seen: list[tuple[str, object]] = []

    def __getitem__(self, field: str) -> object:
        return self._record[field]

    def __setitem__(self, field: str, value: int) -> None:
        self.seen.append((field, self._look()))
        self._record[field] = value


@given(st.integers(0, 2**32 - 1))
def test_k3_the_generation_is_the_last_thing_that_begin_writes(seed: int) -> None:
    table = Table(random_memory(seed), ROWS)
    record = table._header
    spy = Spy(record, lambda: (int(table.size.max()), int(record["now_ns"]), int(record["attempts"])))
    table._header = spy
    table.begin(7)
    assert spy.seen[-1] == ("generation", (0, 0, 0))
    assert [field for field, _ in spy.seen].count("generation") == 1
    assert (table.generation, table.now_ns, table.attempts, table.used(), table.room) == (7, 0, 0, 0, ROWS)


@pytest.mark.parametrize(("filled", "count"), [([], 0), ([0], 1), ([0, 1, 2], 3), ([0, 2], 3), ([ROWS - 1], ROWS)])
def test_k3_rows_are_in_hand_only_for_their_own_generation(filled: list[int], count: int) -> None:
    table = Table(np.zeros(slab_octets(ROWS), np.uint8), ROWS)
    table.begin(7)
    table.size[filled] = 172
    assert table.in_hand(8) == 0
    assert table.used() == 0
    assert table.in_hand(5) == 0
    assert table.in_hand(7) == count
    assert table.used() == count


@pytest.mark.parametrize("died", [False, True])
def test_k3_a_turn_that_comes_first_puts_off_what_is_in_hand(died: bool) -> None:
    table = Table(np.zeros(slab_octets(ROWS), np.uint8), ROWS)
    table.begin(7)
    table.size[:3] = 172
    table.put_off(7)
    if died:  # before that turn's end
        assert table.in_hand(7) == 3
        table.put_off(7)
    assert table.in_hand(8) == 3
    assert table.in_hand(9) == 0
    table.put_off(9)
    assert table.in_hand(9) == 0, "it was run"


def test_a_seal_is_read_back() -> None:
    table = Table(np.zeros(slab_octets(ROWS), np.uint8), ROWS)
    table.begin(1)
    table.seal(123, -456)
    table.attempts += 1
    assert (table.now_ns, table.offset_ns, table.attempts) == (123, -456, 1)


def test_no_column_lies_on_another() -> None:
    memory = np.zeros(slab_octets(ROWS), np.uint8)
    table = Table(memory, ROWS)
    columns = [table.tap, table._message, table._vector, table._name, table._control, table.octets]
    end = memory.ctypes.data + HEADER.itemsize
    for column in columns:
        assert column.ctypes.data >= end
        end = column.ctypes.data + column.nbytes
    assert end <= memory.ctypes.data + memory.nbytes


@pytest.mark.parametrize("rows", [1, ROWS, FRESH_ROWS, 4096])
def test_a_slab_needs_whole_pages_and_little_beside_the_datagrams(rows: int) -> None:
    assert slab_octets(rows) % mmap.PAGESIZE == 0
    assert rows * ROW < slab_octets(rows) <= rows * (ROW + 150) + 3 * mmap.PAGESIZE


def test_memory_that_is_too_small_or_read_only_or_crooked_is_refused() -> None:
    memory = np.zeros(slab_octets(ROWS) + 8, np.uint8)
    memory = memory[-memory.ctypes.data % 8 :]
    with pytest.raises(ValueError, match="smaller"):
        Table(memory[:1000], ROWS)
    with pytest.raises(ValueError, match="multiple of 8"):
        Table(memory[1:][: slab_octets(ROWS)], ROWS)
    with pytest.raises(ValueError, match="writable"):
        Table(memory.data.toreadonly(), ROWS)
