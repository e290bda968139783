"""Rule B3: SRTP is authenticated before a packet may touch anything. Sealed or plain, the recording is the same."""

import struct
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.media.columns import CONTEXT_SOURCES, Policy, Trust
from receiver.media.pipeline import Datagrams, Pipeline
from receiver.media.secured import Key
from receiver.wire.rtp import Verdict
from receiver.wire.srtp import Sealer, Suite
from tests.media.rig import HOME, MS, SECOND, START, STRANGER, Rig, Sent, codes, datagrams, linear, succeed, talk
from tests.media.sealed import key_of, sealed
from tests.media.storm import batches, storm
from tests.media.test_pauses import turn
from tests.tools import count


def secure(rig: Rig, key: Key | None, tap: int = 0) -> None:
    """As `Taps.open` and the desk do it."""
    rig.state.touch("taps", tap)
    rig.state.now.taps["suite"][tap] = Suite.AES_CM_128_HMAC_SHA1_80 if key is None else key.suite
    rig.commit()
    rig.pipeline.secured.trust(tap, key)


def rig_with(key: Key, **more: Any) -> Rig:
    rig = Rig()
    rig.open(**more)
    secure(rig, key)
    return rig


def recorded(rig: Rig, tap: int = 0) -> dict[str, Any]:
    """All that a recording says, but for how its source was trusted."""
    record = rig.tap(tap)
    skip = ("trust", "suite", "verdicts")
    told = {name: record[name].tobytes() for name in record.dtype.names or () if name not in skip}
    live = rig.state.live
    mine = np.flatnonzero(live.streams["tap"] == tap)
    return told | {
        "streams": [live.streams[s].tobytes() for s in mine],
        "asides": [live.taps_aside[tap].tobytes(), *(live.streams_aside[s].tobytes() for s in mine)],
        "part": rig.parts[tap].samples.tobytes(),
    }


@pytest.mark.parametrize("suite", Suite)
def test_b3_every_suite_is_opened_and_its_trust_is_the_tag(suite: Suite) -> None:
    key, sent = key_of(suite), talk(100)
    plain, rig = Rig(), rig_with(key_of(suite), policy=Policy.ANY)
    plain.open()
    plain.run(sent)
    rig.run(sealed(sent, key))
    assert rig.tap()["trust"] == Trust.SRTP
    assert rig.parts[0].samples.tobytes() == plain.parts[0].samples.tobytes()
    assert rig.statistics() == plain.statistics()
    assert [news.event for news in rig.news] == ["receiving"]


@pytest.mark.parametrize("what", ["tag", "payload", "header", "cut", "plain", "other key"])
def test_b3_what_has_no_right_tag_touches_nothing_and_is_counted(what: str) -> None:
    key = key_of()
    rig = rig_with(key, policy=Policy.ANY)
    good = sealed(talk(50), key)
    rig.step(good)
    before = rig.image()
    later = talk(20, start_ns=START + SECOND, sequence=150, timestamp=5_000 + 50 * 160)
    bad = []
    for packet in sealed(later, key_of(seed=2) if what == "other key" else key):
        octets = bytearray(packet.octets)
        at = {"tag": -1, "payload": 60, "header": 5}.get(what)
        if at is not None:
            octets[at] ^= 1
        raw = {"cut": bytes(octets[:-1]), "plain": packet._replace(raw=None).octets}.get(what, bytes(octets))
        bad.append(packet._replace(raw=raw))
    rig.step(bad)
    assert rig.count(Verdict.UNAUTHENTIC) == rig.count(Verdict.UNAUTHENTIC, 0) == 20
    after = rig.image()
    for table, (old, new) in enumerate(zip(before.pop("columns"), after.pop("columns"), strict=True)):
        if table in (1, 2, 4):  # streams, rows, contexts; taps and world hold the counter
            assert old == new
    assert after == before
    assert rig.tap()["heard_ns"] == good[-1].arrival_ns
    rig.step(sealed(later, key))
    assert rig.statistics()["packets"] == 70


