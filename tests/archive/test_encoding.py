"""The forms of a recording: exact or not taken, by the samples themselves; read by everybody else's programs."""

import errno
import hashlib
import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from receiver.archive import commitlog, names, wav
from receiver.archive.check import check
from receiver.archive.commitlog import pack
from receiver.archive.encoding import ALAW_WAV, FLAC_FILE, PCM16_WAV, ULAW_WAV, Form, Shape, Written, forms
from receiver.archive.files import Files, Piece
from receiver.archive.finish import finish, finished, forget
from receiver.archive.names import PartKey, Spooled
from receiver.archive.repair import Described, repair
from receiver.archive.reserve import ReservedFiles
from receiver.archive.roll import roll
from receiver.archive.sidecar import Draft, Sidecar, decode
from receiver.media.block import ABSENT
from receiver.wire.g711 import ALAW, ULAW
from tests.archive.disk import Watched, kill_everywhere
from tests.archive.world import ID, NAME, NOON_NS, Sound, draft, facts, lay, lying, sound, with_absence
from tests.tools import count, needs

TARGET = f"spool/{ID}.0.wav"
FORMS: dict[str, Form] = {"pcm16": PCM16_WAV, "ulaw": ULAW_WAV, "alaw": ALAW_WAV, "flac": FLAC_FILE}
LAWS = {"ulaw": ULAW, "alaw": ALAW}
SILENCE = {"alaw": 8}  # it knows no zero


def write(files: Files, form: Form, samples: Sound, chunk: int = 1 << 20, rate: int = 8000) -> Written | None:
    """``samples`` int16[frames, channels], absence in them −32768."""
    chunks = (samples[at : at + chunk].copy() for at in range(0, len(samples), chunk))
    return form.write(files, TARGET, Shape(len(samples), samples.shape[1], rate), chunks)


def audible(name: str, samples: Sound) -> Sound:
    """What a reader must find."""
    return np.where(samples == ABSENT, np.int16(SILENCE.get(name, 0)), samples)


def read(path: Path) -> Sound:
    sound, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == 8000
    found: Sound = sound
    return found


def telephone(name: str, frames: int, channels: int = 1, seed: int = 1) -> Sound:
    """Every sample that the law decodes to, and gaps."""
    dice = np.random.default_rng(seed)
    samples = LAWS.get(name, ULAW).take(dice.integers(0, 256, (frames, channels)))
    samples[dice.random((frames, channels)) < 0.1] = ABSENT
    return samples


codes = st.lists(st.integers(0, 255) | st.none(), min_size=1, max_size=200)  # None: absent


@given(name=st.sampled_from(["ulaw", "alaw"]), said=codes, channels=st.integers(1, 3), chunk=st.integers(1, 50))
def test_whatever_a_law_decodes_to_comes_back_exactly(
    name: str, said: list[int | None], channels: int, chunk: int
) -> None:
    mono = np.array([ABSENT if code is None else LAWS[name][code] for code in said], np.int16)
    samples = np.resize(mono, (len(mono), channels))
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        written = write(files, FORMS[name], samples, chunk)
        octets = (Path(directory) / TARGET).read_bytes()
        files.close()
        assert written == (len(octets), hashlib.sha256(octets).hexdigest())
        assert np.array_equal(read(Path(directory) / TARGET), audible(name, samples))
        shape = wav.inspect(lambda at, count: octets[at : at + count], len(octets))
        assert shape[:5] == (wav.ULAW if name == "ulaw" else wav.ALAW, channels, 8000, 8, 58)
        assert shape.frames == len(mono)


@pytest.mark.parametrize("name", ["ulaw", "alaw"])
def test_all_256_codes_of_a_law_come_back_exactly(name: str, files: Files, tmp_path: Path) -> None:
    samples = LAWS[name][:, None]
    assert write(files, FORMS[name], samples)
    assert np.array_equal(read(tmp_path / TARGET), samples)


def test_both_zeros_of_mu_law_become_the_positive_one_and_absence_too(files: Files, tmp_path: Path) -> None:
    assert ULAW[0x7F] == ULAW[0xFF] == 0
    assert write(files, ULAW_WAV, np.array([ULAW[0x7F], ULAW[0xFF], ABSENT, ULAW[0]], np.int16)[:, None])
    assert (tmp_path / TARGET).read_bytes()[58:] == b"\xff\xff\xff\x00"


def test_absence_in_a_law_is_the_code_of_a_silent_line(files: Files, tmp_path: Path) -> None:
    assert write(files, ALAW_WAV, np.array([ABSENT, ALAW[0]], np.int16)[:, None])
    assert (tmp_path / TARGET).read_bytes()[58:] == b"\xd5\x00"


