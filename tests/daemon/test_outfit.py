"""What the configuration means to each room, and what the host must give."""

import resource
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.control.taps import SECOND, Limits
from receiver.daemon import outfit
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Summary
from receiver.ledger.store import Ledger
from receiver.media.state import Shape, State
from receiver.net.slab import slab_octets
from receiver.settings import ConfigError, Media
from receiver.worker.memory import SLAB_ROWS
from tests.control.made import WISH
from tests.daemon.made import settings_for
from tests.daemon.test_estate import row

ID = "0b0e7f4c-3c39-4e6f-8f6e-3a4d5e6f7a8b"
NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)


def summary(**given: Any) -> Summary:
    usual: dict[str, Any] = {"recording_id": ID, "ending": "stopped", "outcome": "complete", "started_at": NOON}
    return Summary(**usual | given)


def test_a_worker_is_told_samples_and_nanoseconds(tmp_path: Path) -> None:
    made = outfit.configure(settings_for(tmp_path, media__allow="192.0.2.0/24"), 0, slots=5)
    assert (made.index, made.taps, made.tick_ns, made.horizon, made.window) == (0, 5, 100_000_000, 3200, 48_000)
    assert (made.commit_interval_ns, made.segment_frames, made.directory) == (10**9, 0, str(tmp_path))
    assert (made.policy, made.events_payload_type, made.encoding, made.repair) == ("announced", 101, "pcm16", True)
    assert not outfit.configure(settings_for(tmp_path), 1, slots=5).repair
    assert not made.mask_dtmf
    assert outfit.configure(settings_for(tmp_path, taps__mask_dtmf=True), 0, slots=5).mask_dtmf
    assert made.rtcp
    assert not outfit.configure(settings_for(tmp_path, media__rtcp="off"), 0, slots=5).rtcp


def test_a_worker_logs_as_the_daemon_does(tmp_path: Path) -> None:
    made = outfit.environ(settings_for(tmp_path, log__level="debug", log__format="json"))
    assert made == {"TAPDECK_LOG__LEVEL": "debug", "TAPDECK_LOG__FORMAT": "json"}


async def test_a16_ports_of_an_earlier_process_rest_for_what_is_left_of_their_time(tmp_path: Path) -> None:
    now_ns = 1_800_000_000 * SECOND
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    for number, ago_s in enumerate((10, 59, 61)):
        tap = row(number, 29_000 + number)
        ledger.ask(tap)
        told = summary(recording_id=tap.recording_id, tap_id=tap.id)
        ledger.book(msgspec.json.encode(told), None, now_ns - ago_s * SECOND)
    clerk = Clerk(ledger, lambda error: None)
    settings = settings_for(tmp_path, media__cooldown_s=60)
    found = await outfit.cooling(settings, clerk, [row(9, 29_009), row(8, 29_008, WISH._replace(device="ws"))], now_ns)
    assert found == {29_000: 50.0, 29_001: 1.0, 29_009: 60.0}
    assert await outfit.cooling(settings_for(tmp_path, media__cooldown_s=0), clerk, [], now_ns) == {}
    await clerk.close()


def test_limits_are_those_of_the_configuration(tmp_path: Path) -> None:
    made = outfit.limits(settings_for(tmp_path, taps__start_timeout_s=1, taps__max_duration_s=3))
    assert made == Limits(outfit.OPENING_NS, 1 * SECOND, 60 * SECOND, 3 * SECOND)


def test_ports_are_those_of_the_configuration(tmp_path: Path) -> None:
    pool = outfit.ports(settings_for(tmp_path, media__ports="29000-29009"))
    assert pool.free == 10


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_host_is_a_matter_of_configuration(address: str) -> None:
    with pytest.raises(ConfigError, match=r"media\.bind: expected an address of this host"):
        outfit.require_bindable(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_an_address_of_this_host_is_fine(address: str) -> None:
    outfit.require_bindable(address)


@pytest.mark.parametrize(
    ("limit", "set_to", "warned"),
    [
        ((1024, 1 << 20), 8256, False),
        ((1024, 4096), 4096, True),
        ((1024, resource.RLIM_INFINITY), 8256, False),
        ((1 << 20, 1 << 20), None, False),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, False),
    ],
)
@pytest.mark.parametrize("taps", [4_000, 2_000])
def test_there_are_descriptors_for_all_taps_as_far_as_the_host_gives_them(
    taps: int, limit: tuple[int, int], set_to: int | None, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    said: list[str] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: limit)
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: seen.append(new[0]))
    monkeypatch.setattr(outfit.log, "warning", lambda event, **more: said.append(event), raising=False)
    outfit.raise_descriptor_limit(Media(max_taps=taps, rtcp="both" if taps < 4_000 else "mux"))
    assert seen == ([] if set_to is None else [set_to])
    assert bool(said) == warned


@pytest.mark.parametrize(
    ("given", "stem"),
    [
        ({"file": f"20260921T120000Z_{ID}.wav"}, f"20260921T120000Z_{ID}"),
        ({"file": f"20260921T120000Z_{ID}-2.wav"}, f"20260921T120000Z_{ID}-2"),
        ({"file": None}, f"20260921T120000Z_{ID}"),
    ],
)
def test_a_recording_lies_where_the_archive_puts_it(given: dict[str, Any], stem: str) -> None:
    assert outfit.stem_of(summary(**given), "{started:%Y%m%dT%H%M%SZ}_{recording_id}") == stem


def test_a_pattern_with_folders_leads_into_them() -> None:
    made = summary(file=f"{ID}.wav", call_id="../x")
    assert outfit.stem_of(made, "{started:%Y}/{call_id}/{recording_id}") == f"2026/___x/{ID}"


def test_a_flac_lies_beside_its_sidecar_too() -> None:
    assert outfit.stem_of(summary(file=f"{ID}-2.flac"), "{recording_id}") == f"{ID}-2"


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert outfit.stem_of(Summary(recording_id=ID, ending="stopped", outcome="empty"), "{recording_id}") is None
    assert outfit.stem_of(summary(recording_id="../../x"), "{recording_id}") is None


def test_whether_paths_are_there(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert outfit.present(tmp_path, ["a.wav", "b.wav"]) == [True, False]


def test_how_much_may_still_be_written(tmp_path: Path) -> None:
    assert 0 < outfit.free(tmp_path) <= shutil.disk_usage(tmp_path).total
    with pytest.raises(OSError, match="No such file"):
        outfit.free(tmp_path / "gone")


@pytest.mark.parametrize(("taps", "window_ms"), [(100, 6_000), (4_000, 6_000), (4_000, 30_000), (16_000, 3_400)])
def test_the_memory_that_is_announced_is_what_the_media_path_needs(
    tmp_path: Path, taps: int, window_ms: int
) -> None:
    given = {"media__max_taps": taps, "media__window_ms": window_ms, "media__ports": "1024-65535"}
    settings = settings_for(tmp_path, **given)
    needed, _ = State.needed(Shape.of(taps, settings.media.window, slab_octets(SLAB_ROWS)))
    assert outfit.memory_octets(settings) == pytest.approx(needed, rel=0.05)


@pytest.mark.parametrize(("told", "found"), [("", None), ("/a", Path("/a")), ("/a:/b", Path("/a"))])
def test_the_state_directory_is_the_first_that_the_service_manager_names(
    told: str, found: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", told)
    assert outfit.state_directory() == found
