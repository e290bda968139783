"""The benchmarks run, with tiny sizes: they must not rot. What they measure is nobody's promise here."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from benchmarks import chart, step, taps
from benchmarks.machine import Reading
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
    readings = [Reading(begin_ns, 0, 0, 0), Reading(end_ns, 20_000, 10_000, 6_000)]
    cost = taps.cost(readings, crowd, begin_ns, end_ns)
    assert (cost.mean_us, cost.best_us, cost.user_us, cost.main_us) == pytest.approx((1.0, 1.0, 2 / 3, 0.2))
    with pytest.raises(ValueError, match="too short"):
        taps.cost(readings[:1], crowd, begin_ns, end_ns)


def test_without_a_c_compiler_there_is_no_ratio_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    taps.main(["--taps", "2", "--seconds", "1", "--directory", str(tmp_path), "--results", str(tmp_path)])
    told = capsys.readouterr()
    assert "no C compiler" in told.err
    assert "| no cc | – |" in told.out
