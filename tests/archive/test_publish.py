"""Into ready/: never over somebody's file, the sidecar last, and again is once."""

import hashlib
from pathlib import Path

import pytest

from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.publish import Content, digest, place, publish, put_final
from receiver.archive.sidecar import Ending, Outcome, Problem, Sidecar, decode
from tests.archive.disk import Watched, kill_everywhere
from tests.archive.world import ID, lying, replaced

OCTETS = b"RIFF and so on"
SIDECAR = Sidecar(
    recording_id=ID, file=f"x_{ID}.wav", bytes=len(OCTETS), sha256=hashlib.sha256(OCTETS).hexdigest(), sample_rate=8000,
    frames=0, duration_s=0.0, ending=Ending.STOPPED, outcome=Outcome.COMPLETE, absent_frames=0,
)  # fmt: skip
STEM = f"x_{ID}"
WAV, JSON = f"{STEM}.wav", f"{STEM}.json"


def prepared(files: Files) -> Sidecar:
    files.write_durably(names.woven(ID, 0), OCTETS, 0o640)
    return put_final(files, SIDECAR)


def test_c4_the_sidecar_is_linked_last_and_the_folder_synced_before_anything_leaves_spool(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    sidecar = prepared(files)
    files.calls.clear()
    publish(files, STEM, sidecar)
    done = [call for call in files.calls if call[0] != "stat"]
    assert done == [
        ("make_folders", f"ready/{JSON}"), ("link", names.woven(ID, 0)), ("link", names.final(ID)),
        ("sync_folder", f"ready/{JSON}"), ("rename", names.final(ID)),
    ]  # fmt: skip
    assert lying(tmp_path) == [JSON, WAV]
    assert (tmp_path / "ready" / WAV).stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "ready" / JSON).stat().st_mode & 0o777 == 0o640
    files.close()


