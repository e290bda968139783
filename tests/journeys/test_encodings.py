"""One sender, recorded in each encoding by a real daemon: exact by its log, and the same sound to everybody's ears."""

import http.client
import json
import subprocess
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.archive.sidecar import Sidecar, decode
from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.journeys.host import Host, host
from tests.tools import needs

Codec = Literal["PCMU", "PCMA"]
Sound = NDArray[np.int16]
KINDS = {"pcm16": "audio/wav", "g711": "audio/wav", "flac": "audio/flac"}


def recorded(folder: Path, encoding: str, codec: Codec, **keys: str) -> tuple[Path, Sidecar]:
    """The recording of a caller who says the same in the same weather each time; it is exact."""
    (folder / "logs").mkdir(parents=True)
    plan = Plan((Caller(id=1, codec=codec, seconds=2.5, weather="lossy"),), seed=5, log=str(folder / "logs"))
    with host(folder, **{"storage.encoding": f'"{encoding}"', **keys}) as one, SenderProcess(plan) as sender:
        # Asked for is PCMU each time: what counts is what came (rule A14).
        tap = one.ask("tap", "open", "--source", sender.sources[0])
        sender.go([tap["uri"].removeprefix("rtp://")])
        assert not sender.wait(60.0).refused
        one.ask("tap", "stop", tap["id"], "--wait")
        (told,) = one.sidecars()
        found = prove(told, file_of(folder / "logs", 1), Expected(ending="stopped"))
        assert found.exact, str(found)
        assert found.absent > 0
        audit = one.run("check", str(one.recordings))
        assert audit.returncode == 0, audit.stdout
        sidecar = decode(told.read_bytes())
        assert sidecar.encoding == encoding
        heard_over_http(one, told, sidecar)
        return told, sidecar


def heard_over_http(one: Host, told: Path, sidecar: Sidecar) -> None:
    """The API serves the file as what it is."""
    connection = http.client.HTTPConnection(*one.listens, timeout=10)
    try:
        part = "?part=1" if sidecar.parts else ""
        connection.request("GET", f"/v1/recordings/{sidecar.recording_id}/audio{part}")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, KINDS[sidecar.encoding])
        assert answer.read() == (told.parent / (sidecar.file or sidecar.parts[0].file)).read_bytes()
    finally:
        connection.close()


def decoded(program: str, path: Path) -> Sound:
    """Its samples, by somebody else's program that has nothing to complain about."""
    command = {
        "sox": ["sox", "-V2", "-D", str(path), "-t", "raw", "-e", "signed", "-b", "16", "-"],
        "ffmpeg": [
            "ffmpeg", "-v", "warning", "-guess_layout_max", "0", "-i", str(path),
            "-f", "s16le", "-c:a", "pcm_s16le", "-",
        ],
    }[program]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, "<i2")


@pytest.mark.all
@needs("sox", "ffmpeg")
@pytest.mark.parametrize("codec", ["PCMU", pytest.param("PCMA", marks=pytest.mark.full)])
def test_p1_in_each_encoding_sox_and_ffmpeg_hear_what_the_pcm16_recording_holds(codec: Codec, tmp_path: Path) -> None:
    recordings = {kind: recorded(tmp_path / kind, kind, codec) for kind in KINDS}
    told, plain = recordings["pcm16"]
    true = decoded("sox", told.with_name(str(plain.file)))
    came = np.full(plain.frames, True)
    for gap in plain.gaps:
        came[gap.frame : gap.frame + gap.frames] = False
    silence = {"pcm16": 0, "g711": 8 if codec == "PCMA" else 0, "flac": 0}
    for kind, (own, sidecar) in recordings.items():
        assert sidecar.gaps == plain.gaps, "the weather was another"
        path = own.with_name(str(sidecar.file))
        for program in ("sox", "ffmpeg"):
            heard = decoded(program, path)
            assert np.array_equal(heard, np.where(came, true, silence[kind])), (kind, program)
    assert recordings["g711"][1].bytes == 58 + plain.frames + plain.frames % 2
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(recordings["g711"][0].with_suffix(".wav"))],
        capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(shown.stdout)["streams"][0]["codec_name"] == {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw"}[codec]


@pytest.mark.all
@pytest.mark.parametrize(("encoding", "codec"), [("g711", "PCMU"), ("g711", "PCMA"), ("flac", "PCMU")])
def test_c7_in_several_files_it_is_exact_too(encoding: str, codec: Codec, tmp_path: Path) -> None:
    _, sidecar = recorded(tmp_path, encoding, codec, **{"storage.segment_s": "1"})
    assert len(sidecar.parts) >= 2
    assert {Path(part.file).suffix for part in sidecar.parts} == {".flac" if encoding == "flac" else ".wav"}
