"""The memory file: allocated and touched before the first receive (K1), never mapped for another layout."""

import errno
import os
import struct
from typing import Any

import numpy as np
import pytest

from receiver.media.packets import DENSITY
from receiver.media.state import PACKED, SOUND, LayoutError, Shape, State
from receiver.net.slab import open_slab, slab_octets
from receiver.worker.memory import SLAB_ROWS, SPARE_PACKED, Memory, choose


def test_a_fresh_memory_is_laid_out_once_and_found_again(memory: int) -> None:
    first = Memory(memory, 4, 28_000)
    first.state.now.world["patches"] = 7
    first.state.commit()
    second = Memory(memory, 4, 28_000)
    assert (first.fresh, second.fresh) == (True, False)
    assert int(second.state.live.world["patches"][0]) == 7


def test_k1_all_that_the_kernel_writes_into_has_its_pages_before_the_first_receive(memory: int) -> None:
    """A hole in the file would be a fault in the middle of a receive, and the datagram lost."""
    one = Memory(memory, 4, 28_000)
    _, before_ring = State.needed(one.state.shape)
    assert os.fstat(memory).st_blocks * 512 >= before_ring
    open_slab(one.state.slab, SLAB_ROWS).point()
    slab = one.state.slab.ctypes.data - one.state._header.ctypes.data
    assert os.lseek(memory, slab, os.SEEK_DATA) == slab
    assert os.lseek(memory, slab, os.SEEK_HOLE) >= slab + slab_octets(SLAB_ROWS)
    row = one.state.shape.taps - 1
    start, length = one.state.ring_extent(row)
    allocated = os.fstat(memory).st_blocks
    one.allocate(row)
    assert os.fstat(memory).st_blocks - allocated == length // 512
    assert start >= before_ring
    one.allocate(row)
    assert os.fstat(memory).st_blocks - allocated == length // 512


def test_a_worker_that_died_before_it_had_laid_out_leaves_a_fresh_memory(memory: int) -> None:
    octets, before_ring = State.needed(Shape.of(4, 28_000, slab_octets(SLAB_ROWS))._replace(density=DENSITY))
    os.ftruncate(memory, octets)
    os.posix_fallocate(memory, 0, before_ring)
    assert Memory(memory, 4, 28_000).fresh


@pytest.mark.parametrize(("taps", "window"), [(5, 28_000), (4, 30_000)])
def test_a_memory_of_other_settings_is_not_mapped_nor_changed(taps: int, window: int, memory: int) -> None:
    size = Memory(memory, 4, 28_000).state.octets
    with pytest.raises(LayoutError, match="octets"):
        Memory(memory, taps, window)
    assert os.fstat(memory).st_size == size
    assert not Memory(memory, 4, 28_000).fresh


def test_a_memory_of_another_version_is_not_mapped_nor_changed(memory: int) -> None:
    Memory(memory, 4, 28_000)
    os.pwrite(memory, struct.pack("=q", 999), 8)
    blocks = os.fstat(memory).st_blocks
    with pytest.raises(LayoutError, match="begins with"):
        Memory(memory, 4, 28_000)
    assert os.fstat(memory).st_blocks == blocks


def test_a_file_of_somebody_else_is_not_ours(memory: int) -> None:
    os.write(memory, b"something quite different")
    with pytest.raises(LayoutError):
        Memory(memory, 4, 28_000)
    assert os.fstat(memory).st_size == 25


def test_too_little_memory_for_spare_rows_does_not_end_the_worker(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.posix_fallocate, [3]  # what all share, and two spare rows

    def scarce(descriptor: int, offset: int, length: int, /) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", scarce)
    one = Memory(memory, 4, 28_000)
    assert int(one.state.allocated.sum()) == 2
    with pytest.raises(OSError, match="No space"):
        one.allocate(0)
    assert not one.state.allocated[0]


def test_without_memory_for_what_all_share_there_is_no_worker(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", none)
    with pytest.raises(OSError, match="No space"):
        Memory(memory, 4, 28_000)


def test_rows_do_not_overlap(memory: int) -> None:
    one = Memory(memory, 2, 28_000)
    for row in range(2):
        one.allocate(row)
        one.state.ring[row] = row + 1
    assert np.array_equal(np.unique(one.state.ring[0]), [1])


def test_d7_the_first_memory_that_is_understood_is_taken(memory: int) -> None:
    Memory(memory, 4, 30_000)
    fresh = os.memfd_create("fresh")
    one, which = choose([memory, fresh], 4, 28_000)
    assert (one.fresh, which) == (True, 1)
    one, which = choose([memory, fresh], 4, 30_000)
    assert (one.fresh, which) == (False, 0)
    with pytest.raises(LayoutError):
        choose([memory], 4, 28_000)
    os.close(fresh)


def test_a3_idle_rows_are_kept_ready_for_candidates_as_far_as_there_are_any(memory: int) -> None:
    one = Memory(memory, 40, 28_000)
    shape, state = one.state.shape, one.state
    before = int(np.count_nonzero(state.allocated))
    assert before == shape.rows - shape.taps
    one.keep_spare(before)
    assert np.count_nonzero(state.allocated) == before, "there are so many already"
    one.keep_spare(before + 10)
    assert np.count_nonzero(state.allocated) == before + 10
    state.touch("rows", 0)
    state.now.rows["tap"][0] = 3  # somebody's
    state.commit()
    one.keep_spare(before + 10)
    assert np.count_nonzero(state.allocated) == before + 11
    one.keep_spare(10_000)
    assert np.count_nonzero(state.allocated) == shape.rows - (state.allocated[0] == 0)


def test_too_little_memory_for_spare_rows_is_said_and_raises_nothing(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Memory(memory, 40, 28_000)

    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    before = int(np.count_nonzero(one.state.allocated))
    one.keep_spare(before + 10)
    assert np.count_nonzero(one.state.allocated) == before


def test_rows_of_packets_take_their_memory_only_for_taps_of_opus(memory: int) -> None:
    one = Memory(memory, 4, 28_000)
    before = os.fstat(memory).st_blocks
    one.allocate(0)
    plain = os.fstat(memory).st_blocks - before
    one.allocate(1, packed=True)
    both = os.fstat(memory).st_blocks - before - plain
    assert plain * 512 == one.state.ring_extent(0)[1]
    assert both * 512 == one.state.ring_extent(1)[1] + one.state.packed_extent(1)[1]
    assert one.state.allocated[:2].tolist() == [SOUND, PACKED]
    one.allocate(0, packed=True)
    one.keep_spare_packed()
    assert np.count_nonzero(one.state.allocated == PACKED) == SPARE_PACKED, "those that are there are counted"
