"""What a worker does for the folder as a whole."""

import asyncio
import os
from pathlib import Path

from receiver.archive.names import RESERVE
from receiver.archive.reserve import ReservedFiles
from receiver.worker.errands import Errands
from receiver.worker.housekeeping import Housekeeping
from tests.archive.world import ID
from tests.worker.office import until


async def test_the_reserve_is_kept_and_the_old_removed(tmp_path: Path) -> None:
    files = ReservedFiles(tmp_path, 4_096)
    for suffix in ("wav", "json"):
        path = tmp_path / "ready" / f"x_{ID}.{suffix}"
        path.write_bytes(b"")
        os.utime(path, (1, 1))
    errands = Errands()
    chores = Housekeeping(files, errands, keep_ns=1).start()
    await until(lambda: (tmp_path / RESERVE).exists() and not list((tmp_path / "ready").iterdir()))
    for chore in chores:
        chore.cancel()
    await asyncio.gather(*chores, return_exceptions=True)
    files.close()


async def test_by_default_nothing_is_ever_removed(tmp_path: Path) -> None:
    files = ReservedFiles(tmp_path, 0)
    chores = Housekeeping(files, Errands(), keep_ns=0).start()
    assert len(chores) == 1
    chores[0].cancel()
    await asyncio.gather(*chores, return_exceptions=True)
    files.close()
