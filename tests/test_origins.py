"""Origins: who outranks whom, and that a mistake in a name never goes unnoticed."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from receiver.origins import LONGEST_SECRET, Gathering, gather
from receiver.settings import KEYS


class Origin(NamedTuple):
    """What makes ``gather`` find this value."""

    value: str
    path: Path | None
    environ: dict[str, str]
    flags: dict[str, object]


def found(path: Path | None = None, environ: dict[str, str] | None = None, **flags: object) -> Gathering:
    named = {name.replace("__", "."): value for name, value in flags.items()}
    return gather(KEYS, path, environ or {}, named)


@pytest.fixture
def origins(tmp_path: Path) -> list[Origin]:
    """All origins of ``http.token`` in falling rank."""
    secret, credentials, file = tmp_path / "secret", tmp_path / "credentials", tmp_path / "tapdeck.toml"
    secret.write_text("from a file of a secret\n")
    credentials.mkdir()
    (credentials / "http.token").write_text("from a credential\n")
    file.write_text('[http]\ntoken = "from the file"\n')
    return [
        Origin("from a flag", None, {}, {"http.token": "from a flag"}),
        Origin("from the environment", None, {"TAPDECK_HTTP__TOKEN": "from the environment"}, {}),
        Origin("from a file of a secret", None, {"TAPDECK_HTTP__TOKEN_FILE": str(secret)}, {}),
        Origin("from a credential", None, {"CREDENTIALS_DIRECTORY": str(credentials)}, {}),
        Origin("from the file", file, {}, {}),
    ]


def test_flags_then_environment_then_files_of_secrets_then_the_file(origins: list[Origin]) -> None:
    for upper, lower in pairwise(origins):
        both = gather(KEYS, upper.path or lower.path, lower.environ | upper.environ, lower.flags | upper.flags)
        assert both.found["http.token"].value == upper.value
        alone = gather(KEYS, lower.path, lower.environ, lower.flags)
        assert alone.found["http.token"].value == lower.value
        assert not both.problems
        assert not alone.problems


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[media]\ntik_ms = 1\n", "media.tik_ms: no such key; did you mean media.tick_ms?"),
        ("[storage]\ntick_ms = 1\n", "storage.tick_ms: no such key; did you mean media.tick_ms?"),
        ("[meda]\ntick_ms = 1\n", "meda: no such key; did you mean media?"),
        ("[[hooks]]\nurl = 'x'\n", "hooks: no such key; did you mean hook?"),
        ("tick_ms = 1\n", "tick_ms: no such key; did you mean media.tick_ms?"),
        ("[media.ports]\nfirst = 1\n[zzz]\n", "zzz: no such key ("),
        ("media = 3\n", "media: expected a table, found int"),
        ("[[media]]\n", "media: expected a table, found list"),
    ],
)
def test_an_unknown_key_in_the_file_is_named_with_the_one_that_was_meant(
    tmp_path: Path, toml: str, sentence: str
) -> None:
    file = tmp_path / "tapdeck.toml"
    file.write_text(toml)
    assert found(file).problems == [problem for problem in found(file).problems if problem.startswith(sentence)]
    assert found(file).problems
    assert str(file) in found(file).problems[0]


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("TAPDECK_MEDIA__TIK_MS", "media.tik_ms: no such key; did you mean media.tick_ms? (environment TAPDECK_"),
        ("TAPDECK_MEDIA_TICK_MS", "TAPDECK_MEDIA_TICK_MS: not read; did you mean TAPDECK_MEDIA__TICK_MS (two"),
        ("TAPDECK_HOOK__URL", "hook.url: no such key"),
        ("TAPDECK_MEDIA__BIND_FILE", "media.bind_file: no such key; did you mean media.bind?"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(variable: str, sentence: str) -> None:
    (problem,) = found(environ={variable: "1"}).problems
    assert problem.startswith(sentence)


@pytest.mark.parametrize(
    "variable", ["TAPDECK_URL", "TAPDECK_CONFIG", "TAPDECK_TESTS_ALL", "TAPDECK_HTTP_PORT", "HOME", "tapdeck_media__x"]
)
def test_variables_of_others_are_left_alone(variable: str) -> None:
    gathering = found(environ={variable: "1"})
    assert not gathering.problems
    assert not gathering.found


def test_an_unknown_flag_is_a_problem_and_one_that_was_not_given_is_none() -> None:
    gathering = found(media__tick_ms=None, media__tik_ms=3)
    assert gathering.problems == ["media.tik_ms: no such key; did you mean media.tick_ms? (flag)"]
    assert not gathering.found


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "an empty one"),
        (b"  \n", "an empty one"),
        (b"\xff", "not UTF-8"),
        (b"x" * (LONGEST_SECRET + 1), "more than"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_problem(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    (problem,) = found(environ={"TAPDECK_HTTP__TOKEN_FILE": str(file)}).problems
    assert problem.startswith("http.token: expected ")
    assert why in problem


def test_a_file_of_a_secret_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (problem,) = found(environ={"TAPDECK_HTTP__TOKEN_FILE": str(tmp_path / "nope")}).problems
    assert "No such file or directory" in problem


def test_a_file_of_a_secret_that_is_outranked_is_not_even_looked_for(tmp_path: Path) -> None:
    environ = {"TAPDECK_HTTP__TOKEN_FILE": str(tmp_path / "nope"), "TAPDECK_HTTP__TOKEN": "there"}
    assert not found(environ=environ).problems


def test_a_folder_of_credentials_need_not_hold_ours(tmp_path: Path) -> None:
    (tmp_path / "else").write_text("x")
    gathering = found(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert not gathering.found
    assert not gathering.problems


def test_signalwires_names_work_below_ours(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.write_text("p\n")
    environ = {"SIGNALWIRE_PROJECT_ID_FILE": str(project), "SIGNALWIRE_API_TOKEN": "t", "SIGNALWIRE_SPACE": "s.example"}
    theirs = gather(KEYS, None, environ, {})
    values = {name: each.value for name, each in theirs.found.items()}
    assert values == {"relay.project": "p", "relay.token": "t", "relay.host": "s.example"}
    ours = gather(KEYS, None, environ | {"TAPDECK_RELAY__TOKEN": "ours"}, {})
    assert ours.found["relay.token"].value == "ours"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        (b"[media\n", "not a TOML file: "),
        (b"a = '\xff'", "not a TOML file: "),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "tapdeck.toml"
    if content is not None:
        file.write_bytes(content)
    (problem,) = found(file).problems
    assert problem.startswith(f"{file}: {sentence}")
