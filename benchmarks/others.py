"""What people record RTP with otherwise: GStreamer and ffmpeg, as processes that write a WAV."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from receiver.lab import sound

PACKAGES: Final = "ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
START_S: Final = 60.0
END_S: Final = 15.0
MOST_OCTETS: Final = 16_000_000
"""1,000 s. A new SSRC made ffmpeg write 14 hours of silence, 830 MB, with ``aresample``."""
BYE: Final = bytes.fromhex("80c90001 00000000 81cb0001 00000000")
"""An empty receiver report and a BYE (RFC 3550, sections 6.1 and 6.6)."""
_ENCODING: Final = {"PCMU": ("rtppcmudepay", "mulawdec"), "PCMA": ("rtppcmadepay", "alawdec")}


class Other(msgspec.Struct, frozen=True):
    """A way to record with a program of somebody else's."""

    name: str
    program: str
    keeps_time: bool
    """With the element, or filter, that fills what is missing: what its manual offers to those who ask."""


OTHERS: Final = (
    Other("GStreamer", "gst-launch-1.0", False),
    Other("GStreamer, audiorate", "gst-launch-1.0", True),
    Other("ffmpeg", "ffmpeg", False),
    Other("ffmpeg, aresample", "ffmpeg", True),
)


def available() -> tuple[Other, ...]:
    """Those whose program is here."""
    return tuple(other for other in OTHERS if shutil.which(other.program))


def command(other: Other, codec: str, port: int, output: Path) -> list[str]:
    """What to type; ffmpeg's session description is written beside the output."""
    if other.program == "ffmpeg":
        description = output.with_suffix(".sdp")
        description.write_text(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {sound.LAWS[codec]}\r\na=rtpmap:{sound.LAWS[codec]} {codec}/8000\r\n"
        )
        fill = ["-af", "aresample=async=1"] if other.keeps_time else []
        reading = ["-protocol_whitelist", "file,udp,rtp", "-listen_timeout", "120", "-i", str(description)]
        writing = ["-c:a", "pcm_s16le", "-fs", str(MOST_OCTETS), "-y", str(output)]
        return ["ffmpeg", "-nostdin", "-v", "error", *reading, *fill, *writing]
    depay, decode = _ENCODING[codec]
    caps = f"application/x-rtp,media=audio,clock-rate=8000,encoding-name={codec},payload={sound.LAWS[codec]}"
    fill = ["!", "audiorate", "skip-to-first=true"] if other.keeps_time else []
    pipeline = ["udpsrc", f"port={port}", "address=127.0.0.1", f"caps={caps}", "!", "rtpjitterbuffer", "latency=200"]
    pipeline += ["!", depay, "!", decode, *fill, "!", "wavenc", "!", "filesink", f"location={output}"]
    return ["gst-launch-1.0", "-q", "-e", *pipeline]


class Recording:
    """One process that records one port into one file."""

    def __init__(self, other: Other, codec: str, port: int, output: Path) -> None:
        self.other, self.port, self.output = other, port, output
        with output.with_suffix(".log").open("wb") as said:
            self._process = subprocess.Popen(
                command(other, codec, port, output), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def end(self) -> None:
        """End it in order, so that it ends its file too.

        ffmpeg listens to a signal only when a packet comes: it gets what a caller sends who hangs up, RTCP's BYE.
        """
        if self.other.program == "ffmpeg":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
                door.sendto(BYE, ("127.0.0.1", self.port + 1))
        elif self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def wait(self, until_s: float) -> None:
        """Until it is gone, or ``until_s`` (monotonic)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(until_s - time.monotonic(), 0.001))

    def kill(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.wait()

    def sound(self) -> NDArray[np.int16]:
        """What it wrote, int16[frames]; nothing where there is no file that can be read."""
        try:
            samples, _ = soundfile.read(self.output, dtype="int16", always_2d=True)
        except soundfile.SoundFileError:
            return np.zeros(0, np.int16)
        return np.asarray(samples[:, 0], np.int16)


@contextlib.contextmanager
def running(recordings: list[Recording]) -> Iterator[None]:
    """Wait until each has its port; end all in order, and by force what does not end. Raises TimeoutError."""
    try:
        wanted, deadline_s = {each.port for each in recordings}, time.monotonic() + START_S
        while not wanted <= drops().keys():
            if time.monotonic() > deadline_s:
                closed = sorted(wanted - drops().keys())
                raise TimeoutError(f"ports {closed} were not opened: see the logs beside the output")
            time.sleep(0.1)
        yield
        for each in recordings:
            each.end()
        deadline_s = time.monotonic() + END_S
        for each in recordings:
            each.wait(deadline_s)
    finally:
        for each in recordings:
            each.kill()


def drops() -> dict[int, int]:
    """Datagrams that the kernel dropped at each UDP port that somebody has."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16): int(row[-1]) for row in rows}