def test_b3_without_a_key_nothing_of_the_tap_is_let_in() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    secure(rig, None)
    rig.step(talk(10))
    rig.step(sealed(talk(10), key_of()))
    assert rig.count(Verdict.UNAUTHENTIC) == 20
    assert rig.tap()["first_ns"] == 0


def test_b3_a_payload_type_that_nobody_announced_is_known_by_its_tag_first() -> None:
    """Else a forged one would be named in the log and the sidecar."""
    key = key_of()
    rig = rig_with(key)
    unknown = [packet._replace(payload_type=77) for packet in talk(4)]
    rig.step(unknown)
    assert rig.count(Verdict.UNAUTHENTIC) == 4
    assert rig.count(Verdict.PAYLOAD_TYPE) == 0
    rig.step(sealed(unknown, key))
    assert rig.count(Verdict.PAYLOAD_TYPE) == 4


def test_b3_what_is_malformed_keeps_its_name() -> None:
    rig = rig_with(key_of())
    rig.step([talk(1)[0]._replace(raw=raw) for raw in (b"", b"\x80", b"\x00" * 60, b"\x9f" + b"\0" * 20)])
    named = {verdict: rig.count(verdict) for verdict in Verdict if rig.count(verdict)}
    assert named == {Verdict.SHORT: 2, Verdict.VERSION: 1, Verdict.CSRC: 1}


def test_b3_other_taps_in_the_slab_are_as_they_were() -> None:
    """One tap with a key, one without, one with another, mixed in every slab."""
    keys = {1: key_of(seed=4), 2: key_of(Suite.AEAD_AES_256_GCM, seed=5)}
    sent = [packet for tap in range(3) for packet in talk(60, tap=tap, seed=tap + 1)]
    rig, plain = Rig(3), Rig(3)
    for tap in range(3):
        rig.open(tap)
        plain.open(tap)
    for tap, key in keys.items():
        secure(rig, key, tap)
    crossed = [p for p in sent if p.tap == 0]
    for tap, key in keys.items():
        crossed += sealed([p for p in sent if p.tap == tap], key)
    rig.run(sorted(crossed, key=lambda p: (p.arrival_ns, p.tap)))
    plain.run(sorted(sent, key=lambda p: (p.arrival_ns, p.tap)))
    for tap in range(3):
        assert recorded(rig, tap) == recorded(plain, tap)
        assert rig.tap(tap)["trust"] == (Trust.SRTP if tap else Trust.ANNOUNCED)


def test_b3_the_slab_is_not_changed() -> None:
    """Rule K3: a successor runs it again."""
    key = key_of()
    rig = rig_with(key)
    slab = datagrams(sealed(talk(20), key))
    before = [column.tobytes() for column in slab]
    rig.pipeline.step(slab, START + SECOND, 0)
    assert [column.tobytes() for column in slab] == before


def test_b3_a_packet_that_was_caught_is_not_heard_from_elsewhere() -> None:
    """Its tag is right for ever: after the silence that lets a source move, a recorder without memory would take it."""
    key = key_of()
    rig = rig_with(key, policy=Policy.ANY)
    sent = sealed(talk(50), key)
    rig.step(sent)
    caught = [p._replace(source=STRANGER, arrival_ns=p.arrival_ns + 9 * SECOND) for p in sent]
    rig.step(caught)
    rig.review(START + 14 * SECOND)
    assert rig.count(Verdict.REPLAYED) == 50
    assert rig.statistics()["packets"] == 50
    assert rig.tap()["moves"] == 0
    rig.step([p._replace(arrival_ns=p.arrival_ns + 15 * SECOND) for p in sent])  # from where it belongs: duplicates
    assert rig.statistics()["duplicate"] == 50


def test_b3_who_is_quicker_with_a_caught_packet_does_not_make_its_sender_a_stranger() -> None:
    key = key_of()
    rig = rig_with(key, policy=Policy.ANY)
    sent = sealed(talk(60), key)
    rig.step(sent[:30])
    for packet in sent[30:]:
        rig.step([packet._replace(source=STRANGER), packet._replace(arrival_ns=packet.arrival_ns + MS)])
    assert rig.count(Verdict.FOREIGN) == 30
    assert rig.statistics()["packets"] == 60
    assert rig.statistics()["duplicate"] == 0


