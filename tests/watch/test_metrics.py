"""What Prometheus is told: every family by its name, nothing that is not known, no id in a label."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from receiver.watch.metrics import HELP, Facts, exposed

FACTS = Facts(
    version="1.2.3", packets={"accepted": 9, "short": 0}, taps={"listening": 2, "receiving": 1},
    sources={"unannounced": 1}, recordings={"complete": 4, "failed": 0}, unsafe_s=1.25, late_ticks=3, kernel_drops=7,
    relay=False, free_octets=5 << 30, hooks={"delivered": 8},
)  # fmt: skip
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(facts: Facts, accept: str = "") -> Samples:
    """Name and labels → value, as a scraper reads them."""
    text, content_type = exposed(facts, accept)
    read = read_openmetrics if "openmetrics" in content_type else read_plain
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in read(text.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", "text/plain", OPENMETRICS, f"{OPENMETRICS};q=0.6,text/plain;q=0.3"])
def test_every_form_tells_the_same(accept: str) -> None:
    assert samples(FACTS, accept) == {
        ("tapdeck_packets_total", (("verdict", "accepted"),)): 9,
        ("tapdeck_packets_total", (("verdict", "short"),)): 0,
        ("tapdeck_taps", (("state", "listening"),)): 2,
        ("tapdeck_taps", (("state", "receiving"),)): 1,
        ("tapdeck_source_events_total", (("event", "unannounced"),)): 1,
        ("tapdeck_recordings_total", (("outcome", "complete"),)): 4,
        ("tapdeck_recordings_total", (("outcome", "failed"),)): 0,
        ("tapdeck_unsafe_audio_seconds", ()): 1.25,
        ("tapdeck_late_ticks_total", ()): 3,
        ("tapdeck_kernel_drops_total", ()): 7,
        ("tapdeck_relay_connected", ()): 0,
        ("tapdeck_free_bytes", ()): 5 << 30,
        ("tapdeck_hook_deliveries_total", (("result", "delivered"),)): 8,
        ("tapdeck_build_info", (("version", "1.2.3"),)): 1,
    }


def test_who_accepts_openmetrics_gets_it() -> None:
    text, content_type = exposed(FACTS, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert exposed(FACTS, "*/*")[1].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("accept", ["text/plain;version=a.b", "application/openmetrics-text;version=,", ";;;=,", "ä/ö"])
def test_a_header_that_means_nothing_is_answered_all_the_same(accept: str) -> None:
    assert samples(FACTS, accept) == samples(FACTS)


def test_what_is_not_known_is_absent_not_zero() -> None:
    unknown = FACTS._replace(packets={}, recordings=None, unsafe_s=None, relay=None, free_octets=None, hooks=None)
    assert {name for name, _ in samples(unknown)} == {
        "tapdeck_taps", "tapdeck_source_events_total", "tapdeck_late_ticks_total", "tapdeck_kernel_drops_total",
        "tapdeck_build_info",
    }  # fmt: skip


def test_every_family_is_described_and_every_description_is_of_one() -> None:
    assert {name for name, _ in samples(FACTS)} == set(HELP)
    text = exposed(FACTS)[0].decode()
    for name, meaning in HELP.items():
        assert f"# HELP {name} {meaning}\n" in text
