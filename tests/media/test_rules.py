"""Rules A4, A9 and A17 through the whole room, whatever comes in whatever order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.block import ABSENT
from tests.media.rig import HORIZON, MS, SECOND, START, Rig, Sent, codes, linear, talk, truth
from tests.tools import count

PACKETS = 40


@settings(max_examples=count(15, all=200, full=2_000), deadline=None)
@given(
    late=st.lists(st.integers(0, 12), min_size=PACKETS, max_size=PACKETS),
    again=st.lists(st.tuples(st.integers(0, PACKETS - 1), st.integers(0, 12)), max_size=10),
)
def test_a4_whatever_the_order_each_packet_lies_at_its_address_and_is_counted(
    late: list[int], again: list[tuple[int, int]]
) -> None:
    calm = talk(PACKETS)
    sent = [packet._replace(arrival_ns=packet.arrival_ns + 20 * MS * k) for packet, k in zip(calm, late, strict=True)]
    sent += [sent[k]._replace(arrival_ns=sent[k].arrival_ns + 20 * MS * more) for k, more in again]
    sent.sort(key=lambda packet: packet.arrival_ns)
    rig = Rig()
    rig.open()
    rig.run(sent, finish=False)
    counted = rig.statistics()
    rig.finish(sent[-1].arrival_ns)
    first = sent[0].timestamp
    assert rig.parts[0].present() == truth(calm, first)
    numbers: set[int] = set()
    reordered = 0
    for packet in sent:
        reordered += packet.sequence not in numbers and packet.sequence < max(numbers, default=0)
        numbers.add(packet.sequence)
    assert (counted["packets"], counted["duplicate"]) == (PACKETS + len(again), len(again))
    assert counted["reordered"] == reordered


@settings(max_examples=count(15, all=200, full=2_000), deadline=None)
@given(sizes=st.lists(st.one_of(st.sampled_from([80, 160, 240, 480, 960]), st.integers(1, 1_460)), min_size=1))
def test_a9_packets_of_any_octet_count_lie_where_their_timestamps_say(sizes: list[int]) -> None:
    sent, timestamp = [], 0
    for k, size in enumerate(sizes):
        sent.append(Sent(START + (timestamp + size) * 125_000, k, timestamp, codes(1, timestamp, size)))
        timestamp += size
    rig = Rig()
    rig.open()
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 0)


@pytest.mark.parametrize("size", [80, 160, 480, 960, 1_460])
def test_a17_packets_of_the_window_stay_in_the_ring_until_it_is_decided(size: int) -> None:
    before = talk(2 * 8_000 // size, size=size)
    end = before[-1].timestamp + size
    stood_ns = 30 * SECOND
    after = talk(
        60, before[-1].arrival_ns + size * 125_000 + stood_ns, size, sequence=100 + len(before), timestamp=end
    )  # fmt: skip
    rig = Rig()
    rig.open()
    for packet in (*before, *after):
        rig.step([packet])
        rig.drain(packet.arrival_ns)  # as often as can be: what is not held back is in the file
    rig.finish(after[-1].arrival_ns)
    frame = HORIZON + end - before[0].timestamp + stood_ns // 125_000
    sound = rig.parts[0].present()
    assert len(sound) == (len(before) + len(after)) * size
    for k, sample in enumerate(linear(b"".join(packet.payload for packet in after)).tolist()):
        assert sound[frame + k] == sample


@pytest.mark.parametrize(("size", "packets"), [(160, 10), (240, 10), (480, 10), (960, 6), (1_460, 4)])
def test_a17_ten_packets_or_500_ms_in_a_row_decide_and_nothing_less(size: int, packets: int) -> None:
    before = talk(2 * 8_000 // size, size=size)
    end, late_ns = before[-1].timestamp + size, before[-1].arrival_ns + size * 125_000 + 5 * SECOND
    after = talk(packets, late_ns, size, sequence=100 + len(before), timestamp=end)
    rig = Rig()
    rig.open()
    rig.run(before, finish=False)
    for packet in after[:-1]:
        rig.step([packet])
    assert rig.tap()["epochs"] == 0
    rig.step(after[-1:])
    assert rig.tap()["epochs"] == 1


@pytest.mark.parametrize("happens", ["a10 jump", "a11 SSRC", "a17 stand"])
def test_a10_a11_a17_what_the_network_delays_epochs_by_does_not_add_up(happens: str) -> None:
    dice, most_ms, epochs, packets = np.random.default_rng(5), 60, 8, 100  # as many as a minute may have (rule A11)
    sent: list[Sent] = []
    ssrc, sequence, timestamp, stood_ns, latest_ns = 7, 100, 5_000, 0, 0
    for epoch in range(epochs):
        for k in range(epoch * packets, (epoch + 1) * packets):
            arrival_ns = START + k * 20 * MS + stood_ns + int(dice.integers(0, most_ms * MS))
            latest_ns = max(latest_ns, arrival_ns)  # jitter, and nothing overtakes
            sent.append(Sent(latest_ns, sequence, timestamp, codes(1, k * 160, 160), ssrc))
            sequence, timestamp = sequence + 1, timestamp + 160
        if happens == "a10 jump":
            timestamp += 400_000
        elif happens == "a11 SSRC":
            ssrc, sequence, timestamp = ssrc + 1, int(dice.integers(1 << 15)), int(dice.integers(1 << 30))
        else:
            stood_ns += 2 * SECOND
    rig = Rig(strict=False)
    rig.open()
    rig.run(sent)
    stood = 16_000 * (epochs - 1) if happens == "a17 stand" else 0
    longer = rig.parts[0].size - HORIZON - epochs * packets * 160 - stood
    assert rig.tap()["epochs"] == epochs - 1
    assert 0 <= longer <= most_ms * 8
    assert int((rig.parts[0].samples != ABSENT).sum()) == epochs * packets * 160
