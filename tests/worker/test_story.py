"""What the columns know, as the sidecar tells it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET, UnsetType

from receiver import link
from receiver.archive import sidecar
from receiver.archive.sidecar import Channel, Draft
from receiver.media.columns import NOTE, STREAM, TAP, Flaw, NoteKind, Trust
from receiver.media.sources import Source
from receiver.media.taps import Damage, Picture
from receiver.worker import story
from tests.archive.world import as_tuples
from tests.archive.world import draft as made_draft
from tests.wire.test_rtcp import bye, sdes, sr
from tests.worker.office import Line, office

Call = Callable[..., Line]


def picture(flaws: int = 0, notes: int = 0, late_lost: int = 0) -> Picture:
    """A tap of which that much is known."""
    tap, stream = np.zeros((), TAP), np.zeros((), STREAM)
    tap["flaws"], tap["notes"], tap["first_ns"] = flaws, notes, 1
    stream["statistics"]["late_lost"] = late_lost
    return Picture(tap, None, [stream])


def note(kind: NoteKind, **fields: Any) -> Any:
    """One note."""
    record = np.zeros(1, NOTE)
    record["kind"] = kind
    for name, value in fields.items():
        record[name] = value
    return record


@pytest.mark.parametrize("flaw", [*Flaw, *Damage])
def test_every_flaw_has_its_words(flaw: int) -> None:
    [problem] = story.faults(picture(flaw), 0)
    assert problem.code
    assert problem.message


def test_without_a_flaw_there_is_no_fault() -> None:
    assert story.faults(picture(notes=3), 3) == ()


def test_what_the_columns_do_not_flag_is_found_too() -> None:
    assert [fault.code for fault in story.faults(picture(late_lost=2), 0)] == ["late_lost"]
    assert [fault.code for fault in story.faults(picture(notes=3), 2)] == ["notes_lost"]


def test_flaws_and_damages_are_different_bits() -> None:
    bits = [int(each) for each in (*Flaw, *Damage)]
    assert len(set(bits)) == len(bits)
    assert all(bit & (bit - 1) == 0 for bit in bits)
    assert max(bits) < 1 << 32


def test_a7_an_epoch_that_left_something_out_is_a_stretch_that_nobody_sent() -> None:
    epochs = note(NoteKind.EPOCH, frame=3_200), note(NoteKind.EPOCH, frame=20_000, frames=8_000)
    notes = np.concatenate([*epochs, note(NoteKind.SOURCE, frames=9), note(NoteKind.STRETCH, frame=30_000, frames=5)])
    assert as_tuples(list(story.stretches(notes))) == [(12_000, 8_000, 0, "not_sent"), (30_000, 5, 0, "not_sent")]


def test_a8_a_key_that_was_told_twice_is_one_with_its_later_duration() -> None:
    told = [note(NoteKind.KEY, ssrc=7, frame=9, frames=n, timestamp=5, value=11) for n in (160, 480)]
    digits = story.digits(np.concatenate([note(NoteKind.KEY, ssrc=7, frame=99, frames=3, timestamp=8, value=1), *told]))
    assert [(it.digit, it.frame, it.frames) for it in digits] == [("#", 9, 480), ("1", 99, 3)]


def test_a7_noise_is_told_in_order_and_where_it_changes() -> None:
    told = [note(NoteKind.NOISE, frame=frame, value=level) for frame, level in ((9, -40), (5, -50), (7, -50))]
    assert [(it.frame, it.level_dbov) for it in story.noises(np.concatenate(told))] == [(5, -50), (9, -40)]


@pytest.mark.parametrize(("trust", "words"), [(Trust.ALLOW_LIST, "allow-list"), (Trust.UNANNOUNCED, "unannounced")])
def test_trust_is_said_in_the_words_of_the_configuration(trust: Trust, words: str) -> None:
    assert story.trust_in_words(trust) == words


@pytest.mark.parametrize(("address", "words"), [("192.0.2.1", "192.0.2.1:5"), ("2001:db8::1", "[2001:db8::1]:5")])
def test_a_source_is_written_as_people_write_it(address: str, words: str) -> None:
    record = note(NoteKind.SOURCE, source=tuple(Source.of(address, 5)))[0]["source"]
    assert story.name(record) == words


def test_c5_what_notes_alone_still_tell() -> None:
    draft: Draft = made_draft(channels=(Channel(party="both", codec="PCMU", source=sidecar.Source(announced="a:1")),))
    notes = np.concatenate([
        note(NoteKind.EPOCH, ssrc=7, frame=3_200, timestamp=5, wall_ns=10**18),
        note(NoteKind.SOURCE, ssrc=7, source=tuple(Source.of("192.0.2.1", 5)), trust=Trust.ADDRESS),
        np.zeros(1, NOTE),  # a hole: the disk did not take it
        note(NoteKind.EPOCH, ssrc=9, frame=9_000, timestamp=6, wall_ns=10**18),
    ])  # fmt: skip
    [channel] = story.described(draft, [notes.tobytes() + b"torn"], [0]).channels
    assert [stream.ssrc for stream in channel.streams] == [7, 9]
    assert [epoch.frame for epoch in channel.streams[0].epochs] == [3_200]
    assert channel.source == sidecar.Source(announced="a:1", seen="192.0.2.1:5", trust="address")
    [nothing] = story.described(made_draft(channels=()), [b""], [0]).channels
    assert nothing.streams == ()


@pytest.mark.parametrize(
    ("laws", "codecs"), [((0, 2), UNSET), ((1, 1), UNSET), ((3, 1), ("PCMU", "PCMA")), ((2, 1), ("PCMU", "PCMA"))]
)
def test_c5_a14_notes_alone_tell_of_two_laws_and_only_where_both_came(laws: tuple[int, int], codecs: object) -> None:
    """The law of a first epoch is noted before any sound is placed, so it says nothing."""
    epoch, past = note(NoteKind.EPOCH, ssrc=7, laws=laws[0]), note(NoteKind.STREAM, ssrc=7, law=8, laws=laws[1])
    notes = np.concatenate([epoch, past, note(NoteKind.STREAM, ssrc=9, laws=3, channel=1)])
    draft = made_draft(channels=(Channel(party="both", codec="PCMA"),))
    [channel] = story.described(draft, [notes.tobytes()], [0]).channels
    assert (channel.codec, channel.codecs) == ("PCMA", codecs)


async def test_a11_streams_are_told_one_by_one_and_the_malformed_once(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        line.send([line.sent[0]._replace(raw=b"no RTP")])
        one.hear()
        line.talk(10, first=10, ssrc=8)
        told = await one.close(line)
        first, second = told.channels[0].streams
        assert [(each.ssrc, each.packets, each.lost, each.invalid) for each in (first, second)] == [
            (7, 10, 0, 1), (8, 10, 0, 0),
        ]  # fmt: skip
        assert [len(each.epochs) for each in (first, second)] == [1, 1]
        assert told.outcome == "complete"
        assert np.count_nonzero(one.sound(line)) == 20 * 160


@pytest.mark.parametrize("masked", [False, True])
async def test_a8_keys_noise_and_silence_reach_the_sidecar_and_masked_keys_nothing(
    tmp_path: Path, memory: int, call: Call, masked: bool
) -> None:
    line = call()
    async with office(tmp_path, memory, mask_dtmf=masked) as one:
        await one.open(line)
        line.talk(10)
        start = line.sent[0]._replace(sequence=110, timestamp=5_000 + 1_600, payload_type=101)
        line.send(start._replace(sequence=110 + k, payload=b"\x07\x8a\x01\xe0") for k in range(3))
        line.send([start._replace(sequence=113, timestamp=start.timestamp + 480, payload=b"\x28", payload_type=13)])
        line.talk(10, first=14)
        told = await one.close(line)
        assert [(gap.frame, gap.frames, gap.reason) for gap in told.gaps] == [(1_600, 640, "not_sent")]
        assert [(it.frame, it.level_dbov) for it in told.noise] == [(2_080, -40)]
        keys = [("7", 1_600, 480)]
        assert [(it.digit, it.frame, it.frames) for it in told.dtmf] == ([] if masked else keys)
        news = [message.fields for message in one.heard(link.Happened) if message.event == "dtmf"]
        assert news == ([] if masked else [{"digit": "7", "duration_ms": 60}])
        assert (told.outcome, told.channels[0].streams[0].lost) == ("complete", 0)


@pytest.mark.parametrize("read", [True, False])
async def test_a13_what_the_sender_says_by_rtcp_reaches_the_sidecar(
    tmp_path: Path, memory: int, call: Call, read: bool
) -> None:
    line = call()
    async with office(tmp_path, memory, rtcp=read) as one:
        await one.open(line)
        line.talk(10)
        one.hear()
        line.send([line.sent[0]._replace(raw=sr(7, 0xE8F1_2345_0000_0000, 5_160) + sdes((7, [(1, b"me")])) + bye(7))])
        one.hear()
        line.talk(10, first=10)
        told = await one.close(line)
        [stream] = told.channels[0].streams
        assert (told.outcome, told.ending, stream.packets) == ("complete", "stopped", 20)
        assert (stream.cname, stream.bye_at is not UNSET) == (("me", True) if read else (UNSET, False))
        reports = stream.sender_reports
        assert (reports is UNSET) != read
        if not isinstance(reports, UnsetType):
            assert (reports.count, reports.first, reports.first.timestamp) == (1, reports.last, 5_160)
