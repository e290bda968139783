"""The arrays of tables: whole, each once, and nothing that is read and ignored."""

from pathlib import Path

import pytest

from receiver.settings import ConfigError, load
from receiver.tables import Hook, Listen


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


def listens(folder: Path, *tables: str, allow: str = "[]") -> tuple[Listen, ...]:
    file = folder / "tapdeck.toml"
    file.write_text(f"media.allow = {allow}\n" + "".join(f"[[listen]]\n{table}\n" for table in tables))
    return load(file, {}).listen


def test_a_port_that_is_always_open(tmp_path: Path) -> None:
    one, two = listens(
        tmp_path, 'port = 30000\ncodec = "PCMA"\nlabel = "gate=3=x"\nsource = "203.0.113.7:9"', "port = 30001",
        allow='["192.0.2.0/24"]',
    )  # fmt: skip
    assert (one.port, one.codec, one.labels) == (30_000, "PCMA", {"gate": "3=x"})
    assert one.admitted() == ("exact", ("203.0.113.7", 9))
    assert (two.codec, two.labels, two.admitted()) == ("PCMU", {}, ("allow-list", None))


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (["port = 30000"], "listen[0].source: expected"),
        (['port = 30000\nsource = "x"'], "listen[0].source: expected"),
        (['port = 30000\nsource = "any"', 'port = 30000\nsource = "any"'], "listen[1].port: expected another one"),
        (['port = 80\nsource = "any"'], "(look at listen[0].port)"),
        (['port = 30000\nsource = "any"\nlabel = "x"'], "(look at listen[0].label)"),
        (['port = 30000\nsource = "any"\ncodec = "G722"'], "(look at listen[0].codec)"),
    ],
)
def test_a_port_that_means_nothing_stops_the_start(tmp_path: Path, tables: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listens(tmp_path, *tables)
    assert said in str(caught.value)


def test_a13_with_rtcp_on_the_next_port_an_open_port_is_even(tmp_path: Path) -> None:
    """RFC 3550, section 11."""
    table = 'port = 30001\nsource = "any"'
    assert listens(tmp_path, table)
    file = tmp_path / "both.toml"
    file.write_text(f'media.rtcp = "both"\n[[listen]]\n{table}\n')
    with pytest.raises(ConfigError, match=r"listen\[0\].port: expected an even one.*found 30001"):
        load(file, {})
