"""The relay as the daemon has it: wired to health, to the roster, to the rules."""

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.control.door import SocketClosed
from receiver.control.roster import Roster
from receiver.daemon.relay import Relay, door_of
from receiver.settings import ConfigError, load
from receiver.watch.health import Health
from tests import virtual
from tests.control.lifeworld import LifeWorld
from tests.control.relaypeer import RelayPeer
from tests.daemon.made import settings_for

KEYS = {"relay__project": "p", "relay__token": "PTsecret"}


def relay_with(directory: Path, peer: RelayPeer, story: Any, rules: str = "", **keys: Any) -> None:
    """A relay in virtual time, started."""

    async def whole() -> None:
        world = LifeWorld(directory, random.Random(1))
        health = Health()
        given = settings_for(directory, **KEYS, **keys)
        (directory / "rules.toml").write_text('media.bind = "127.0.0.1"\n' + rules)
        ruled = load(directory / "rules.toml", {}, {"relay.project": "p", "relay.token": "t"})
        made = Relay(msgspec.structs.replace(given, record=ruled.record), world.roster, health, peer)
        assert isinstance(world.roster, Roster)
        made.start()
        assert health.complaints == {"relay": "connecting"}
        try:
            await story(made, health)
        finally:
            await made.stop()
            await world.over()

    virtual.run(whole())


def test_readyz_says_how_we_stand_with_the_relay(tmp_path: Path) -> None:
    peer = RelayPeer()

    async def story(made: Relay, health: Health) -> None:
        await made.client.until_up(10)
        assert health.ready
        peer.line.fall("the network is unreachable")
        await asyncio.sleep(0.1)
        assert health.complaints == {"relay": "the network is unreachable"}
        await made.client.until_up(10)
        assert health.ready

    relay_with(tmp_path, peer, story)


def test_a_relay_that_is_not_there_is_said(tmp_path: Path) -> None:
    peer = RelayPeer()
    peer.shut = SocketClosed("Connection refused")

    async def story(made: Relay, health: Health) -> None:
        await asyncio.sleep(5)
        assert health.complaints == {"relay": "Connection refused"}

    relay_with(tmp_path, peer, story)


def test_topics_that_are_recorded_are_asked_for(tmp_path: Path) -> None:
    peer = RelayPeer()

    async def story(made: Relay, health: Health) -> None:
        await made.client.until_up(10)
        assert peer.line.said[0]["params"]["contexts"] == ["front", "office"]
        (rule,) = made._answering._rules.values()
        assert (rule.topic, rule.wish.own, rule.wish.policy, rule.wish.labels) == ("office", True, "announced", {})

    relay_with(tmp_path, peer, story, rules='[[record]]\ntopic = "office"\n', relay__topics=["front"])


def test_d8_other_rules_and_topics_are_taken_while_it_runs(tmp_path: Path) -> None:
    peer = RelayPeer()

    async def story(made: Relay, health: Health) -> None:
        await made.client.until_up(10)
        (tmp_path / "rules.toml").write_text(
            'media.bind = "127.0.0.1"\nmedia.advertise = "203.0.113.9"\nrelay.topics = ["front"]\n'
            '[[record]]\ntopic = "sales"\n'
        )
        made.take(load(tmp_path / "rules.toml", {}, {"relay.project": "p", "relay.token": "t"}))
        await asyncio.sleep(0.1)
        asked = [(each["method"], each["params"]) for each in peer.line.said[-2:]]
        assert asked == [
            ("signalwire.receive", {"contexts": ["sales"]}), ("signalwire.unreceive", {"contexts": ["office"]})
        ]  # fmt: skip
        assert list(made._answering._rules) == ["sales"]
        assert made._attendance._address == "203.0.113.9"
        peer.line.fall("the network is unreachable")
        await asyncio.sleep(0.1)
        await made.client.until_up(10)
        assert peer.line.said[0]["params"]["contexts"] == ["front", "sales"], "the next socket, too"

    relay_with(tmp_path, peer, story, rules='[[record]]\ntopic = "office"\n', relay__topics=["front"])


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none_stops_the_start_with_its_key(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = load(None, {}, {"relay.project": "p", "relay.token": "t", "relay.ca_file": str(file)})
    with pytest.raises(ConfigError, match=r"^relay\.ca_file: expected a readable file of certificates, found"):
        door_of(settings)
