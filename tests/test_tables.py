"""``[[hook]]``: either a program or a URL, each once, and nothing that is read and ignored."""

from pathlib import Path

import pytest

from receiver.settings import ConfigError, load
from receiver.tables import Hook


def loaded(folder: Path, *hooks: str) -> tuple[Hook, ...]:
    """What is read from a file with these tables."""
    file = folder / "tapdeck.toml"
    file.write_text("".join(f"[[hook]]\n{hook}\n" for hook in hooks))
    return load(file, {}).hook


def test_a_url_and_a_program_are_hooks(tmp_path: Path) -> None:
    given = ('url = "https://x.example/y"\nsecret_file = "/k"', 'command = ["job", "-x"]\ntimeout_s = 3')
    url, program = loaded(tmp_path, *given)
    assert (url.url, url.command, url.secret_file, url.timeout_s) == ("https://x.example/y", (), "/k", 10)
    assert (program.url, program.command, program.timeout_s) == (None, ("job", "-x"), 3)


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        (['secret_file = "/k"'], "hook[0]: expected either command or url, found neither"),
        (['url = "https://x"\ncommand = ["job"]'], "hook[0]: expected either command or url, found both"),
        (['url = "https://x"', 'url = "https://x"'], "hook[1]: expected another command or url than before"),
        (['command = ["job"]\nsecret_file = "/k"'], "hook[0].secret_file: expected none with a command"),
        (['url = "ftp://x"'], "hook[0].url: expected a URL like"),
        (['url = "https://x?token=geheim"'], "hook[0].url: expected a URL like"),
        (['url = "https://x"\ntimeout_s = 0'], "(look at hook[0].timeout_s)"),
        (['command = "job -x"'], "(look at hook[0].command)"),
        (['url = "https://x"\nevents = ["tap.finished"]'], "hook: expected a list, each a table with command, url"),
    ],
)
def test_a_hook_that_means_nothing_stops_the_start(tmp_path: Path, hooks: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *hooks)
    assert said in str(caught.value)