@given(st.integers(-32767, 32767))
def test_a_sample_that_a_law_does_not_know_is_never_taken(sample: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        for name, law in LAWS.items():
            taken = write(files, FORMS[name], np.array([[8], [sample]], np.int16)) is not None
            assert taken == (sample in law)
        files.close()


@given(samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=99), chunk=st.integers(1, 50))
def test_any_sound_comes_back_exactly_from_pcm16_and_flac(samples: list[int], chunk: int) -> None:
    sound = np.array(samples, np.int16)[:, None]
    with tempfile.TemporaryDirectory() as directory:
        files = Watched(Path(directory), sync=False)
        for form in (PCM16_WAV, FLAC_FILE):
            assert write(files, form, sound, chunk)
            assert np.array_equal(read(Path(directory) / TARGET), audible("", sound))
        files.close()


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (("pcm16", 1, 8000), (PCM16_WAV,)),
        (("g711", 1, 8000, ("PCMU",)), (ULAW_WAV, ALAW_WAV, PCM16_WAV)),
        (("g711", 2, 8000, ("PCMA", "PCMA")), (ALAW_WAV, ULAW_WAV, PCM16_WAV)),
        (("g711", 1, 8000), (ULAW_WAV, ALAW_WAV, PCM16_WAV)),
        (("g711", 1, 48000, ("OPUS",)), (PCM16_WAV,)),
        (("flac", 2, 48000), (FLAC_FILE, PCM16_WAV)),
        (("flac", 9, 8000), (PCM16_WAV,)),  # more channels than a FLAC may have
    ],
)
def test_what_is_asked_for_is_tried_first_and_pcm16_holds_the_rest(wanted: Any, order: tuple[Form, ...]) -> None:
    assert forms(*wanted) == order


def test_silence_that_both_laws_hold_carries_the_senders_law(files: Files, tmp_path: Path) -> None:
    (first, *_) = forms("g711", 1, 8000, ["PCMA"])
    assert write(files, first, np.full((9, 1), ABSENT, np.int16))
    assert soundfile.info(str(tmp_path / TARGET)).subtype == "ALAW"


@pytest.mark.parametrize("name", FORMS)
def test_c4_it_is_durable_before_it_is_hashed(name: str, tmp_path: Path) -> None:
    files = Watched(tmp_path)
    assert write(files, FORMS[name], telephone(name, 1_000))
    verbs = [verb for verb, called in files.calls if called == TARGET]
    assert verbs.index("create") < verbs.index("fsync") < verbs.index("drop_pages") < verbs.index("pread")
    assert "write_some" not in verbs[verbs.index("fsync") :]
    assert (tmp_path / TARGET).stat().st_mode & 0o777 == 0o640
    files.close()


@pytest.mark.parametrize("name", FORMS)
def test_p4_a_disk_that_gives_back_something_else_is_found_out(name: str, tmp_path: Path) -> None:
    class Liar(Files):
        def fsync(self, descriptor: int) -> None:
            super().fsync(descriptor)
            octets = bytearray(1)
            at = self.size(descriptor) - 9  # a sample, or the last frame of a FLAC
            super().pread(descriptor, octets, at)
            super().pwrite(descriptor, (bytes([octets[0] ^ 1]),), at)

    files = Liar(tmp_path)
    with pytest.raises(OSError, match=r"gave back something else|libsndfile") as raised:
        write(files, FORMS[name], telephone(name, 1_000))
    assert raised.value.errno == errno.EIO
    files.close()


def test_a_file_that_became_shorter_is_found_out(tmp_path: Path) -> None:
    class Short(Files):
        def pread(self, descriptor: int, into: Piece, octet: int) -> int:
            return super().pread(descriptor, into, octet) - 1

    files = Short(tmp_path)
    with pytest.raises(OSError, match="gave back something else"):
        write(files, PCM16_WAV, telephone("ulaw", 10))
    files.close()


