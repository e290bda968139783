"""Recordings as a picture: one line each, time to the right, what is absent and why. An SVG, from sidecars alone."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from receiver.archive.sidecar import Reason, Sidecar

COLOURS: Final = {
    Reason.LOST: "#d33682",
    Reason.NOT_SENT: "#c9d1db",
    Reason.PAUSED: "#b58900",
    Reason.DRIFT: "#6c71c4",
    Reason.WRITE_FAILED: "#dc322f",
    Reason.RESTART: "#cb4b16",
}
_SOUND: Final = "#2f6fb2"
_LEFT, _WIDTH, _LINE, _TOP = 220, 700, 28, 40


def draw(recordings: Sequence[tuple[str, Sidecar]]) -> str:
    """Return the SVG of named recordings, all on one scale of time; several channels lie above each other."""
    longest_s = max((told.duration_s for _, told in recordings), default=0) or 1.0
    lines = [_line(name, told, _TOP + k * _LINE, longest_s) for k, (name, told) in enumerate(recordings)]
    height = _TOP + len(recordings) * _LINE + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
    )
    return "\n".join([head, _scale(longest_s, height), *lines, _legend(recordings), "</svg>\n"])


def _line(name: str, told: Sidecar, top: float, longest_s: float) -> str:
    def at(frame: float) -> float:
        return _LEFT + frame / told.sample_rate / longest_s * _WIDTH

    channels = max(len(told.channels), 1)
    tall = 18 / channels
    bars = []
    for channel in range(channels):
        y = top + channel * tall
        bars.append(_bar(at(0), y, at(told.frames) - at(0), tall - 1, _SOUND, "sound"))
        for gap in told.gaps:
            if gap.channel == channel:
                wide = max(at(gap.frame + gap.frames) - at(gap.frame), 0.6)
                says = f"{gap.reason}: {gap.frames} frames from {gap.frame}"
                bars.append(_bar(at(gap.frame), y, wide, tall - 1, COLOURS[gap.reason], says))
    return f'<text x="10" y="{top + 14}">{escape(name)}</text>' + "".join(bars)


def _bar(x: float, y: float, wide: float, tall: float, colour: str, says: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.1f}" width="{wide:.2f}" height="{tall:.1f}" fill="{colour}">'
        f"<title>{escape(says)}</title></rect>"
    )


def _scale(longest_s: float, height: int) -> str:
    step = next(step for step in (1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 86_400) if longest_s / step <= 15)
    marks = []
    for second in range(0, int(longest_s) + 1, step):
        x = _LEFT + second / longest_s * _WIDTH
        marks.append(f'<path d="M{x:.1f} {_TOP - 8}V{height - 36}" stroke="#e3e8ef"/>')
        marks.append(f'<text x="{x:.1f}" y="{_TOP - 14}" text-anchor="middle" fill="#667">{second} s</text>')
    return "".join(marks)


def _legend(recordings: Sequence[tuple[str, Sidecar]]) -> str:
    reasons = sorted({gap.reason for _, told in recordings for gap in told.gaps})
    entries = [("sound", _SOUND), *((reason.value.replace("_", " "), COLOURS[reason]) for reason in reasons)]
    y = _TOP + len(recordings) * _LINE + 12
    return "".join(
        f'<rect x="{_LEFT + 110 * k}" y="{y}" width="14" height="14" fill="{colour}"/>'
        f'<text x="{_LEFT + 110 * k + 20}" y="{y + 12}">{text}</text>'
        for k, (text, colour) in enumerate(entries)
    )
