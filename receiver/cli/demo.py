"""``tapdeck demo``: a daemon, callers in bad weather, and the proof, in one command."""

import sys

import click

from receiver.cli.common import print_json, print_table, with_json

HEADS = (
    "caller", "codec", "weather", "packets", "lost", "twice", "out of order", "gaps", "samples right", "outcome",
    "proof",
)  # fmt: skip


@click.command()
@click.option("--calls", type=click.IntRange(1, 60), default=8, show_default=True, help="How many callers.")
@click.option("--seconds", type=click.FloatRange(2, 3_600), default=8, show_default=True, help="How long they speak.")
@click.option("--keep", is_flag=True, help="Leave the daemon running until ^C.")
@with_json
def command(calls: int, seconds: float, keep: bool, as_json: bool) -> None:
    """Record simulated callers on loopback and prove every sample. Exit 0 only if each is where it should be."""
    from receiver.lab import demo

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{text}", err=True, nl=False)

    try:
        with demo.stage(calls, seconds, progress) as stage:
            shown = stage.record(progress)
            progress("")
            _show(shown, as_json)
            if keep:
                click.echo(f"the daemon goes on at {stage.url}; ^C ends it", err=True)
                stage.wait()
    except demo.DemoFailed as error:
        progress("")
        click.echo(f"tapdeck: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        progress("")
    sys.exit(0 if shown.exact else 1)


def _show(shown: object, as_json: bool) -> None:
    from receiver.lab import demo

    assert isinstance(shown, demo.Shown)
    drawn = demo.draw(shown)
    rows = [_row(call) for call in shown.calls]
    ready = shown.folder / "recordings" / "ready"
    if as_json:
        calls = [dict(zip(HEADS, row, strict=True)) | {"findings": call.proof.findings, "sidecar": str(call.path)}
                 for row, call in zip(rows, shown.calls, strict=True)]  # fmt: skip
        print_json({"exact": shown.exact, "calls": calls, "recordings": str(ready), "picture": str(drawn)})
        return
    print_table(HEADS, rows)
    for call in shown.calls:
        for finding in call.proof.findings:
            click.echo(f"caller {call.caller.id}: {finding}")
    right, received = (sum(getattr(call.proof, name) for call in shown.calls) for name in ("right", "received"))
    verdict = "proved" if shown.exact else "NO"
    click.echo(f"\n{right:,} of {received:,} received samples lie where they should: {verdict}")
    click.echo(f"recordings: {ready}\npicture:    {drawn}")


def _row(call: object) -> tuple[str, ...]:
    from receiver.lab import demo

    assert isinstance(call, demo.Call)
    streams = [stream for channel in call.told.channels for stream in channel.streams]
    # RFC 3550 A.3 takes a duplicate for a packet received; who reads "lost" wants to know how many did not come
    twice = sum(stream.duplicate or 0 for stream in streams)
    lost = sum(stream.lost or 0 for stream in streams) + twice
    return (
        str(call.caller.id), call.caller.codec, str(call.caller.weather), str(call.proof.packets), str(lost),
        str(twice), str(sum(stream.reordered or 0 for stream in streams)), str(len(call.told.gaps)),
        f"{call.proof.right}/{call.proof.received}", str(call.told.outcome), "exact" if call.proof.exact else "WRONG",
    )  # fmt: skip
