"""Recordings that lie in ``ready/`` for too long are removed, if the operator says so (``keep_days``); else never."""

from receiver.archive import names
from receiver.archive.files import Files


def remove_old(files: Files, before_ns: int) -> list[str]:
    """Remove every recording whose sidecar was put there before ``before_ns`` (UNIX time); return its names.

    The sidecar goes first: it is the signal, and nobody shall begin with a recording that goes. Sound without a sidecar
    is what an earlier removal left, or a long recording that is still open: that has a draft, and stays. Blocking.
    """
    recordings: dict[str, list[str]] = {}
    for name in files.listing("ready"):
        recording_id = names.recording_of(name)
        if recording_id is not None:
            recordings.setdefault(recording_id, []).append(name)
    removed: list[str] = []
    for recording_id, held in recordings.items():
        sidecars = [name for name in held if name.endswith(".json")]
        dated = sidecars or held
        if not sidecars and files.stat(names.draft(recording_id)) is not None:
            continue
        if all((seen := files.stat(name)) is None or seen.modified_ns < before_ns for name in dated):
            for name in (*sidecars, *(name for name in held if name not in sidecars)):
                files.unlink(name)
                removed.append(name)
    return removed
