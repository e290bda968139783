"""The picture of the results: SVG, written by hand.

    python -m benchmarks.chart [RESULT.json] [--output docs/benchmark.svg]

Takes a file that `benchmarks.taps` kept; without one the newest under benchmarks/results/.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from benchmarks.taps import RESULTS, Results, Run

OUTPUT: Final = Path(__file__).parents[1] / "docs" / "benchmark.svg"
WIDTH: Final = 800
LEFT, RIGHT = 120, 270  # room for names on either side of the bars
TOP, BAR, PITCH = 96, 20, 70  # two bars a run
NICE: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)

STYLE: Final = """
    text { font: 14px Helvetica, Arial, sans-serif; fill: #1c2733 }
    .head { font-size: 18px; font-weight: bold }
    .small { font-size: 12px; fill: #445 }
    .worker { fill: #2f6fb2 }
    .floor { fill: #b8c4d2 }
    .line { stroke: #dfe5ec }
    .end { text-anchor: end }
    .mid { text-anchor: middle }"""


def draw(results: Results) -> str:
    """Worker and floor side by side for each number of taps, best window each."""
    costs = [cost.best_us for run in results.runs for cost in (run.worker, run.floor) if cost]
    step = next((step for step in NICE if max(costs) / step <= 6), NICE[-1])
    scale = (WIDTH - LEFT - RIGHT) / max(costs)
    bottom = TOP + PITCH * len(results.runs)
    machine = results.machine
    about = (
        f"{machine.cores} virtual cores ({machine.cpu}), Linux {machine.kernel}, Python {machine.python}, "
        f"numpy {machine.numpy}, {machine.date}"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 58}">',
        "  <title>CPU per packet: a media worker that records, and a C program that only receives</title>",
        f"  <style>{STYLE}\n  </style>",
        f'  <rect width="{WIDTH}" height="{bottom + 58}" fill="#ffffff"/>',
        _text(16, 30, "CPU per packet, µs", "head"),
        '  <rect class="worker" x="16" y="46" width="14" height="14"/>',
        _text(36, 58, "a media worker: receives, checks, counts, decodes, places, writes, commits"),
        '  <rect class="floor" x="16" y="68" width="14" height="14"/>',
        _text(36, 80, "the floor: a C program that only receives, same sockets, same tick"),
    ]
    mark = 0
    while mark * scale <= WIDTH - LEFT - RIGHT:
        x = LEFT + mark * scale
        lines.append(f'  <path class="line" d="M{x:.1f} {TOP}V{bottom}"/>')
        lines.append(_text(x, bottom + 16, str(mark), "small mid"))
        mark += step
    for k, run in enumerate(results.runs):
        lines += _bars(run, TOP + PITCH * k + 12, scale)
    lines += [_text(16, bottom + 44, about, "small"), "</svg>", ""]
    return "\n".join(lines)


def _bars(run: Run, y: int, scale: float) -> Iterator[str]:
    yield _text(LEFT - 10, y + 17, f"{run.taps:,} taps", "end")
    yield _text(LEFT - 10, y + 35, f"{run.worker.packets_per_s:,.0f}/s", "small end")
    ratio = f" = {run.ratio:.1f} × the floor" if run.ratio else ""
    lost = "nothing lost" if not run.lost else f"{run.lost:,} packets lost"
    for name, cost, top, words in (
        ("worker", run.worker, y, f"{run.worker.best_us:.1f}{ratio}, {lost}"),
        ("floor", run.floor, y + BAR + 2, f"{run.floor.best_us:.1f}" if run.floor else "no C compiler"),
    ):
        width = cost.best_us * scale if cost else 0
        yield f'  <rect class="{name}" x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}"/>'
        yield _text(LEFT + width + 8, top + 15, words)


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'  <text{named} x="{x:.1f}" y="{y}">{escape(words)}</text>'


def newest() -> Path:
    """The last result of `benchmarks.taps`. Raises SystemExit where there is none."""
    found = sorted(RESULTS.glob("taps-*.json"))
    if not found:
        raise SystemExit("no result yet: python -m benchmarks.taps")
    return found[-1]


def main(told: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chart", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", type=Path, nargs="?", help="what benchmarks.taps kept [the newest]")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="[docs/benchmark.svg]")
    asked = parser.parse_args(told)
    results = msgspec.json.decode((asked.result or newest()).read_bytes(), type=Results)
    asked.output.write_text(draw(results), encoding="utf-8")


if __name__ == "__main__":
    main()
