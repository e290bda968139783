"""``tapdeck lab switch``: what it takes and what it refuses. That it is a switch: tests/lab/switch and tests/sdk."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.cli.labswitch import command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "nowhere"], "ADDRESS:PORT"),
        (["--weather", "monsoon"], "monsoon"),
        (["--faults", '{"garbge": 1}'], "garbge"),
        (["--faults", "{"], "truncated"),
        (["--certificate", __file__], "go together"),
        (["--certificate", "/nowhere"], "does not exist"),
    ],
)
def test_what_means_nothing_is_exit_2(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(command, ["--token", "t", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_token_is_needed_and_the_environment_is_where_it_belongs() -> None:
    done = CliRunner().invoke(command, [], env={"TAPDECK_LAB_TOKEN": ""})
    assert done.exit_code == 2
    assert "everybody on this host sees" in " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_person_is_told_where_it_listens_and_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    arguments = ["lab", "switch", "--listen", "127.0.0.1:0", "--speech", "--log", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "receiver", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"TAPDECK_LAB_TOKEN": "t"}, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline().startswith("the switch listens on ws://127.0.0.1:")
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, "")
