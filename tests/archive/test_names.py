"""Names: spool tells the state by them, and no word of a stranger becomes a path."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive import names
from receiver.archive.names import DEFAULT_PATTERN, PartKey, Spooled
from tests.archive.world import ID

AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_each_name_in_spool_is_read_back() -> None:
    assert names.parse(PartKey(ID, 1, 2, 16_000).name) == Spooled("part", ID, 1, 2, 16_000)
    assert names.parse(names.draft(ID)) == Spooled("draft", ID)
    assert names.parse(names.notes(ID)) == Spooled("notes", ID)
    assert names.parse(names.final(ID)) == Spooled("json", ID)
    assert names.parse(names.done(ID)) == Spooled("done", ID)
    assert names.parse(names.segment(ID, 3)) == Spooled("segment", ID, segment=3)
    assert names.parse(names.woven(ID, 3)) == Spooled("wav", ID, segment=3)
    assert names.parse(names.segment(ID, 3) + ".tmp") == Spooled("tmp", ID)
    assert names.log_owner(names.log(7)) == 7


@pytest.mark.parametrize(
    "name",
    ["spool/notes.txt", f"spool/{ID}", f"spool/{ID}.wav", f"spool/{ID.upper()}.draft", f"spool/x{ID}.draft", "spool/"],
)
def test_foreign_names_are_nobodys(name: str) -> None:
    assert names.parse(name) is None
    assert names.log_owner(name) is None


@pytest.mark.parametrize("wrong", [ID.upper(), ID.replace("-", ""), "x", "", "../" + ID])
def test_an_id_is_a_uuid_in_canonical_form(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|hexadecimal"):
        names.require_id(wrong)


def test_the_default_name() -> None:
    assert names.render(DEFAULT_PATTERN, AT, ID) == f"20240506T070809Z_{ID}"


def test_folders_in_the_pattern() -> None:
    assert names.render("{started:%Y/%m}/{call_id}-{recording_id}", AT, ID, call_id="abc") == f"2024/05/abc-{ID}"


@pytest.mark.parametrize(
    "pattern",
    [
        "", "fixed", "{recording_id}.x", "{recording_id}{started:%Y}", "{other}_{recording_id}", "/{recording_id}",
        "../{recording_id}", "a/../{recording_id}", ".{recording_id}", "a//{recording_id}",
        "{started.year}_{recording_id}", "{started!r}_{recording_id}", "{recording_id:>99}",
        "{started:{tap_id}}_{recording_id}", "{0}_{recording_id}",
        "a\n{recording_id}", "a" * 300 + "{recording_id}", "{started:%Y", "{started:/etc/%Y}_{recording_id}",
    ],
)  # fmt: skip
def test_d10_a_pattern_that_could_harm_is_refused_with_a_sentence(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        names.check_pattern(pattern)
    assert names.render(pattern, AT, ID) == f"20240506T070809Z_{ID}"  # and never costs a recording


@given(call_id=st.text(max_size=100), tap_id=st.text(max_size=100))
def test_d10_what_a_stranger_calls_a_call_never_becomes_a_path(call_id: str, tap_id: str) -> None:
    name = names.render("x{call_id}/{tap_id}_{recording_id}", AT, ID, tap_id, call_id)
    folder, base = name.split("/")
    assert folder.startswith("x")
    assert base.endswith(ID)
    assert ".." not in name
    assert name.isascii()


@pytest.mark.parametrize("suffix", [".wav", ".json", "-2.wav", "-17.json", ".001.wav", ".001-2.wav"])
def test_a_name_in_ready_tells_its_recording(suffix: str) -> None:
    assert names.recording_of(f"ready/2024/x_{ID}{suffix}") == ID


def test_a_foreign_name_in_ready_tells_none() -> None:
    assert names.recording_of("ready/x.wav") is None
    assert names.recording_of(f"ready/{ID}/x.wav") is None


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_recordings_sound_and_its_sidecar_share_a_name(suffix: str) -> None:
    assert names.without_suffix(f"ready/2026/x.y-2{suffix}") == "ready/2026/x.y-2"
    assert names.without_suffix("x.y") == "x.y"
    assert names.recording_of(f"ready/x_{ID}.002-3{suffix}") == ID
