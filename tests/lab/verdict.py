"""Writing a recording, spoiling it, and asking the proof."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from receiver.lab.proof import Proof, prove
from tests.lab.reference import Recording

Change = Callable[[dict[str, Any]], object]


def judge(made: Recording, folder: Path, change: Change | None = None, **more: Any) -> Proof:
    """Write a recording, spoil its sidecar if asked to, and prove it."""
    path = made.write(folder)
    if change is not None:
        told = json.loads(path.read_bytes())
        change(told)
        path.write_text(json.dumps(told))
    return prove(path, made.sent, **more)


def named(proof: Proof, finding: str) -> bool:
    """Whether the proof failed and says so in these words (a regular expression)."""
    assert not proof.exact
    return any(re.search(finding, sentence) for sentence in proof.findings)
