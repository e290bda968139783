"""The relay as the daemon has it: the client, our own taps on it, calls that are recorded by themselves."""

from collections.abc import Sequence

from receiver.control.answering import Answering, Rule
from receiver.control.attendance import Attendance
from receiver.control.calls import Client
from receiver.control.codecs import law_of
from receiver.control.door import Door
from receiver.control.relay import Credentials, Memory
from receiver.control.roster import Roster
from receiver.control.taps import Wish
from receiver.control.websocket import WebDoor
from receiver.forms import relay_url
from receiver.settings import ConfigError, Settings
from receiver.watch.health import Health


class Relay:
    """Everything between `start` and `stop`. ``door`` is where the relay is; tests put another one there."""

    def __init__(
        self, settings: Settings, roster: Roster, health: Health, door: Door | None = None, memory: Memory | None = None
    ) -> None:
        relay = settings.relay
        assert relay.project is not None
        assert relay.token is not None
        self._health = health
        self.memory = memory or Memory()
        """What is known of the session, for the next process: credentials."""
        who = Credentials(relay.project, relay.token)
        self.client = Client(door or door_of(settings), who, topics=settings.topics, memory=self.memory)
        self.client.listen(on_up=self._up, on_down=self._down)
        self._attendance = Attendance(roster, self.client, settings.media.advertised)
        self._answering = Answering(roster, self.client, _rules(settings))

    def take(self, settings: Settings) -> None:
        """Rule D8: other rules, other topics, another address for taps that come."""
        self._answering.take(_rules(settings))
        self._attendance.take(settings.media.advertised)
        self.client.receive(settings.topics)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._health.complain("relay", "connecting")
        self.client.start()

    async def answer_no_more(self) -> None:
        """The daemon goes down: calls that come in now are not for us."""
        await self._answering.close()

    async def stop(self) -> None:
        """Hang up on the relay."""
        await self._answering.close()
        await self._attendance.close()
        await self.client.close()

    def _up(self, restored: bool) -> None:
        self._health.recover("relay")

    def _down(self, why: str) -> None:
        self._health.complain("relay", why)


def door_of(settings: Settings) -> WebDoor:
    """The way to the relay. Raises `ConfigError` where its certificates cannot be read."""
    try:
        return WebDoor(relay_url(settings.relay.host), settings.relay.ca_file)
    except OSError as error:
        found = f"{settings.relay.ca_file} ({error.strerror or error})"
        raise ConfigError([f"relay.ca_file: expected a readable file of certificates, found {found}"]) from error


def _rules(settings: Settings) -> Sequence[Rule]:
    taps, media = settings.taps, settings.media
    return [
        Rule(
            rule.topic,
            Wish(
                law=law_of(taps.codec, media.opus_payload_type), ptime=taps.ptime_ms, direction=rule.direction,
                layout=rule.layout, labels=rule.labels, policy=media.source, announced=None, source=None, own=True,
            ),
        )
        for rule in settings.record
    ]  # fmt: skip
