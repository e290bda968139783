"""Senders with a key: what arrives opens, in every weather; the index goes over the wraps."""

from pathlib import Path

import numpy as np
import pytest

from receiver.lab import plan as plans
from receiver.lab.forecast import PRESETS
from receiver.lab.plan import Caller, Plan, PlanError
from receiver.lab.sealing import LONGEST_PAYLOAD, Sealing, indices
from receiver.lab.sender import Sender, datagrams
from receiver.wire.srtp import Opener, Suite
from tests.lab.conftest import Listen

KEY = bytes(range(30))
LINE = "AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_text(f"{LINE}\n")
    return str(file)


@pytest.mark.parametrize("weather", [name for name in PRESETS if name != "odd_sizes"])
def test_every_weather_is_sealed_and_opens_to_what_it_was(weather: str, key_file: str) -> None:
    packets = plans.schedule(Plan((Caller(3, seconds=6, weather=weather), Caller(4, seconds=6, weather=weather))))
    plain, at = datagrams(packets), indices(packets)
    sealed, sizes = Sealing(key_file, packets).seal(plain, packets, 0)
    openers = {caller: Opener(Suite.AES_CM_128_HMAC_SHA1_80, KEY) for caller in (3, 4)}
    for row, (packet, size) in enumerate(zip(packets, sizes, strict=True)):
        opened = openers[int(packet["caller"])].open(sealed[row, :size].tobytes(), int(packet["ssrc"]), int(at[row]))
        assert opened == plain[row, : int(packet["size"]) + 12].tobytes()
        assert at[row] % 65_536 == packet["sequence"]


def test_the_index_counts_the_wraps() -> None:
    packets = plans.schedule(Plan((Caller(3, size=8, seconds=90, weather="wrap"),)))
    at = indices(packets)
    assert at.max() > 65_536 > at.min()
    assert np.array_equal(np.sort(at), np.arange(at.min(), at.max() + 1))


def test_over_the_wire(listen: Listen, key_file: str) -> None:
    [ear] = listen(1)
    with Sender(Plan((Caller(1, ear.address, seconds=0.4),), srtp_file=key_file)) as sender:
        summary = sender.run()
    heard = [datagram for datagram, _ in ear.heard()]
    assert summary.packets == len(heard) > 0
    opener = Opener(Suite.AES_CM_128_HMAC_SHA1_80, KEY)
    for datagram in heard:
        ssrc, sequence = int.from_bytes(datagram[8:12], "big"), int.from_bytes(datagram[2:4], "big")
        opened = opener.open(datagram, ssrc, sequence)
        assert opened is not None
        assert len(opened) == 172


def test_what_cannot_be_sealed_is_refused_without_showing_the_key(tmp_path: Path, key_file: str) -> None:
    packets = plans.schedule(Plan((Caller(1, size=LONGEST_PAYLOAD + 1, seconds=1),)))
    with pytest.raises(PlanError, match="at most 1344 samples"):
        Sealing(key_file, packets)
    with pytest.raises(PlanError, match="No such file"):
        Sealing(str(tmp_path / "none"), packets)
    (tmp_path / "bad").write_text(LINE[:-4])
    with pytest.raises(PlanError, match="27 octets") as refused:
        Sealing(str(tmp_path / "bad"), packets)
    assert "AAEC" not in str(refused.value)
    with pytest.raises(ValueError, match="a lean plan has no key"):
        Plan((Caller(1),), lean=True, srtp_file=key_file)
