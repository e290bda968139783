"""Somebody else's sender, told to send RTP to a port that ``tapdeck tap open`` gave.

It finds its sound in ready/, bit for bit.
"""

import json
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver import lab
from receiver.wire.g711 import ALAW, PCMA, PCMU, ULAW
from tests.journeys.host import Host, host
from tests.tools import needs

SPEECH = Path(lab.__file__).parent / "speech.wav"
TABLES = {"PCMU": ULAW, "PCMA": ALAW}
PAYLOAD_TYPES = {"PCMU": PCMU, "PCMA": PCMA}


def recorded(one: Host, tap: dict[str, str]) -> NDArray[np.int16]:
    """Stop the tap; its sound."""
    one.ask("tap", "stop", tap["id"], "--wait")
    told = json.loads(next(one.recordings.rglob(f"ready/*{tap['recording_id']}.json")).read_bytes())
    assert told["outcome"] == "complete", told
    assert told["absent_frames"] == 0, told["gaps"]
    with wave.open(str(one.recordings / "ready" / told["file"])) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8_000)
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2")


def run(*command: str) -> bytes:
    """A program of somebody else's; it ends by itself."""
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    return done.stdout


@pytest.mark.all
@needs("ffmpeg")
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_ffmpeg_finds_its_sound_bit_for_bit(codec: str, tmp_path: Path) -> None:
    encoder, raw = {"PCMU": ("pcm_mulaw", "mulaw"), "PCMA": ("pcm_alaw", "alaw")}[codec]
    spoken = ("ffmpeg", "-v", "error", "-t", "2", "-i", str(SPEECH), "-ar", "8000", "-ac", "1", "-c:a", encoder)
    sent = TABLES[codec][np.frombuffer(run(*spoken, "-f", raw, "-"), np.uint8)]
    with host(tmp_path) as one:
        tap = one.ask("tap", "open", "--source", "any", "--codec", codec)
        run("ffmpeg", "-re", *spoken[1:], "-payload_type", str(PAYLOAD_TYPES[codec]), "-f", "rtp", tap["uri"])
        assert np.array_equal(recorded(one, tap), sent)


@pytest.mark.all
@needs("gst-launch-1.0")
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_gstreamer_finds_its_sound_bit_for_bit(codec: str, tmp_path: Path) -> None:
    encoder, payloader = {"PCMU": ("mulawenc", "rtppcmupay"), "PCMA": ("alawenc", "rtppcmapay")}[codec]
    source = f"filesrc location={SPEECH} ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=8000,channels=1"
    raw = tmp_path / "raw"
    run("gst-launch-1.0", "-q", *f"{source} ! {encoder} ! filesink location={raw}".split())
    sent = TABLES[codec][np.frombuffer(raw.read_bytes(), np.uint8)]
    with host(tmp_path) as one:
        tap = one.ask("tap", "open", "--source", "127.0.0.1", "--codec", codec)
        port = tap["tap_audio"]["port"]
        sink = f"{payloader} ! udpsink host=127.0.0.1 port={port} sync=true"
        run("gst-launch-1.0", "-q", *f"{source} ! {encoder} ! {sink}".split())
        heard = recorded(one, tap)
        assert np.array_equal(heard, sent[: heard.size])
        assert sent.size - heard.size < 160, "the payloader keeps what does not fill a packet"
