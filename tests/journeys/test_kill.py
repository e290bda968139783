"""P3, rules K: a worker that is killed, at random instants and at every named point, costs not one received sample.

The recorder's workers are real processes that die by a real SIGKILL; what they leave is taken up by the next one. The
proof reads the recordings, the sidecars and the sender's log: same parts, no sample lost or wrong, counters exact.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from receiver.lab.process import SenderProcess
from receiver.lab.proof import Proof
from tests.journeys.dying_worker import ONCE_A_SECOND, POINTS, WITHOUT
from tests.journeys.recorder import assert_exact, crowd, proofs, recorder, send
from tests.tools import count

WEATHERS = (
    "everything", "lossy", "reordered", "late", "jittery", "duplicated", "ssrc_change", "jump_forward", "pauses",
    "clock_stop", "wrap", "bursty", "odd_sizes",
)  # fmt: skip
DYING = (sys.executable, "-W", "error", "-m", "tests.journeys.dying_worker", "worker")
IN_RECOVERY = [point for point in POINTS if point.startswith("in recovery")]
RUNNING = [point for point in POINTS if point not in IN_RECOVERY]


def deaths_at(points: list[str], times: int, dice: random.Random) -> list[str]:
    """A plan of deaths: each point several times, at different passes.

    Those in recovery follow a death while running.
    """

    def at(point: str) -> str:  # not in the first turns: a slab that two workers died on is set aside (rule K7)
        return f"{point} {dice.randint(1, 2) if point in ONCE_A_SECOND else dice.randint(10, 30)}"

    plan = []
    for point in points * times:
        plan += [at(dice.choice(RUNNING)), f"{point} 1"] if point in IN_RECOVERY else [at(point)]
    return plan


async def record_and_die(
    folder: Path, monkeypatch: pytest.MonkeyPatch, callers: int, seconds: float, plan: list[str],
    weathers: Sequence[str] = WEATHERS, without: str = "",
) -> tuple[list[Proof], int]:  # fmt: skip
    """Record callers while workers die as planned; returns the proofs and how many died."""
    deaths = folder / "deaths"
    deaths.write_text("".join(f"{line}\n" for line in plan))
    monkeypatch.setenv("TAPDECK_TEST_DEATHS", str(deaths))
    monkeypatch.setenv("TAPDECK_TEST_WITHOUT", without)
    logs = folder / "logs"
    with SenderProcess(crowd(callers, seconds, weathers, logs)) as sender:
        async with recorder(folder / "recordings", DYING) as one:
            taps = await one.open(sender.sources)
            await (await send(sender, taps))
            deaths.write_text("")
            await one.alive()
            await one.close(taps)
            died = int(one.crew.states()[0]["deaths"] or 0)
        return proofs(one, taps, logs), died


async def test_p3_a_worker_killed_at_random_instants_costs_nothing(tmp_path: Path) -> None:
    callers, kills = count(8, all=50, full=50), count(2, all=25, full=1_000)
    dice, logs = random.Random(11), tmp_path / "logs"
    with SenderProcess(crowd(callers, 0.85 * kills + 2.5, WEATHERS, logs)) as sender:
        async with recorder(tmp_path / "recordings") as one:
            taps = await one.open(sender.sources)
            done = await send(sender, taps)
            for _ in range(kills):
                await asyncio.wait([done], timeout=dice.uniform(0.02, 0.8))
                await one.alive()
                assert not done.done(), "the callers were done before the worker had died often enough"
                one.recording.clear()
                os.kill(one.pid(), signal.SIGKILL)
                await one.alive()
            await done
            await one.close(taps)
            assert one.crew.states()[0]["deaths"] == kills
        assert_exact(proofs(one, taps, logs))


@pytest.mark.all
async def test_p3_a_worker_killed_at_every_named_point_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers, times, every = count(8, all=50, full=50), count(1, all=2, full=20), count(4, all=1, full=1)
    points = list(POINTS)[::every]
    plan = deaths_at(points, times, random.Random(12))
    found, died = await record_and_die(tmp_path, monkeypatch, callers, 1.2 * len(plan) + 6, plan)
    assert died >= len(points) * times, f"only {died} of {len(plan)} planned deaths came about"
    assert_exact(found)


class Tooth(NamedTuple):
    """Where a rule protects, the weather in which its absence shows, and how often a worker passes before it dies."""

    points: tuple[str, ...]
    weathers: Sequence[str] = WEATHERS
    passes: tuple[int, int] = (1, 20)

    def plan(self) -> list[str]:
        """Eight deaths at each point."""
        dice = random.Random(13)
        return [f"{point} {dice.randint(*self.passes)}" for point in self.points * 8]


TEETH = {
    "K2": Tooth(("after the receive",), passes=(10, 30)),
    # never in the first turns: a slab that two workers died on is set aside (rule K7)
    "K3": Tooth(("before the generation", "inside placing"), passes=(10, 30)),
    "K4": Tooth(("between drain and write",), passes=(10, 30)),
    "K5": Tooth(("between drain and write",), passes=(10, 30)),
    "K6": Tooth(("between patch and write",), ("late",), (1, 2)),
}


@pytest.mark.all
@pytest.mark.parametrize(
    "rule", [rule if rule == "K3" else pytest.param(rule, marks=pytest.mark.full) for rule in sorted(WITHOUT)]
)
async def test_k_without_one_of_its_rules_the_test_is_red(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tooth = TEETH[rule]
    found, died = await record_and_die(tmp_path, monkeypatch, 20, 22.0, tooth.plan(), tooth.weathers, without=rule)
    assert died > 0
    assert any(not proof.exact for proof in found), f"rule {rule} was taken out and nobody noticed"


@pytest.mark.full
@pytest.mark.parametrize("rule", sorted(WITHOUT))
async def test_k_with_all_rules_the_same_deaths_cost_nothing(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tooth = TEETH[rule]
    found, died = await record_and_die(tmp_path, monkeypatch, 20, 22.0, tooth.plan(), tooth.weathers)
    assert died > 0
    assert_exact(found)