@pytest.mark.all
@pytest.mark.parametrize("name", ["ulaw", "flac"])
def test_c6_on_a_full_disk_the_reserve_is_given_up_to_finish(name: str, small_disk: Path) -> None:
    told: list[str] = []
    files = ReservedFiles(small_disk, 2_000_000, lambda: told.append("given up"))
    assert files.keep_reserve()
    samples = telephone(name, 600_000)
    filler = files.create("spool/filler")
    files.pwrite(filler, (bytes(files.free_octets() - 100_000),), 0)
    if name == "flac":  # libsndfile's own octets give nothing up; the worker tries again
        with pytest.raises(OSError, match=r"libsndfile|gave back something else"):
            write(files, FORMS[name], samples, 10_000)
        assert not (small_disk / TARGET).exists()
    assert write(files, FORMS[name], samples, 10_000)
    assert told == ["given up"]
    with pytest.raises(OSError, match="No space left"):
        write(files, FORMS[name], np.tile(samples, (8, 1)), 10_000)
    files.close_file(filler)
    files.close()


def outside(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""  # both warn of headers that they do not believe
    return done.stdout


@pytest.mark.all
@needs("sox", "ffmpeg")
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [999, 160_000])
def test_sox_and_ffmpeg_read_the_same_frames(
    name: str, channels: int, frames: int, files: Files, tmp_path: Path
) -> None:
    samples = telephone(name, frames, channels)
    assert write(files, FORMS[name], samples)
    path = tmp_path / ("x.flac" if name == "flac" else "x.wav")
    (tmp_path / TARGET).rename(path)
    expected = audible(name, samples).astype("<i2").tobytes()
    raw = "-t", "raw", "-e", "signed", "-b", "16", "-"
    assert outside("sox", "-V2", "-D", str(path), *raw) == expected
    s16 = "-f", "s16le", "-c:a", "pcm_s16le", "-"
    assert outside("ffmpeg", "-v", "warning", "-guess_layout_max", "0", "-i", str(path), *s16) == expected


def test_g711_is_half_of_pcm16(files: Files) -> None:
    frames = count(8_000, all=80_000, full=80_000)
    sizes = {}
    for name in FORMS:
        written = write(files, FORMS[name], telephone(name, frames))
        assert written
        sizes[name] = written.octets
    assert sizes["pcm16"] - 44 == 2 * frames
    assert sizes["ulaw"] == sizes["alaw"] == 58 + frames


# What becomes of a recording: whichever the encoding, the same names once, whatever is killed.

SAMPLES = {
    name: with_absence(telephone(name, 2_400)[:, 0], (0, 160), (1_000, 1_160), (2_300, 2_400))
    for name in ("ulaw", "alaw")
}
KINDS = {  # what is asked for and what came → what must lie there
    "ulaw": ("g711", SAMPLES["ulaw"], "ulaw"),
    "alaw": ("g711", SAMPLES["alaw"], "alaw"),
    "both laws": ("g711", np.concatenate((SAMPLES["ulaw"], SAMPLES["alaw"])), "pcm16"),
    "flac": ("flac", sound(2_400), "flac"),
}
SUBTYPES = {"ulaw": "ULAW", "alaw": "ALAW", "pcm16": "PCM_16", "flac": "PCM_16"}


def suffix(kind: str) -> str:
    return ".flac" if kind == "flac" else ".wav"


def whole(kind: str) -> Sound:
    """What a reader must find in a recording of this kind."""
    _, samples, form = KINDS[kind]
    first = int((samples != ABSENT).argmax())
    return audible(form, samples[first:])


def true_file(path: Path, form: str) -> Sound:
    assert soundfile.info(str(path)).subtype == SUBTYPES[form]
    return read(path)[:, 0]


def in_spool(tmp_path: Path, kind: str, cuts: Sequence[int] = ()) -> tuple[Path, Draft, list[list[PartKey]]]:
    """A folder with a recording to finish, in one segment or in several; all of it is in the commit log."""
    encoding, samples, _ = KINDS[kind]
    template = tmp_path / "template"
    template.mkdir()
    files, wanted = Files(template), draft(encoding=encoding)
    edges = [0, *cuts, len(samples)]
    keys = [
        lay(files, [samples[first:last]], segment, first, wanted)
        for segment, (first, last) in enumerate(itertools.pairwise(edges))
    ]
    told = {commitlog.key_of(Spooled("part", *key)): 2 * len(samples) for (key,) in keys}
    files.write_durably(names.log(0), pack(told, 1))
    files.write_durably(names.woven(ID, 0), b"fLaC, half of it: libsndfile's own calls are none of those killed below")
    files.close()
    return template, wanted, keys


