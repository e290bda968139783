"""``tapdeck import FILE``: recordings in a folder, a table or JSON, and 1 with the octet for what is no capture."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from receiver.archive.check import check
from receiver.archive.files import Files
from receiver.archive.quarantine import set_aside
from receiver.lab.plan import Caller, Plan
from receiver.ledger.folder import Folder
from receiver.wire import g711
from tests.cli.made import run
from tests.importing.captures import capture, framed, of_type, packet, pcap, sent
from tests.tools import needs

PLAN = Plan((Caller(1, seconds=2), Caller(2, seconds=3, codec="PCMA", weather="lossy")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bug.report.pcap"
    path.write_bytes(capture(PLAN))
    return path


def test_a_table_of_what_was_recorded(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", str(file), "--into", str(tmp_path / "new" / "folder")) == 0
    out, err = capsys.readouterr()
    heads, *rows = out.split("\n\n")[0].splitlines()
    assert heads.split() == ["stream", "codec", "packets", "lost", "seconds", "outcome", "file"]
    assert re.search(r"192\.0\.2\.7:40001 → 198\.51\.100\.1:20002 +PCMU +100 +0 +2\.0 +complete +\S+\.wav", out)
    assert len(rows) == 2
    assert re.search(r"\n5\.0 s of sound in \d+\.\d\d s, [\d,]+ × real time\nrecordings: .*folder/ready\n", out)
    assert err == ""
    assert check(tmp_path / "new" / "folder") == []


def test_json_says_the_same_and_how_fast_it_was(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("import", str(file), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == "bug.report.recordings"
    by_stream = {each["stream"].split()[0]: each for each in told["streams"]}
    one = by_stream["192.0.2.7:40001"]
    assert (one["codec"], one["packets"], one["lost"], one["seconds"], one["outcome"], one["ending"]) == (
        "PCMU", 100, 0, 2.0, "complete", "stopped",
    )  # fmt: skip
    assert (tmp_path / "bug.report.recordings" / "ready" / one["file"]).exists()
    assert by_stream["192.0.2.7:40002"]["lost"] > 0
    assert told["frames"]["udp"] == 100 + by_stream["192.0.2.7:40002"]["packets"]
    assert (told["seconds_of_sound"], told["fault"], told["payload_types"], told["not_recorded"]) == (5.0, None, {}, [])
    assert told["seconds_of_work"] > 0


@pytest.mark.parametrize(("octets", "says", "at"), [(b"", "empty", 0), (b"hello", "no pcap or pcapng", 0)])
def test_what_is_no_capture_is_exit_1_and_the_octet(
    tmp_path: Path, octets: bytes, says: str, at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none"
    path.write_bytes(octets)
    assert run("import", str(path), "--into", str(tmp_path / "out")) == 1
    err = capsys.readouterr().err
    assert says in err
    assert f"(at octet {at})" in err


def test_a_capture_that_is_cut_off_is_exit_1_and_what_is_readable_is_recorded(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(file.read_bytes()[:20_001])
    assert run("import", str(file), "--into", str(tmp_path / "out"), "--json") == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    size = 16 + len(packet(sent(PLAN)[0]))
    offset = 24 + (20_001 - 24) // size * size
    assert told["fault"]["offset"] == offset
    assert f"the capture is cut off: {20_001 - offset} octets of a record that goes on (at octet {offset:,})" in err
    assert [each["outcome"] for each in told["streams"]] == ["degraded", "degraded"]
    assert sum(each["packets"] for each in told["streams"]) == (20_001 - 24) // size


def test_what_is_in_no_recording_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opus = [of_type(111, one) for one in sent(Plan((Caller(1, seconds=1),)))]
    frames = [(one.stamp_ns, framed(1, packet(one))) for one in opus]
    frames.append((opus[-1].stamp_ns, framed(1, packet(opus[0], fragment=0x2000))))
    (tmp_path / "c").write_bytes(pcap(frames, link=1))
    assert run("import", str(tmp_path / "c"), "--into", str(tmp_path / "out")) == 0
    out, err = capsys.readouterr()
    assert re.search(r"40001 → \S+ +payload type 111 +50 +- +- +not recorded +-\n", out)
    assert "tapdeck: packets of payload type 111, which is not recorded: 50\n" in err
    assert "tapdeck: fragments of UDP datagrams, which are not put together: 1\n" in err


def test_a_link_type_that_is_not_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").write_bytes(pcap([(0, bytes(80))] * 3, link=127))
    assert run("import", str(tmp_path / "c"), "--into", str(tmp_path / "out")) == 0
    err = capsys.readouterr().err
    assert "frames of link type 127, which is not read (BSD loopback, Ethernet," in err
    assert err.endswith(" are): 3\n")


def test_k7_a_slab_of_the_quarantine_is_a_capture_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    files = Files(tmp_path)
    packets = sent(Plan((Caller(1, seconds=1),)))[:5]
    octets = np.zeros((5, 1_536), np.uint8)
    for row, one in zip(octets, packets, strict=True):
        row[: len(one.payload)] = np.frombuffer(one.payload, np.uint8)
    stamps = np.array([one.stamp_ns for one in packets])
    source = np.zeros(5, np.uint64), np.full(5, 0xFFFF_C000_0207, np.uint64), np.full(5, 4_000)
    sizes = np.array([len(one.payload) for one in packets])
    name = set_aside(files, 0, stamps, source, np.full(5, 20_000), octets, sizes)
    assert name
    assert run("import", str(tmp_path / name), "--into", str(tmp_path / "out"), "--json") == 0
    (one_told,) = json.loads(capsys.readouterr().out)["streams"]
    assert (one_told["stream"], one_told["packets"]) == ("192.0.2.7:4000 → 127.0.0.1:20000", 5)
    with wave.open(str(tmp_path / "out" / "ready" / one_told["file"])) as sound:
        heard = np.frombuffer(sound.readframes(800), "<i2")
    said = np.concatenate([g711.ULAW[np.frombuffer(one.payload[12:], np.uint8)] for one in packets])
    assert heard.tolist() == said.tolist()


def test_a_folder_that_a_daemon_uses_is_left_alone(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    (tmp_path / "out").mkdir()
    held = Folder(tmp_path / "out")
    assert run("import", str(file), "--into", str(tmp_path / "out")) == 73
    assert "in use" in capsys.readouterr().err
    held.release()
    assert run("import", str(file), "--into", str(tmp_path / "out")) == 0


def test_streams_that_found_no_place_are_exit_1(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.importing.course.MOST_AT_ONCE", 1)
    assert run("import", str(file), "--into", str(tmp_path / "out"), "--json") == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (len(told["streams"]), told["streams_without_a_place"]) == (1, 1)
    assert err == "tapdeck: streams not recorded because too many go on at once (filter the capture): 1\n"


def test_a_pipe_is_a_usage_error_and_not_an_empty_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert run("import", "pipe") == 2
    assert "pipe is a pipe or a device, and a capture is read twice: save it" in capsys.readouterr().err
    assert os.listdir() == ["pipe"]


def test_c6_recordings_that_do_not_fit_on_the_disk_are_not_begun(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packets = 100 + sum(one.port == 40_002 for one in sent(PLAN))
    for free, code in ((320 * packets - 1, 74), (320 * packets, 0)):
        monkeypatch.setattr(Files, "free_octets", lambda _, free=free: free)
        assert run("import", str(file), "--into", str(tmp_path / f"{code}")) == code
    assert "the recordings take at least 0.1 MB, and 0.1 MB are free. Choose another folder" in capsys.readouterr().err
    assert not [path for room in ("spool", "ready") for path in (tmp_path / "74" / room).iterdir()]


def test_what_is_missing_is_a_usage_error(tmp_path: Path) -> None:
    assert run("import") == 2
    assert run("import", str(tmp_path / "away")) == 2
    assert run("import", str(tmp_path)) == 2


@pytest.mark.parametrize(("encoding", "suffix"), [("pcm16", ".wav"), ("g711", ".wav"), ("flac", ".flac")])
def test_the_encoding_of_the_configuration_is_that_of_what_is_imported(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, suffix: str
) -> None:
    (tmp_path / "c.toml").write_text(f'[storage]\nencoding = "{encoding}"\n')
    assert run("import", str(file), "--into", str(tmp_path / "out"), "--config", str(tmp_path / "c.toml")) == 0
    capsys.readouterr()
    told = [json.loads(path.read_bytes()) for path in (tmp_path / "out" / "ready").glob("*.json")]
    assert [(each["encoding"], Path(each["file"]).suffix) for each in told] == [(encoding, suffix)] * 2
    assert check(tmp_path / "out") == []


@pytest.mark.all
@needs("dumpcap", "tshark")
def test_a_real_capture_on_loopback_is_exact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dumpcap listens, a caller of the lab sends to a port that nobody reads, and the proof asks the sender's log."""
    from receiver.lab.proof import Expected, prove
    from receiver.lab.sender import Sender
    from receiver.lab.senderlog import file_of

    path, log = tmp_path / "real.pcapng", tmp_path / "log"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        port = sink.getsockname()[1]
        words = ["dumpcap", "-q", "-i", "lo", "-f", f"udp dst port {port}", "-w", str(path)]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as dumpcap:
            assert dumpcap.stderr
            assert any(line.startswith("File:") for line in dumpcap.stderr), "it says so when it captures"
            plan = Plan((Caller(1, to=f"127.0.0.1:{port}", seconds=3, weather="lossy"),), log=str(log))
            with Sender(plan) as sender:
                summary = sender.run()
            words = ["tshark", "-r", str(path), "-T", "fields", "-e", "frame.number"]
            while len(subprocess.run(words, capture_output=True, text=True).stdout.splitlines()) < summary.packets:
                pass  # what the kernel has is on its way to the file
            dumpcap.send_signal(signal.SIGINT)
            dumpcap.stderr.read()
    assert run("import", str(path), "--into", str(tmp_path / "out"), "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["streams"]
    document = (tmp_path / "out" / "ready" / told["file"]).with_suffix(".json")
    proof = prove(document, file_of(log, 1), Expected(ending="stopped"))
    assert proof.exact, str(proof)


def test_it_loads_neither_the_network_nor_the_control_side() -> None:
    code = "import sys, receiver.importing.course; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "aiohttp", "sqlite3", "receiver.net", "receiver.link"} & set(loaded)




@pytest.mark.parametrize("masked", [False, True])
def test_a8_masked_keys_are_told_by_no_import_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], masked: bool
) -> None:
    speech = sent(Plan((Caller(1, seconds=2),)))
    key = [
        one._replace(payload=of_type(101, one).payload[:12] + struct.pack("!BBH", 5, 0x8A, 160 * k))
        for k, one in enumerate(speech[50:51] * 3, 1)
    ]  # fmt: skip
    frames = [(one.stamp_ns, framed(101, packet(one))) for one in [*speech[:50], *key, *speech[51:]]]
    (tmp_path / "keys.pcap").write_bytes(pcap(frames))
    (tmp_path / "c.toml").write_text(f"[taps]\nmask_dtmf = {str(masked).lower()}\n")
    into = tmp_path / "into"
    asked = ("import", str(tmp_path / "keys.pcap"), "--into", str(into), "--config", str(tmp_path / "c.toml"))
    assert run(*asked) == 0
    capsys.readouterr()
    [told] = (into / "ready").glob("*.json")
    assert [digit["digit"] for digit in json.loads(told.read_bytes())["dtmf"]] == ([] if masked else ["5"])
