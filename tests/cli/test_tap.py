"""``tapdeck tap open|list|show|stop|watch``, against a daemon."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from receiver.cli.common import Away
from tests.daemon.made import Process

Tapdeck = Callable[..., Result]


def opened(tapdeck: Tapdeck, *words: str) -> str:
    done = tapdeck("tap", "open", "--source", "any", "--json", *words)
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["id"])


def test_open_says_where_to_send(tapdeck: Tapdeck) -> None:
    done = tapdeck(
        "tap", "open", "--source", "127.0.0.1", "--codec", "pcma", "--label", "team=blue", "--label", "a=b=c"
    )
    assert done.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["state"] == "listening"
    assert "(PCMA, 20 ms)" in done.stdout
    assert "rtp://127.0.0.1:" in done.stdout
    shown = json.loads(tapdeck("tap", "show", "--json", lines["tap"]).stdout)
    assert (shown["labels"], shown["source"]) == ({"team": "blue", "a": "b=c"}, "127.0.0.1")
    tapdeck("tap", "stop", "--wait", lines["tap"])


def test_a_port_for_opus_says_which_payload_type_it_expects(tapdeck: Tapdeck) -> None:
    words = ("--source", "127.0.0.1", "--codec", "opus", "--json")
    for more, expected in (((), 111), (("--payload-type", "96"), 96)):
        told = json.loads(tapdeck("tap", "open", *words, *more).stdout)
        assert (told["payload_type"], told["tap_audio"]["codec"]) == (expected, "OPUS")
        tapdeck("tap", "stop", "--wait", told["id"])


def test_open_stereo_says_where_to_send_each_party(tapdeck: Tapdeck) -> None:
    done = tapdeck("tap", "open", "--source", "any", "--layout", "stereo")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    taps = [words[1:] for words in lines if words[0] == "tap"]
    assert [party for _, party in taps] == ["(speak)", "(listen)"]
    sent = [words[2:4] for words in lines if words[0] == "send"]
    assert [party for _, party in sent] == ["(speak,", "(listen,"]
    assert len({uri for uri, _ in sent}) == 2
    listen = taps[1][0]
    shown = tapdeck("tap", "show", listen)
    assert "uris.speak" in shown.stdout
    assert json.loads(tapdeck("tap", "stop", "--wait", "--json", listen).stdout)["outcome"] == "empty"
    assert json.loads(tapdeck("tap", "show", "--json", taps[0][0]).stdout)["outcome"] == "empty"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "source: expected"),
        (("--source", "any", "--payload-type", "100"), "it is OPUS' to have another"),
        (("--source", "any", "--codec", "OPUS", "--payload-type", "101"), "telephone events"),
        (("--source", "any", "--device", "ws"), 'device "ws"'),
        (("--source", "any", "--label", "standin=refuse"), "no space; make some"),
    ],
)
def test_what_cannot_be_met_exits_1_and_says_why(tapdeck: Tapdeck, words: tuple[str, ...], said: str) -> None:
    done = tapdeck("tap", "open", *words)
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words", [("--codec", "G722"), ("--label", "x"), ("--label", "=x"), ("--srtp-file", "no-such-file"), ("--x",)]
)
def test_a_wrong_command_exits_2(tapdeck: Tapdeck, words: tuple[str, ...]) -> None:
    assert tapdeck("tap", "open", "--source", "any", *words).exit_code == 2


CM, KEY = "AES_CM_128_HMAC_SHA1_80", "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"


def test_open_with_a_key_says_the_suite_and_never_the_key(tapdeck: Tapdeck, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"a=crypto:1 {CM} inline:{KEY}|2^20\n")
    done = tapdeck("tap", "open", "--srtp-file", str(file))
    assert done.exit_code == 0, done.output
    assert "srtp://127.0.0.1:" in done.stdout
    assert f"srtp       {CM}" in done.stdout
    tap = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())["tap"]
    shown = tapdeck("tap", "show", tap)
    assert [line.split() for line in shown.stdout.splitlines() if line.startswith("srtp")] == [["srtp.suite", CM]]
    listed = tapdeck("tap", "list", "--json")
    for said in (done.output, shown.output, listed.output):
        assert KEY[:8] not in said
    tapdeck("tap", "stop", "--wait", tap)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{CM} inline:{KEY[:-4]}", "these are 27 octets"),
        (f"{CM} {KEY}", "expected key: inline: and the base64 of 30 octets"),
        (f"AES_CM_256 inline:{KEY}", "suite: one of AES_CM_128_HMAC_SHA1_80"),
        (f"{KEY}\n", "one line SUITE inline:BASE64"),
        ("", "one line SUITE inline:BASE64"),
    ],
)
def test_a_key_of_the_wrong_form_exits_2_with_what_was_expected(
    tapdeck: Tapdeck, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    done = tapdeck("tap", "open", "--srtp-file", str(file))
    assert done.exit_code == 2
    assert said in done.stderr
    assert KEY[:8] not in done.output
    file.write_bytes(b"\xff\xfe\x00")
    assert tapdeck("tap", "open", "--srtp-file", str(file)).exit_code == 2


@pytest.mark.parametrize("url", ["http://192.0.2.1:8080", "http://media.example.com"])
def test_d9_a_key_does_not_go_over_the_network_in_the_clear(tapdeck: Tapdeck, tmp_path: Path, url: str) -> None:
    file = tmp_path / "key"
    file.write_text(f"{CM} inline:{KEY}\n")
    done = tapdeck("tap", "open", "--srtp-file", str(file), "--url", url)
    assert done.exit_code == 2
    assert "use https" in done.stderr


def test_list_and_show_and_stop(tapdeck: Tapdeck, daemon: Process) -> None:
    tap = opened(tapdeck, "--label", "which=this")
    listed = tapdeck("tap", "list", "--label", "which=this")
    assert listed.stdout.splitlines()[0].startswith("TAP")
    assert tap in listed.stdout.splitlines()[1]
    assert "listening" in listed.stdout.splitlines()[1]
    assert tapdeck("tap", "list", "--label", "which=none", "--json").stdout == "[]\n"
    shown = tapdeck("tap", "show", tap)
    assert "labels.which" in shown.stdout
    assert "counts.packets" in shown.stdout
    stopped = tapdeck("tap", "stop", "--wait", tap)
    assert stopped.exit_code == 0
    assert "empty" in stopped.stdout
    again = tapdeck("tap", "stop", "--json", tap)
    assert (again.exit_code, json.loads(again.stdout)["ending"]) == (0, "stopped")
    finished = json.loads(tapdeck("tap", "list", "--state", "finished", "--limit", "1", "--json").stdout)
    assert [each["id"] for each in finished] == [tap]


def test_pause_and_resume_and_twice_is_the_same(tapdeck: Tapdeck, daemon: Process) -> None:
    tap = opened(tapdeck)
    for verb, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        done = tapdeck("tap", verb, "--json", tap)
        assert (done.exit_code, json.loads(done.stdout).get("paused", False)) == (0, paused)
    assert tapdeck("tap", "pause", "none").exit_code == 1
    tapdeck("tap", "stop", "--wait", tap)


def test_stop_and_wait_tells_where_the_recording_is(tapdeck: Tapdeck, daemon: Process) -> None:
    tap = opened(tapdeck)
    stopped = json.loads(tapdeck("tap", "stop", "--wait", "--json", tap).stdout)
    assert (stopped["outcome"], stopped["recording"]["file"]) == ("empty", None)


def test_a_tap_that_never_was_exits_1(tapdeck: Tapdeck) -> None:
    for words in (("show", "../../etc/passwd"), ("stop", "nobody")):
        done = tapdeck("tap", *words)
        assert (done.exit_code, done.stderr) == (1, "tapdeck: no tap has this id\n")


def test_without_a_daemon_one_is_told_to_start_it(tapdeck: Tapdeck) -> None:
    with pytest.raises(Away, match="no daemon answers") as away:  # exit 69, see cli.EXITS
        tapdeck("tap", "list", "--url", "http://127.0.0.1:1")
    assert away.value.hint == "is `tapdeck run` running?"


@contextmanager
def watching(daemon: Process, *words: str) -> "Iterator[subprocess.Popen[str]]":
    """`tapdeck tap watch` in a process of its own; its output is read line by line."""
    with subprocess.Popen(
        [sys.executable, "-m", "receiver", "tap", "watch", *words], env=os.environ | {"TAPDECK_URL": daemon.url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    ) as watch:  # fmt: skip
        try:
            yield watch
        finally:
            watch.kill()


def test_watch_tells_of_one_tap_until_it_has_its_outcome(tapdeck: Tapdeck, daemon: Process) -> None:
    tap = opened(tapdeck)
    other = opened(tapdeck)
    with watching(daemon, tap, "--json") as watch:
        tapdeck("tap", "stop", "--wait", other)
        tapdeck("tap", "stop", "--wait", tap)
        output, errors = watch.communicate(timeout=30)
        assert (watch.returncode, errors) == (0, "")
    told = [json.loads(line) for line in output.splitlines()]
    assert {each["tap"]["id"] for each in told} == {tap}
    assert told[-1]["event"] == "tap.finished"
    again = tapdeck("tap", "watch", tap)  # it is over: that is said, nothing is waited for
    assert again.exit_code == 0
    assert again.stdout.split()[1:] == ["tap.finished", tap, "empty", "stopped"]


def test_watch_tells_of_all_until_the_daemon_goes(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    daemon = Process(tmp_path / "storage")
    try:
        daemon.until_ready()
        with watching(daemon) as watch:
            assert watch.stdout is not None
            while not select.select([watch.stdout], [], [], 0)[0]:  # until it listens
                _, tap = daemon.ask("/v1/taps", {"source": "any"})
                daemon.ask(f"/v1/taps/{tap['id']}/stop?wait=ready", {})
            _, tap = daemon.ask("/v1/taps", {"source": "any"})
            daemon.process.terminate()
            output, errors = watch.communicate(timeout=30)
            assert watch.returncode == 69
            assert "the daemon tells no more" in errors
        told = [line.split()[1:] for line in output.splitlines() if tap["id"] in line]
        assert told[:2] == [["tap.requested", tap["id"]], ["tap.listening", tap["id"]]]
        assert ["tap.finished", tap["id"], "empty", "shutdown"] in told
    finally:
        daemon.process.kill()
        daemon.process.wait(30)


def test_watch_of_a_tap_that_never_was_exits_1(tapdeck: Tapdeck) -> None:
    done = tapdeck("tap", "watch", "nobody")
    assert done.exit_code == 1
    assert "no tap has this id" in done.stderr


def test_watch_when_nobody_answers_is_exit_69(monkeypatch: pytest.MonkeyPatch, tapdeck: Tapdeck) -> None:
    with pytest.raises(Away):
        tapdeck("tap", "watch", "--url", "http://127.0.0.1:9")
