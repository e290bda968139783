"""Settings: what is set is honoured or refused, with the key's path; nothing is accepted and ignored."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from receiver import settings
from receiver.forms import AWAITED
from receiver.media.packets import DENSITY, PacketRows
from receiver.media.state import Shape, State
from receiver.net.slab import slab_octets
from receiver.net.tick import LONGEST_NS
from receiver.settings import MASK, ConfigError, Media, Settings, explain, load, read
from receiver.tables import Listen, Record
from receiver.wire import opus
from receiver.worker.memory import SLAB_ROWS

EXAMPLE = Path(__file__).parents[1] / "config" / "tapdeck.toml"
CONTRACT = {
    "media": "bind advertise ports workers max_taps tick_ms horizon_ms window_ms source allow cooldown_s rtcp "
    "events_payload_type opus_payload_type",
    "relay": "enabled host project token topics ca_file",
    "taps": "direction layout codec ptime_ms start_timeout_s silence_timeout_s max_duration_s pause_as mask_dtmf",
    "storage": "directory name encoding commit_interval_ms segment_s reserve_mb keep_days",
    "http": "listen token public_url callbacks_listen",
    "ws": "listen uri certificate key",
    "daemon": "stop_timeout_s",
    "log": "level format",
}


def problems(**flags: object) -> str:
    """What is said about these flags (``media__tick_ms=5``)."""
    with pytest.raises(ConfigError) as caught:
        load(None, {}, {name.replace("__", "."): value for name, value in flags.items()})
    return str(caught.value)


def test_the_keys_are_the_contracts() -> None:
    expected = [f"{section}.{leaf}" for section, leaves in CONTRACT.items() for leaf in leaves.split()]
    assert list(settings.TYPES) == [*expected, "listen", "record", "hook"]


def test_nothing_set_gives_the_contracts_defaults() -> None:
    given = load(None, {})
    assert given == Settings()
    assert given.media == Media(
        bind="0.0.0.0", ports="20000-29999", workers=1, max_taps=4000, tick_ms=100, horizon_ms=400, window_ms=6000,
        source="announced", allow=(), cooldown_s=60, rtcp="mux", events_payload_type=101, opus_payload_type=111,
    )  # fmt: skip
    assert (given.storage.directory, given.http.listen, given.daemon.stop_timeout_s) == (
        "/var/lib/tapdeck",
        "127.0.0.1:8080",
        25,
    )


def test_inside_there_are_samples_and_nanoseconds() -> None:
    given = load(
        None,
        {},
        {"media.horizon_ms": 250, "media.window_ms": 4000, "media.tick_ms": 20, "storage.segment_s": 1.5,
         "storage.commit_interval_ms": 200, "taps.start_timeout_s": 0.5},
    )  # fmt: skip
    assert (given.media.horizon, given.media.window) == (2_000, 32_000)
    assert (given.media.tick_ns, given.storage.commit_interval_ns) == (20_000_000, 200_000_000)
    assert (given.storage.segment_frames, given.taps.start_timeout_ns) == (12_000, 500_000_000)
    assert (given.taps.silence_timeout_ns, given.taps.max_duration_ns) == (60 * 10**9, 14_400 * 10**9)


def test_the_clock_rate_is_g711s() -> None:
    from receiver.wire import g711

    assert settings.CLOCK_RATE == g711.CLOCK_RATE


@pytest.mark.parametrize(
    ("media", "first", "last", "step"),
    [
        (Media(ports="20000-29999"), 20000, 29999, 1),
        (Media(ports="20000-29999", rtcp="both"), 20000, 29998, 2),
        (Media(ports="20001-20004", rtcp="both"), 20002, 20004, 2),
        (Media(ports="20001"), 20001, 20001, 1),
    ],
)
def test_with_rtcp_on_the_next_port_only_even_ones_are_given_out(
    media: Media, first: int, last: int, step: int
) -> None:
    ports = media.port_range
    assert (ports[0], ports[-1], ports.step) == (first, last, step)


@pytest.mark.parametrize(
    ("bind", "advertise", "told"),
    [
        ("0.0.0.0", None, None),
        ("::", None, None),
        ("203.0.113.5", None, "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
    ],
)
def test_senders_are_told_an_address_only_where_one_is_known(bind: str, advertise: str | None, told: str) -> None:
    assert Media(bind=bind, advertise=advertise).advertised == told


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("media.tick_ms", 5, "an integer from 20 to 200, found 5"),
        ("media.tick_ms", True, "an integer from 20 to 200, found True"),
        ("media.tick_ms", 100.5, "an integer from 20 to 200, found 100.5"),
        ("media.cooldown_s", float("nan"), "a number from 0 to 3600, found nan"),
        ("media.cooldown_s", float("inf"), "a number from 0 to 3600, found inf"),
        ("media.source", "sure", 'one of "address", "allow-list", "announced", "any", "exact", found \'sure\''),
        ("media.bind", "everywhere", "an IP address, found 'everywhere'"),
        ("media.bind", "", "a text that is not empty, found ''"),
        ("media.allow", 7, "a list, each a text that is not empty, found 7"),
        ("media.ports", "80-90", "ports from 1024 to 65535"),
        ("http.listen", "0.0.0.0", "ADDRESS:PORT"),
        ("storage.segment_s", 0.5, "0, or at least 1, found 0.5"),
        ("taps.mask_dtmf", [], "true or false, found []"),
    ],
)
def test_a_wrong_type_or_range_names_key_expectation_and_find(key: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, {key: value})
    assert str(caught.value).startswith(f"{key}: expected ")
    assert sentence in str(caught.value)


def test_the_window_must_hold_horizon_helping_and_a_stall() -> None:
    assert "media.window_ms: expected at least 4000 (media.horizon_ms + 3000), found 3999" in problems(
        media__horizon_ms=1000, media__window_ms=3999
    )
    load(None, {}, {"media.horizon_ms": 1000, "media.window_ms": 4000})


def test_ports_must_do_for_all_taps_and_those_that_cool_down() -> None:
    flags = {"media.max_taps": 8, "media.ports": "20000-20009"}
    load(None, {}, flags)
    with pytest.raises(ConfigError, match=r"media\.ports: expected at least 10 ports .* found 9 in 20000-20008"):
        load(None, {}, flags | {"media.ports": "20000-20008"})
    load(None, {}, flags | {"media.ports": "20000-20007", "media.cooldown_s": 0})
    with pytest.raises(ConfigError, match="found 7"):
        load(None, {}, flags | {"media.ports": "20000-20006", "media.cooldown_s": 0})


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "203.0.113.5:8080"])
def test_d10_listening_elsewhere_than_loopback_asks_for_a_token(listen: str) -> None:
    assert "http.token: expected a token" in problems(http__listen=listen)
    assert load(None, {}, {"http.listen": listen, "http.token": "t"}).http.token == "t"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.8.8:80", "[::1]:8080", "localhost:8080"])
def test_d10_on_loopback_no_token_is_asked_for(listen: str) -> None:
    assert load(None, {}, {"http.listen": listen}).http.loopback


def test_an_allow_list_must_allow_somebody() -> None:
    assert "media.allow: expected at least one" in problems(media__source="allow-list")
    assert "media.opus_payload_type: expected another" in problems(media__opus_payload_type=101)


def test_all_mistakes_are_said_at_once() -> None:
    said = problems(media__tick_ms=1, taps__codec="MP3", storage__name="x").splitlines()
    assert [line.partition(":")[0] for line in said] == ["media.tick_ms", "taps.codec", "storage.name"]


NOT_YET: dict[str, Any] = {
    "media.workers": 2,
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(NOT_YET))
def test_a_key_that_cannot_be_honoured_yet_is_refused_never_ignored(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)}: expected .* in this version, which does not have "):
        load(None, {}, {key: NOT_YET[key]})


def test_the_list_of_keys_to_come_is_complete_and_keeps_every_default() -> None:
    assert set(AWAITED) == set(NOT_YET)
    defaults = {row.key: row.value for row in explain(read(None, {}))}
    assert all(defaults[key] in AWAITED[key].honoured for key in AWAITED)


RELAY = {"relay.project": "p", "relay.token": "PTsecret"}


def test_the_relay_is_on_when_project_and_token_are_there() -> None:
    assert load(None, {}, RELAY).relay.on
    assert not load(None, {}).relay.on
    assert not load(None, {}, RELAY | {"relay.enabled": False}).relay.on
    assert load(None, {"SIGNALWIRE_PROJECT_ID": "p", "SIGNALWIRE_API_TOKEN": "t"}).relay.on


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"relay.token": "PTsecret"}, "relay.project: expected a text, because relay.token is set; found none"),
        ({"relay.project": "p"}, "relay.token: expected a text, because relay.project is set; found none"),
        ({"relay.enabled": True, "relay.project": "p"}, "relay.token: expected a text, because relay.enabled is true"),
    ],
)
def test_half_a_credential_stops_the_start(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, given)
    assert said in str(caught.value)
    assert "PTsecret" not in str(caught.value)


def test_an_inbound_call_that_is_recorded_by_itself_has_its_topic_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "tapdeck.toml"
    file.write_text(
        "relay.topics = ['front', 'office']\nmedia.bind = '127.0.0.1'\n"
        "[[record]]\ntopic = 'office'\nlabels = { team = 'sales' }\n"
        "[[record]]\ntopic = 'door'\ndirection = 'speak'\n"
    )
    loaded = load(file, {}, RELAY)
    assert loaded.topics == ("front", "office", "door")
    assert [(rule.topic, rule.direction, rule.labels) for rule in loaded.record] == [
        ("office", "both", {"team": "sales"}), ("door", "speak", {}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[record]]\ntopic = 7", "record: expected a list, each a table with topic, direction, layout, labels"),
        ("[[record]]\ntopic = 'a'\nteam = 'x'", "record: expected a list, each a table with topic"),
        ("[[record]]\ntopic = 'a'\ndirection = 'up'", "(look at record[0].direction)"),
        ("[[record]]\ntopic = 'a'\nlayout = 'quad'", "(look at record[0].layout)"),
        (
            "[[record]]\ntopic = 'a'\nlayout = 'stereo'\ndirection = 'speak'",
            'record[0].direction: expected "both" with layout "stereo", found \'speak\'',
        ),
        ("media.bind = '0.0.0.0'\n[[record]]\ntopic = 'a'", "media.advertise: expected the IPv4 address"),
        ("media.bind = '::1'\n[[record]]\ntopic = 'a'", "shall send to; found ::1 (there is a [[record]])"),
    ],
)
def test_a_rule_for_calls_that_means_nothing_stops_the_start(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tapdeck.toml"
    file.write_text(f"media.bind = '127.0.0.1'\n{text}" if "media" not in text else text)
    with pytest.raises(ConfigError) as caught:
        load(file, {}, RELAY)
    assert said in str(caught.value)


def test_calls_are_not_recorded_without_a_relay(tmp_path: Path) -> None:
    file = tmp_path / "tapdeck.toml"
    file.write_text("media.bind = '127.0.0.1'\n[[record]]\ntopic = 'office'\n")
    with pytest.raises(ConfigError, match="record: expected none, because the relay is not enabled"):
        load(file, {})


@pytest.mark.parametrize(
    "given",
    [
        {"ws.listen": "127.0.0.1:1"}, {"ws.uri": "wss://x.example"},
        {"ws.listen": "127.0.0.1:1", "ws.uri": "wss://x.example", "ws.key": "/k"},
        {"ws.listen": "127.0.0.1:1", "ws.uri": "https://x.example"}, {"http.public_url": "x.example"},
        {"http.callbacks_listen": "8443"}, {"taps.ptime_ms": 25},
    ],
)  # fmt: skip
def test_a_door_that_is_half_described_stops_the_start(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^(ws|http|taps)\.\w+: expected "):
        load(None, {}, given)


def test_d9_a_secret_is_in_no_message_and_no_listing() -> None:
    assert "geheim" not in problems(relay__token="geheim")
    rows = {row.key: row for row in explain(read(None, {"TAPDECK_HTTP__TOKEN": "geheim"}))}
    assert rows["http.token"].value == MASK
    assert rows["http.token"].origin == "environment TAPDECK_HTTP__TOKEN"
    assert rows["relay.token"].value is None


def test_the_shipped_file_is_the_defaults() -> None:
    assert load(EXAMPLE, {}) == Settings()


def test_the_shipped_file_speaks_of_every_key_in_order_with_its_meaning_above() -> None:
    section, seen, meaning = "", [], False
    for line in EXAMPLE.read_text().splitlines():
        if found := re.match(r"#?\[+(\w+)\]+$", line):
            section = found[1]
            if section in settings.KEYS.tables:
                seen.append(section)
        elif section in CONTRACT and (found := re.match(r"#?(\w+) = ", line)):
            seen.append(f"{section}.{found[1]}")
            assert meaning, f"{section}.{found[1]} has no comment above it"
        meaning = line.startswith("#") or (meaning and line != "")
    assert seen == list(settings.TYPES)


def meanings() -> dict[str, str]:
    """Key → what the shipped file says above it, as one line."""
    section, said, found = "", [""], {}
    for line in EXAMPLE.read_text().splitlines():
        if head := re.match(r"#?\[+(\w+)\]+$", line):
            section = head[1]
        elif key := re.match(r"#?(\w+) = ", line):
            found[f"{section}.{key[1]}"] = " ".join(said)
        said = [*said, line.removeprefix("# ")] if line.startswith("# ") else said if line.startswith("#") else []
    return found


def test_the_shipped_file_names_every_choice() -> None:
    structs = {**settings.SECTIONS, "listen": Listen, "record": Record}
    said, choices = meanings(), 0
    for section, struct in structs.items():
        for name, annotation in get_type_hints(struct).items():
            for choice in get_args(annotation) if get_origin(annotation) is Literal else ():
                assert f'"{choice}"' in said[f"{section}.{name}"], f"{section}.{name} does not name {choice}"
                choices += 1
    assert choices > 30


def test_the_shipped_file_says_of_every_number_what_raising_it_costs() -> None:
    numbers = {
        row.key
        for row in explain(read(None, {}))
        if isinstance(row.default, int | float) and not isinstance(row.default, bool)
    }
    assert len(numbers) == 17
    said = {key: re.findall(r"\bRaising it costs \w[^.]+", meaning) for key, meaning in meanings().items()}
    assert {key for key in numbers if len(said[key]) != 1} == set()
    assert {key for key in said if said[key]} == numbers | {"hook.timeout_s"}, "and of nothing else"


def _state(media: Media) -> State:
    shape = Shape.of(1, media.window, 4_096)._replace(density=DENSITY)
    return State(np.zeros(State.needed(shape)[0], np.uint8), shape)


def test_the_costs_are_the_codes() -> None:
    said, media = meanings(), Media()
    memory = State.needed(Shape.of(media.max_taps, media.window, slab_octets(SLAB_ROWS)))[0]
    assert f"{media.max_taps:,} taps: {memory / 1e6:.0f} MB at most" in said["media.max_taps"]
    before_ring = [State.needed(Shape.of(taps, media.window, slab_octets(SLAB_ROWS)))[1] for taps in (4_000, 5_000)]
    assert f"{(before_ring[1] - before_ring[0]) / 1e6:.0f} kB of memory at once" in said["media.max_taps"]
    per_ms = settings.CLOCK_RATE * 2 // 1_000
    assert f"{per_ms} octets per ms" in said["media.window_ms"]
    packets = DENSITY * settings.CLOCK_RATE // 1_000
    assert f"another {packets} octets" in said["taps.codec"]
    assert f"({packets * media.window_ms / 1e3:.0f} kB at {media.window_ms})" in said["taps.codec"]
    assert f"{opus.CLOCK_RATE * 2 // 1_000} kB/s of disk" in said["taps.codec"]
    patience = PacketRows(_state(media)).patience(media.horizon)
    assert f"more than {patience / settings.CLOCK_RATE} s late (at {media.window_ms})" in said["taps.codec"]
    assert f"(OPUS: {opus.CLOCK_RATE * 2 * 3_600 / 1e6:.1f})" in said["taps.max_duration_s"]
    assert f"{media.max_taps * per_ms * 1_125 / 1e6:.0f} MB for each second" in said["media.window_ms"]
    second = settings.CLOCK_RATE * 2
    assert f"{second // 1_000} kB/s of disk" in said["media.max_taps"]
    assert f"{second * 3_600 / 1e6:.1f} MB an hour" in said["taps.max_duration_s"]
    assert f"{second * 86_400 / 1e9:.1f} GB a day" in said["storage.keep_days"]
    assert f"{(2 << 30) // second // 3_600} hours" in said["storage.segment_s"]
    assert f"{media.tick_ms // 20} at {media.tick_ms}, {LONGEST_NS // 20_000_000} at 200" in said["media.tick_ms"]


def test_what_the_shipped_file_has_behind_a_hash_is_toml_of_a_known_key() -> None:
    # A comment proper begins with "# "; without the space it is a line to be taken in.
    text = re.sub(r"^#(?=[\[\w])", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    document = tomllib.loads(text)
    names = {f"{section}.{leaf}" for section in CONTRACT for leaf in document[section]}
    assert names == settings.KEYS.names