def one_file(directory: Path, kind: str, done: Sidecar) -> None:
    form = KINDS[kind][2]
    stem = f"{done.file}".removesuffix(suffix(kind))
    assert lying(directory) == sorted([f"{stem}{suffix(kind)}", f"{stem}.json"])
    assert np.array_equal(true_file(directory / "ready" / str(done.file), form), whole(kind))
    octets = (directory / "ready" / str(done.file)).read_bytes()
    assert (done.bytes, done.sha256) == (len(octets), hashlib.sha256(octets).hexdigest())
    assert done.encoding == {"ulaw": "g711", "alaw": "g711"}.get(form, form)
    assert decode((directory / "ready" / f"{stem}.json").read_bytes()) == done
    assert [finding for finding in check(directory) if finding.path.startswith("ready")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_p4_killed_at_any_call_of_the_finish_it_is_there_once(kind: str, tmp_path: Path) -> None:
    template, wanted, (keys,) = in_spool(tmp_path, kind)
    ended = facts(keys, [len(KINDS[kind][1])], draft=wanted)
    kills = 0
    for _, directory in kill_everywhere(tmp_path, template, lambda files: finish(files, ended)):
        kills += 1
        files = Watched(directory, sync=False)
        one_file(directory, kind, finish(files, ended))
        one_file(directory, kind, finish(files, ended))
        forget(files, ID)
        assert lying(directory, "spool") == ["commits-0.log"]
        files.close()
    assert kills > 25


@pytest.mark.parametrize("kind", KINDS)
def test_c5_killed_at_any_call_of_the_repair_it_is_there_once(kind: str, tmp_path: Path) -> None:
    template, _, _ = in_spool(tmp_path, kind)

    def act(files: Files) -> list[Sidecar]:
        return repair(files, set(), lambda draft, notes, channels: Described(draft.channels))

    for _, directory in kill_everywhere(tmp_path, template, act):
        files = Watched(directory, sync=False)
        act(files)
        done = decode(next((directory / "ready").glob("*.json")).read_bytes())
        one_file(directory, kind, done)
        assert lying(directory, "spool") == ["commits-0.log"]
        files.close()


@pytest.mark.all
@pytest.mark.parametrize("kind", KINDS)
def test_c7_killed_at_any_call_the_files_follow_without_a_missing_sample(kind: str, tmp_path: Path) -> None:
    """Sound of both laws is cut where the law changes: each file keeps the law that it can hold."""
    _, samples, form = KINDS[kind]
    cuts = (1_100, 2_400)[: 1 if len(samples) == 2_400 else 2]
    template, wanted, keys = in_spool(tmp_path, kind, cuts)

    def act(files: Files) -> Sidecar:
        for parts, upto in zip(keys[:-1], cuts, strict=True):
            roll(files, wanted, parts, upto, 0, NOON_NS)
        return finish(files, facts(keys[-1], [len(samples)], draft=wanted))

    expected = None
    for _, directory in kill_everywhere(tmp_path, template, act):
        files = Watched(directory, sync=False)
        done = finished(files, ID) or act(files)
        expected = expected or done
        assert done == expected
        assert lying(directory) == sorted([*(part.file for part in done.parts), f"{NAME}.json"])
        forms = [form] * len(keys) if form != "pcm16" else ["ulaw", "ulaw", "alaw"]
        pieces = [true_file(directory / "ready" / part.file, own) for part, own in zip(done.parts, forms, strict=True)]
        assert np.array_equal(np.concatenate(pieces), by_piece(samples, (0, *cuts, len(samples)), forms))
        assert {Path(part.file).suffix for part in done.parts} == {suffix(kind)}
        assert done.encoding == ("flac" if kind == "flac" else "g711")
        assert [finding for finding in check(directory) if finding.path.startswith("ready")] == []
        files.close()


def by_piece(samples: Sound, edges: Sequence[int], forms: Sequence[str]) -> Sound:
    pieces = [
        audible(form, samples[first:last]) for form, (first, last) in zip(forms, itertools.pairwise(edges), strict=True)
    ]
    return np.concatenate(pieces)[int((samples != ABSENT).argmax()) :]


def test_c7_a_file_that_had_to_be_something_else_says_so_itself(files: Files, tmp_path: Path) -> None:
    samples = np.concatenate((SAMPLES["ulaw"], SAMPLES["ulaw"][160:], SAMPLES["alaw"]))
    wanted, cut = draft(encoding="g711"), len(SAMPLES["ulaw"])
    keys = [lay(files, [part], n, n * cut, wanted) for n, part in enumerate((samples[:cut], samples[cut:]))]
    roll(files, wanted, keys[0], cut, 0, NOON_NS)
    done = finish(files, facts(keys[1], [len(samples)], draft=wanted))
    assert (done.encoding, [part.encoding for part in done.parts]) == ("g711", [UNSET, "pcm16"])
    assert check(tmp_path) == []