def test_b5_a_source_moves_after_silence_and_the_index_goes_with_it() -> None:
    """The new place is an address translator's: same SSRC, same key, the rollover counter goes on."""
    key = key_of()
    rig = rig_with(key, policy=Policy.ANY)
    whole = sealed(talk(200, sequence=65_500), key)
    moved = [p._replace(source=STRANGER, arrival_ns=p.arrival_ns + 5 * SECOND) for p in whole[100:]]
    rig.run([*whole[:100], *moved])
    assert rig.tap()["moves"] == 1
    assert rig.tap()["trust"] == Trust.SRTP
    assert (rig.parts[0].samples != -32768).sum() == 200 * 160
    assert rig.count(Verdict.UNAUTHENTIC) == 0


def test_b2_the_policy_may_be_narrower_than_the_key() -> None:
    key = key_of()
    rig = rig_with(key, policy=Policy.EXACT, announced=HOME)
    rig.step(sealed(talk(20, source=STRANGER), key))
    assert rig.count(Verdict.FOREIGN) == 20


def test_a5_a_packet_345_late_is_there_and_one_1024_late_is_refused() -> None:
    key = key_of()
    rig = rig_with(key)
    sent = sealed(talk(1_100, size=80), key)
    late = {1: 346, 70: 1_094}
    order = [p for k, p in enumerate(sent) if k not in late]
    rig.step(order[:346])
    rig.step([sent[1]])
    assert rig.count(Verdict.REPLAYED) == 0
    assert rig.statistics()["packets"] == 347
    for k in range(346, len(order), 100):
        rig.step(order[k : k + 100])
    rig.step([sent[70]])
    assert rig.count(Verdict.REPLAYED) == 1


@pytest.mark.all
@pytest.mark.parametrize("gone", [40_000, 65_536, 200_000])
def test_a5_a_stream_is_heard_again_after_an_outage_that_was_longer_than_half_a_circle(gone: int) -> None:
    """Of 13 minutes and more: by the RFC's guess alone, not one packet would ever open again."""
    key = key_of()
    rig, plain = rig_with(key), Rig()
    plain.open()
    first = talk(100)
    then = talk(100, START + (100 + gone) * 20 * MS, sequence=200 + gone, timestamp=5_000 + (100 + gone) * 160)
    rig.run(sealed([*first, *then], key))
    plain.run([*first, *then])
    assert recorded(rig) == recorded(plain)
    assert rig.count(Verdict.UNAUTHENTIC) == 0


def test_a2_the_first_packets_may_cross_the_first_wrap_and_overtake_each_other() -> None:
    key = key_of()
    rig, plain = rig_with(key), Rig()
    plain.open()
    sent = talk(40, sequence=65_530)
    sent[0], sent[8] = sent[8]._replace(arrival_ns=sent[0].arrival_ns), sent[0]._replace(arrival_ns=sent[8].arrival_ns)
    rig.run(sealed(sent, key))
    plain.run(sent)
    assert recorded(rig) == recorded(plain)


def test_ssrcs_beyond_those_that_are_remembered_take_the_place_of_the_most_silent() -> None:
    key = key_of()
    rig = rig_with(key)
    for k in range(9):
        rig.step(sealed(talk(3, start_ns=START + k * SECOND, ssrc=100 + k), key))
    indices = rig.state.live.contexts["indices"][0]
    assert sorted(indices["ssrc"].tolist()) == [105, 106, 107, 108]
    assert (indices["index"] == 102).all()


@pytest.mark.all
def test_a12_one_more_ssrc_than_can_be_remembered_costs_none_of_the_live_ones_its_sound() -> None:
    key, rig, plain = key_of(), rig_with(key_of()), Rig()
    plain.open()
    many, apart = 1_300, 4 * MS
    sent = [
        packet for k in range(CONTEXT_SOURCES)
        for packet in talk(many, START + k * apart, ssrc=8 + k, timestamp=1 << 20 + k, sequence=(1 << 16) - 100)
    ]  # fmt: skip
    sent += talk(20, START + (many - 80) * 20 * MS + 19 * MS, ssrc=99, timestamp=1 << 27, sequence=50)
    sent.sort(key=lambda packet: packet.arrival_ns)
    sealers = {packet.ssrc: Sealer(*key) for packet in sent}
    rig.run(each._replace(raw=sealers[each.ssrc].seal(each.octets, each.ssrc, each.sequence)) for each in sent)
    plain.run(sent)
    assert rig.count(Verdict.UNAUTHENTIC) == 0
    assert len(rig.further) == CONTEXT_SOURCES - 1
    for further in rig.further:
        assert rig.further[further].present() == plain.further[further].present()
    assert rig.parts[0].present() == plain.parts[0].present()


