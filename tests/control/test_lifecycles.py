"""10,000 random lives of taps in virtual time, with faults of every kind in rules D: one outcome each, no endless wait.

Everything of ``receiver.control`` and the switch are real; the worker, the sound and the network are played. `virtual`
raises where anything waits without a bound; whatever is still alive an hour after the last life began is found here.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from receiver.control import sides
from receiver.control.calls import DialFailed
from receiver.control.errors import RelayAway, RelayDenied, RelayError
from receiver.control.means import NotNow
from receiver.control.taps import Tap
from receiver.lab.switch.faults import GOOD, Faults
from tests import virtual
from tests.control.relayworld import RelayWorld
from tests.tools import count

Lived = tuple[Counter[str], int, dict[str, tuple[str | None, str | None]]]
OUTCOMES = {"complete", "degraded", "empty", "failed"}
WEATHERS = (
    GOOD,
    Faults(event_delay_s=(0, 3), repeat_events=0.3),
    Faults(withhold_events=0.3, repeat_events=0.2),
    Faults(events_first=True, finished="after", integer_codes=True, nested=True),
    Faults(finished="never", source_device="texts"),
    Faults(no_answer=0.1, late_answer_s=(0, 4)),
    Faults(garbage=0.05, wrong_id=0.05, huge=0.01),
    Faults(source_device="none", keep_session_s=0, tell_restored=False),
    Faults(keep_session_s=5, replay_missed=False),
    Faults(refuse={"calling.tap": ("400", "busy codec")}),
    Faults(refuse={"calling.tap.stop": ("500", "no"), "calling.answer": ("404", "gone")}),
    Faults(ping_interval_s=0),
    Faults(drop_after=40),
)


class Lives:
    """Many lives in one world, and the weather that they live in."""

    def __init__(self, world: RelayWorld, dice: random.Random) -> None:
        self.world, self.dice = world, dice
        self.seen: Counter[str] = Counter()
        self.beside = 0  # second taps of a recording

    async def weather(self) -> None:
        """Every now and then something else goes wrong; now and then everything is well."""
        world, dice = self.world, self.dice
        while True:
            await asyncio.sleep(dice.uniform(5, 60))
            world.exchange.faults = dice.choice(WEATHERS)
            match dice.randrange(8):
                case 0:
                    world.exchange.drop()
                case 1:
                    world.exchange.disconnect(restart=dice.random() < 0.5)
                case 2:
                    world.wire.cut = True
                    world.exchange.drop()
                    await asyncio.sleep(dice.choice([1, 20, 900]))
                    world.wire.cut = False
                case 3:
                    world.worker.die()
                case 4:
                    world.exchange.faults = Faults(connect_error=dice.choice(["-32002", "-32603"]))
                    world.exchange.drop()
                    await asyncio.sleep(dice.choice([1, 70]))
                    world.exchange.faults = GOOD
                case 5:
                    world.exchange.faults = Faults(connect_silence=True)
                    world.exchange.drop()
                    await asyncio.sleep(15)
                    world.exchange.faults = GOOD

    async def live(self, number: int) -> None:
        """One call, its tap, and somebody or something that ends it."""
        world, dice = self.world, self.dice
        try:
            await self._until_up()
            call = await world.client.dial_phone(to="+15550199", from_="+15550100", timeout=5)
            labels = {"worker": dice.choice(["", "", "", "", "", "refuses", "mute"])}
            layout = dice.choice(["mono", "mono", "mono", "stereo"])
            tap = await world.roster.ask(world.wish(call.call_id, call.node_id, labels=labels, layout=layout))
        except (DialFailed, RelayAway, RelayError, NotNow) as error:
            self.seen[type(error).__name__] += 1
            return
        await self._end(tap, call.call_id)
        limit_s = 1800 + 700 + 60  # the longest tap, the longest silence, and the end
        for side in sides.of(tap):
            await world.roster.until(side, {type(side.state).FINISHED}, limit_s)
            assert side.outcome in OUTCOMES, f"life {number}: {side}"
        assert len({side.outcome for side in sides.of(tap)}) == 1, f"life {number}: {tap.sides}"
        self.seen[f"{tap.outcome}: {tap.ending}"] += 1
        self.beside += len(sides.of(tap)) - 1

    async def _until_up(self) -> None:
        while not self.world.client.up:
            with suppress(RelayDenied, RelayAway):
                await self.world.client.until_up(60)
            await asyncio.sleep(1)

    async def _end(self, tap: Tap, call_id: str) -> None:
        world, dice = self.world, self.dice
        await asyncio.sleep(dice.choice([0, 0.01, 0.1, 1, 10, 30]))
        match dice.randrange(6):
            case 0 | 1:
                for _ in range(dice.choice([1, 2])):
                    world.roster.stop(tap)
            case 2 | 3 if call_id in world.exchange.calls:
                world.exchange.hang_up(call_id)
            case 4:
                await world.sounds.stop(tap.id)  # the media dies, and the relay says nothing
            case 5 if call_id in world.exchange.calls and tap.id in world.exchange.calls[call_id].taps:
                world.exchange.conduct.over(tap.id)


def lives(directory: Path, many: int, seed: int) -> Lived:
    """So many lives, sixty at a time. Returns how they ended, and what the ledger says."""

    async def whole() -> Lived:
        dice = random.Random(seed)
        world = RelayWorld(directory, seed, slots=64)
        all_lives = Lives(world, dice)
        await world.up()
        weather = asyncio.ensure_future(all_lives.weather())
        places = asyncio.Semaphore(60)

        async def one(number: int) -> None:
            async with places:
                await all_lives.live(number)

        try:
            await asyncio.gather(*(one(number) for number in range(many)))
            weather.cancel()
            await asyncio.gather(weather, return_exceptions=True)
            world.wire.cut, world.exchange.faults = False, GOOD
            assert world.roster.living() == []
            assert world.taken == 0
            assert world.roster._places.room(0) == 64
            await all_lives._until_up()
            await asyncio.sleep(60)
            assert world.attendance._tasks == set()
            return all_lives.seen, all_lives.beside, world.outcomes()
        finally:
            weather.cancel()
            await asyncio.gather(weather, return_exceptions=True)
            await world.over()

    return virtual.run(whole())


@pytest.mark.parametrize("seed", range(count(1, all=4, full=10)))
def test_p6_d_each_of_many_random_lives_has_exactly_one_outcome_and_no_wait_is_unbounded(
    tmp_path: Path, seed: int
) -> None:
    many = count(300, all=2_500, full=10_000)
    seen, beside, ledger = lives(tmp_path, many, seed)
    assert sum(seen.values()) == many
    tapped = {what: times for what, times in seen.items() if ":" in what}
    assert sum(tapped.values()) + beside == len(ledger)
    assert beside > 0
    assert {outcome for _, outcome in ledger.values()} <= OUTCOMES
    assert all((state == "failed") == (outcome == "failed") for state, outcome in ledger.values())
    assert len(tapped) >= 5, f"too few kinds of lives: {seen}"
