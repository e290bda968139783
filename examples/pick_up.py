"""A job that takes finished recordings away: wait for a sidecar, copy, verify, and only then remove.

    python3 pick_up.py READY TAKEN [--once]

TAKEN may lie on another file system, as between two volumes of containers. TAKEN/<recording_id>/ is there whole or not
at all, whatever happens on the way; what was broken off is done again.
"""

import json
import os
import shutil
import sys
import time
from hashlib import sha256
from pathlib import Path


def take(told: Path, taken: Path) -> None:
    """Take one recording. ``told``: its sidecar, which comes last and so is the signal."""
    note = json.loads(told.read_bytes())
    wavs = {note["file"]: note["sha256"]} if note["file"] else {each["file"]: each["sha256"] for each in note["parts"]}
    whole, box = taken / note["recording_id"], taken / f".{note['recording_id']}"
    if not whole.exists():
        box.mkdir(exist_ok=True)
        for name in (*wavs, told.name):
            shutil.copyfile(told.parent / name, box / name)
        for name, digest in wavs.items():
            if sha256((box / name).read_bytes()).hexdigest() != digest:
                print(f"{told.parent / name} is not what its sidecar says: left where it is", file=sys.stderr)
                return
        os.sync()  # ours is on the disk before the original goes
        box.rename(whole)
    for name in (*wavs, told.name):
        (told.parent / name).unlink(missing_ok=True)


def main(ready: Path, taken: Path, once: bool) -> None:
    while True:
        for told in sorted(ready.rglob("*.json")):
            take(told, taken)
        if once:
            return
        time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), once="--once" in sys.argv[3:])
