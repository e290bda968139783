"""The benchmarks run, with tiny sizes: they must not rot. What they measure is nobody's promise here."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from benchmarks import chart, floor, importing, srtp, step, taps
from benchmarks.machine import Reading, machine
from receiver import keys
from receiver.lab.plan import Caller, Plan
from receiver.lab.rush import Rush
from receiver.lab.senderlog import read_crowd


def test_step_tells_every_step_and_counts_every_packet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step.main(["--taps", "10,20", "--ticks", "10", "--times", "1", "--results", str(tmp_path), "--json"])
    told = msgspec.json.decode(capsys.readouterr().out, type=step.Results)
    assert [(each.taps, each.packets) for each in told.runs] == [(10, 500), (20, 1_000)]
    for each in told.runs:
        assert set(each.steps_us) == set(step.STEPS)
        assert each.total_us > 0 < each.yardstick_us
        assert each.start_longest_ms <= each.start_ms
    kept = list(tmp_path.glob("step-*.json"))
    assert [msgspec.json.decode(path.read_bytes(), type=step.Results) for path in kept] == [told]
    assert step.table(told).count("\n| parse |") == 1


def test_importing_records_every_weather_and_says_how_fast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    importing.main(["--minutes", "0.05", "--streams", "3", "--results", str(tmp_path), "--json"])
    told = msgspec.json.decode(capsys.readouterr().out, type=importing.Results)
    assert [(run.weather, run.streams) for run in told.runs] == [
        ("clean", 1), ("lossy", 1), ("jittery", 1), ("everything", 1), ("clean", 3),
    ]  # fmt: skip
    assert [round(run.seconds_of_sound) for run in told.runs] == [3, 3, 3, 3, 9]
    assert len(importing.table(told).splitlines()) == 7


@pytest.mark.all
def test_srtp_opens_every_packet_in_process_and_on_the_wire(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    srtp.main([
        "--taps", "5", "--ticks", "1", "--times", "1", "--seconds", "1", "--directory", str(tmp_path), "--results",
        str(tmp_path), "--json",
    ])  # fmt: skip
    told = msgspec.json.decode(capsys.readouterr().out, type=srtp.Results)
    assert [each.kind for each in told.steps] == [srtp.PLAIN, srtp.BESIDE, *keys.SUITES]
    (wire,) = told.wire
    assert (wire.lost, wire.unauthentic, wire.outcomes) == (0, 0, {"complete": 5})
    assert srtp.table(told).count("AES_CM_128_HMAC_SHA1_80") == 2


@pytest.mark.all
def test_taps_records_real_packets_and_finds_them_all_in_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taps.main(["--taps", "5", "--seconds", "1", "--directory", str(tmp_path), "--results", str(tmp_path), "--json"])
    told = msgspec.json.decode(capsys.readouterr().out, type=taps.Results)
    (run,) = told.runs
    assert (run.taps, run.lost, run.taps_with_loss, run.outcomes) == (5, 0, 0, {"complete": 5})
    assert run.sent >= 5 * 50
    assert run.worker.best_us <= run.worker.mean_us
    assert (run.floor is not None) == (shutil.which("cc") is not None)
    assert len(taps.table(told).splitlines()) == 3

    (kept,) = tmp_path.glob("taps-*.json")
    assert json.loads(kept.read_bytes())["runs"][0]["taps"] == 5
    picture = tmp_path / "picture.svg"
    chart.main([str(kept), "--output", str(picture)])
    words = " ".join(ElementTree.parse(picture).getroot().itertext())
    assert "5 taps" in words
    assert "nothing lost" in words


def test_cost_is_what_was_used_over_what_was_sent_meanwhile(tmp_path: Path) -> None:
    callers = tuple(Caller(k, "127.0.0.1:9", seconds=0.2) for k in range(3))
    with Rush(Plan(callers, lean=True, log=str(tmp_path))) as rush:
        rush.run()
    crowd = read_crowd(tmp_path)
    begin_ns, end_ns = int(crowd.slot_ns.min()), int(crowd.slot_ns.max()) + 1
    readings = [Reading(begin_ns, 0, 0, 0, 0), Reading(end_ns, 20_000, 10_000, 6_000, 0)]
    cost = taps.cost(readings, taps.sent_by(crowd), begin_ns, end_ns)
    assert (cost.mean_us, cost.best_us, cost.user_us, cost.main_us) == pytest.approx((1.0, 1.0, 2 / 3, 0.2))
    with pytest.raises(ValueError, match="too short"):
        taps.cost(readings[:1], taps.sent_by(crowd), begin_ns, end_ns)


def test_without_a_c_compiler_there_is_no_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert floor.build(tmp_path) is None
    cost = taps.Cost(mean_us=4.0, best_us=3.0, user_us=2.0, main_us=3.0, cores=0.2, waited=0.0, packets_per_s=50_000.0)
    run = taps.Run(
        taps=1_000, seconds=15.0, load=0.0, worker=cost, floor=None, sent=1, sent_per_s=50_000.0, lost=0,
        taps_with_loss=0, kernel_drops=0, late_ticks=0, tick_ms=100.0, tick_ms_longest=100.0, commit_ms=1.0,
        commit_ms_longest=1.0, unsafe_s_longest=1.0, memory_mb=1.0, shared_mb=1.0, open_s=1.0, close_s=1.0,
        outcomes={"complete": 1_000}, sender_late=0, sender_worst_ms=1.0,
    )  # fmt: skip
    assert run.ratio is None
    told = taps.Results(machine(), [run])
    assert "| no cc | – |" in taps.table(told)
    assert "no C compiler" in chart.draw(told)