def test_p4_killed_anywhere_it_is_published_once(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    prepared(files)
    files.close()
    for _, directory in kill_everywhere(tmp_path, template, lambda files: publish(files, f"2024/{STEM}", SIDECAR)):
        files = Watched(directory, sync=False)
        if files.stat(names.done(ID)) is None:
            publish(files, f"2024/{STEM}", SIDECAR)
        assert lying(directory) == [f"2024/{JSON}", f"2024/{WAV}"]
        assert decode((directory / "ready" / "2024" / JSON).read_bytes()) == SIDECAR
        files.close()


def test_p4_what_a_quick_job_took_away_is_not_published_again(files: Files, tmp_path: Path) -> None:
    """Killed between the link of the sidecar and the rename in spool; the job was faster than the restart."""
    sidecar = prepared(files)
    files.make_folders(f"ready/2024/{JSON}")
    files.link(names.woven(ID, 0), f"ready/2024/{WAV}")
    files.link(names.final(ID), f"ready/2024/{JSON}")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ready" / "2024").rename(tmp_path / "elsewhere" / "2024")
    assert publish(files, f"2024/{STEM}", sidecar) == SIDECAR
    assert lying(tmp_path) == []
    assert files.stat(names.done(ID))


def test_c4_a_strangers_file_is_never_overwritten_and_ours_gets_a_number(files: Files, tmp_path: Path) -> None:
    for name in (WAV, f"{STEM}-2.wav"):
        (tmp_path / "ready" / name).write_bytes(b"of a stranger")
    published = publish(files, STEM, prepared(files))
    assert lying(tmp_path) == sorted([WAV, f"{STEM}-2.wav", f"{STEM}-3.wav", f"{STEM}-3.json"])
    assert (tmp_path / "ready" / WAV).read_bytes() == b"of a stranger"
    assert published.file == f"{STEM}-3.wav"
    assert isinstance(published.problem, Problem)
    assert published.problem.code == "name_taken"
    assert published.outcome is Outcome.COMPLETE  # nothing of the sound is lost
    assert decode((tmp_path / "ready" / f"{STEM}-3.json").read_bytes()) == published


def test_c4_where_only_the_sidecars_name_is_taken_it_still_names_the_right_file(files: Files, tmp_path: Path) -> None:
    (tmp_path / "ready" / JSON).write_bytes(b"of a stranger")
    published = publish(files, STEM, prepared(files))
    assert lying(tmp_path) == sorted([JSON, WAV, f"{STEM}-2.json"])
    assert decode((tmp_path / "ready" / f"{STEM}-2.json").read_bytes()) == published
    assert published.file == WAV
    assert isinstance(published.problem, Problem)


@pytest.mark.parametrize("taken", [[WAV], [JSON], [WAV, JSON, f"{STEM}-2.wav", f"{STEM}-2.json"]])
def test_c4_killed_anywhere_beside_a_stranger_it_is_published_once(taken: list[str], tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    prepared(files)
    for name in taken:
        (template / "ready" / name).write_bytes(b"of a stranger")
    publish_all = len(taken) + 2

    def act(files: Files) -> None:
        publish(files, STEM, decode(files.read(names.final(ID))))

    for _, directory in kill_everywhere(tmp_path, template, act):
        again = Watched(directory, sync=False)
        if again.stat(names.done(ID)) is None:
            act(again)
        assert len(lying(directory)) == publish_all
        assert decode(again.read(names.done(ID))).problem
        again.close()
    files.close()


@pytest.mark.parametrize("content", [OCTETS, None], ids=["same content", "same file"])
def test_c4_our_own_twin_is_ours(content: bytes | None, files: Files, tmp_path: Path) -> None:
    sidecar = prepared(files)
    if content is None:
        files.link(names.woven(ID, 0), f"ready/{WAV}")
    else:
        (tmp_path / "ready" / WAV).write_bytes(content)
    assert publish(files, STEM, sidecar) == SIDECAR
    assert lying(tmp_path) == [JSON, WAV]


def test_c4_the_same_file_is_told_without_reading_it(tmp_path: Path) -> None:
    files = Watched(tmp_path)
    sidecar = prepared(files)
    files.link(names.woven(ID, 0), f"ready/{WAV}")
    files.calls.clear()
    publish(files, STEM, sidecar)
    assert "pread" not in [verb for verb, _ in files.calls]
    files.close()


def test_a_link_or_a_folder_of_our_name_is_a_strangers(files: Files, tmp_path: Path) -> None:
    (tmp_path / "ready" / WAV).symlink_to(tmp_path / "spool" / f"{ID}.0.wav")
    (tmp_path / "ready" / f"{STEM}-2.wav").mkdir()
    assert publish(files, STEM, prepared(files)).file == f"{STEM}-3.wav"


def test_a_folder_full_of_our_names_is_an_error_and_no_endless_loop(files: Files, tmp_path: Path) -> None:
    files.write_durably(names.woven(ID, 0), OCTETS)
    for number in range(100):
        (tmp_path / "ready" / (WAV if number == 0 else f"{STEM}-{number + 1}.wav")).write_bytes(b"")
    with pytest.raises(FileExistsError):
        place(files, names.woven(ID, 0), f"ready/{WAV}", Content(len(OCTETS), ""), lambda _: None)


def test_without_a_final_sidecar_nothing_is_published(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        publish(files, STEM, SIDECAR)


def test_a_sidecar_alone(files: Files, tmp_path: Path) -> None:
    alone = replaced(SIDECAR, file=None, outcome=Outcome.EMPTY)
    put_final(files, alone)
    assert publish(files, STEM, alone) == alone
    assert lying(tmp_path) == [JSON]


def test_digest_of_a_file_longer_than_a_chunk(files: Files) -> None:
    files.write_durably("ready/x", bytes(3_000_000))
    assert digest(files, "ready/x") == hashlib.sha256(bytes(3_000_000)).hexdigest()
