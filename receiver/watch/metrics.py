"""What Prometheus is told: one family a question of an operator's, made at each scrape from what is known anyway.

Nothing is counted here. A value that is not known now is absent, not zero; no label ever holds an id, so the number of
series is bounded: verdicts, states and outcomes are short lists. ``config/prometheus/alerts.yml`` shows their use.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

HELP: Final = {
    "tapdeck_packets_total": "Datagrams by what became of them: accepted, or the reason why not.",
    "tapdeck_taps": "Taps that live, by state.",
    "tapdeck_source_events_total": "What an operator should know of who sends to taps, each in the log as a warning.",
    "tapdeck_recordings_total": "Recordings that ended, by outcome, since the ledger began.",
    "tapdeck_unsafe_audio_seconds": "Age of the oldest sound that a power cut would cost now.",
    "tapdeck_late_ticks_total": "Slices of the tick that began when the next one was due already.",
    "tapdeck_kernel_drops_total": "Datagrams that the kernel had no room for, of all programs of the host.",
    "tapdeck_relay_connected": "Whether the relay hears us (1) or not (0). Absent where no relay is configured.",
    "tapdeck_free_bytes": "Free space on the file system of [storage].directory.",
    "tapdeck_hook_deliveries_total": "Calls of hooks: delivered, failed (tried again), dropped. Absent without hooks.",
    "tapdeck_build_info": "1, with the version as a label.",
}
"""Every family that there is, by the name under which Prometheus stores it."""


class Facts(NamedTuple):
    """What one scrape sees; None: not known now. Mappings name every value that their label may have."""

    version: str
    packets: Mapping[str, int]  # by verdict
    taps: Mapping[str, int]  # by state
    sources: Mapping[str, int]  # by event
    recordings: Mapping[str, int] | None  # by outcome
    unsafe_s: float | None
    late_ticks: int
    kernel_drops: int
    relay: bool | None
    free_octets: int | None
    hooks: Mapping[str, int] | None  # by result


def exposed(facts: Facts, accept: str = "") -> tuple[bytes, str]:
    """Return the text and its content type: OpenMetrics for who accepts it, else Prometheus' own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(facts))
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none is no reason to tell nothing
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    return encode(registry), content_type


class _Once(Collector):
    """The facts of one scrape, in the library's words."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        facts = self._facts
        yield from _family(CounterMetricFamily, "tapdeck_packets_total", facts.packets, "verdict")
        yield from _family(GaugeMetricFamily, "tapdeck_taps", facts.taps, "state")
        yield from _family(CounterMetricFamily, "tapdeck_source_events_total", facts.sources, "event")
        yield from _family(CounterMetricFamily, "tapdeck_recordings_total", facts.recordings, "outcome")
        yield from _family(GaugeMetricFamily, "tapdeck_unsafe_audio_seconds", facts.unsafe_s)
        yield from _family(CounterMetricFamily, "tapdeck_late_ticks_total", facts.late_ticks)
        yield from _family(CounterMetricFamily, "tapdeck_kernel_drops_total", facts.kernel_drops)
        yield from _family(GaugeMetricFamily, "tapdeck_relay_connected", facts.relay)
        yield from _family(GaugeMetricFamily, "tapdeck_free_bytes", facts.free_octets)
        yield from _family(CounterMetricFamily, "tapdeck_hook_deliveries_total", facts.hooks, "result")
        yield from _family(GaugeMetricFamily, "tapdeck_build_info", {facts.version: 1}, "version")


Told = Mapping[str, int] | float | None


def _family(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily], name: str, told: Told, label: str = ""
) -> Iterator[Metric]:
    if told is not None:
        family = kind(name, HELP[name], labels=[label] if label else [])
        for value, number in _samples(told):
            family.add_metric(value, number)
        yield family


def _samples(told: Mapping[str, int] | float) -> Iterator[tuple[list[str], float]]:
    if isinstance(told, Mapping):
        yield from (([value], float(number)) for value, number in told.items())
    else:
        yield [], float(told)