def test_rtcp_is_opened_too_and_a_wrong_one_is_refused() -> None:
    key = key_of()
    rig = rig_with(key)
    report = struct.pack("!BBHL", 0x80, 200, 6, 7) + bytes(20)
    sealer = Sealer(*key)
    good = talk(1)[0]._replace(raw=sealer.seal_control(report))
    rig.step([good, good._replace(raw=report)])
    assert (rig.count(Verdict.RTCP), rig.count(Verdict.UNAUTHENTIC)) == (1, 1)


def test_what_comes_sealed_inside_a_pause_is_as_if_it_had_come_plain_and_in_no_memory_that_is_kept() -> None:
    key = key_of()
    rig, plain = rig_with(key), Rig()
    plain.open()
    sent = talk(60)
    for each, packets in ((rig, sealed(sent, key)), (plain, sent)):
        for first, turned in ((0, True), (20, True), (40, False)):
            each.step(packets[first : first + 20])
            if turned:
                turn(each, packets[first + 19].arrival_ns + MS)
        each.finish(START + 3 * SECOND)
    assert recorded(rig) == recorded(plain)
    kept = rig.memory.tobytes() + rig.parts[0].samples.tobytes()
    for packet in sent[20:40]:
        assert linear(packet.payload).tobytes() not in kept
        assert packet.payload not in kept
    assert linear(sent[45].payload).tobytes() in kept


@given(st.data())
@settings(max_examples=count(10, all=60, full=3_000), deadline=None)
def test_no_octets_raise_and_nothing_that_was_changed_is_heard(data: st.DataObject) -> None:
    """Bits turned, cut, put together anew, or of no SRTP at all; an index of the worst kind before it."""
    suite = data.draw(st.sampled_from(list(Suite)))
    key = key_of(suite)
    rig = rig_with(key, policy=Policy.ANY)
    good = sealed(talk(3, sequence=data.draw(st.sampled_from([0, 1, 65_534]))), key)
    rig.step(good)
    heard = rig.statistics()
    bad = []
    for _ in range(data.draw(st.integers(1, 30))):
        octets = bytearray(data.draw(st.sampled_from(good)).octets)
        match data.draw(st.sampled_from(["bit", "cut", "more", "any", "number"])):
            case "bit":
                octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del octets[data.draw(st.integers(0, len(octets) - 1)) :]
            case "more":
                octets += data.draw(st.binary(min_size=1, max_size=1_600))
            case "number":
                octets[2:4] = data.draw(st.integers(0, 65_535).filter(lambda n: n not in (0, 1, 2, 3, 65_534, 65_535)
                                        )).to_bytes(2, "big")
            case _:
                octets = bytearray(data.draw(st.binary(max_size=200)))
        bad.append(good[0]._replace(raw=bytes(octets)))
    rig.step(bad)
    assert rig.statistics() == heard
    assert rig.count(Verdict.ACCEPTED) == 3
    assert rig.tap()["verdicts"].sum() == 3 + len(bad)


# -- any order, any death


@st.composite
def crossings(draw: st.DrawFn) -> tuple[list[Sent], list[int], Suite]:
    """A call over a wrap, or several circles into it, as it arrives; and after which batches the worker dies."""
    begin = draw(st.sampled_from([0, 5, 65_500, 65_535, 131_000]))
    packets = []
    for k in range(draw(st.integers(2, 120))):
        at = 5_000 + k * 160
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2, 3]))):
            delay = draw(st.one_of(st.just(0), st.integers(0, 60), st.integers(0, 900))) if begin < 131_000 or k else 0
            packets.append(Sent(START + k * 20 * MS + delay * MS, begin + k, at, codes(3, at, 160)))
    packets.sort(key=lambda packet: packet.arrival_ns)
    return packets, draw(st.lists(st.integers(0, 30), max_size=6)), draw(st.sampled_from(list(Suite)))


class Death(Exception):
    """The worker is gone."""


def die_in(rig: Rig, slab: Datagrams, now_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that is cut short when all is placed and nothing committed."""

    def dying(*_: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "_tally", dying)
        with pytest.raises(Death):
            rig.pipeline.step(slab, now_ns, 0)


@given(crossings())
@settings(
    max_examples=count(12, all=60, full=3_000), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_k3_any_order_loss_duplication_and_death_gives_what_plain_rtp_gives(
    monkeypatch: pytest.MonkeyPatch, crossing: tuple[list[Sent], list[int], Suite]
) -> None:
    packets, deaths, suite = crossing
    if not packets:
        return
    key = key_of(suite)
    rig, plain = Rig(), Rig()
    for each in (rig, plain):
        each.open()
    secure(rig, key)
    if packets[0].sequence >= 131_000:  # such a sender was heard from its beginning: here its index is told
        packets = [packet for packet in packets if packet.sequence >= packets[0].sequence - 100]
        tell_index(rig, packets[0], key)
    ready = sealed(packets, key)
    for number, k in enumerate(range(0, len(packets), 7)):
        if number in deaths:
            succeed(rig)
            rig.pipeline.secured.trust(0, key)
            die_in(rig, datagrams(ready[k : k + 7]), packets[k].arrival_ns + SECOND, monkeypatch)
            succeed(rig)
            rig.pipeline.secured.trust(0, key)
        now_ns = packets[min(k + 6, len(packets) - 1)].arrival_ns
        rig.step(ready[k : k + 7], now_ns)
        plain.step(packets[k : k + 7], now_ns)
        if number % 5 == 4:
            rig.drain(now_ns)
            plain.drain(now_ns)
    for each in (rig, plain):
        each.finish(packets[-1].arrival_ns + SECOND)
    assert recorded(rig) == recorded(plain)
    assert rig.tap()["verdicts"].tolist() == plain.tap()["verdicts"].tolist()


def tell_index(rig: Rig, packet: Sent, key: Key) -> None:
    """As if two circles had passed: the index just before this packet."""
    rig.state.touch("contexts", 0)
    place = rig.state.now.contexts["indices"][0, 0]
    place["ssrc"], place["index"], place["heard_ns"] = packet.ssrc, packet.sequence - 1, START
    place["source"], place["source_ns"] = tuple(HOME), START
    rig.commit()


@pytest.mark.parametrize("seed", range(count(3, all=20, full=200)))
def test_the_whole_storm_sealed_is_the_storm(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sources, SSRCs and kinds of packets: sealed where that can be (one sender, one index for a packet)."""
    dice = Random(seed)
    key = key_of()
    packets = [p for p in storm(seed, taps=1, packets=count(60, all=120, full=120)) if p.source == HOME]
    unique = {(p.ssrc, p.sequence): (p.timestamp, p.payload, p.payload_type) for p in packets}
    packets = [p for p in packets if unique[p.ssrc, p.sequence] == (p.timestamp, p.payload, p.payload_type)]
    rig, plain = Rig(), Rig()
    for each in (rig, plain):
        each.open()
    secure(rig, key)
    ready = sealed(packets, key)
    at = 0
    for batch in batches(packets, dice):
        now_ns = max(p.arrival_ns for p in batch)
        if dice.random() < 0.2:
            succeed(rig)
            rig.pipeline.secured.trust(0, key)
            die_in(rig, datagrams(ready[at : at + len(batch)]), now_ns, monkeypatch)
            succeed(rig)
            rig.pipeline.secured.trust(0, key)
        rig.step(ready[at : at + len(batch)], now_ns)
        plain.step(batch, now_ns)
        at += len(batch)
    assert recorded(rig) == recorded(plain)
    assert np.array_equal(rig.tap()["verdicts"], plain.tap()["verdicts"])
