"""``tapdeck import FILE``: a capture through the same engine as live media."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.common import print_json, print_table, settings_of, with_config, with_json

if TYPE_CHECKING:
    from receiver.archive.files import Files
    from receiver.importing.course import Imported, Options, Recorded
    from receiver.importing.flows import Flow

HEADS = ("stream", "codec", "packets", "lost", "seconds", "outcome", "file")


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the recordings, made if it is missing; without one, FILE's name with .recordings, here.",
)  # fmt: skip
@click.option(
    "--silence", metavar="SECONDS", type=click.FloatRange(1, 86_400), default=600.0, show_default=True,
    help="A stream that nothing comes of for so long is over; what comes later is another recording.",
)  # fmt: skip
@with_config
@with_json
def command(file: Path, into: Path | None, silence: float, config: Path | None, as_json: bool) -> None:
    """Record the RTP streams of a capture (pcap or pcapng), one recording for each.

    They go through the engine of the daemon, with the times of the capture. Of the configuration count [storage]
    name and encoding, [media] horizon_ms and events_payload_type, [taps] mask_dtmf. The folder is like the daemon's:
    what is finished lies in ready/. FILE may be one that the daemon has put into quarantine/. Exit 1 if FILE is no
    capture, is damaged or cut off, or holds too many streams; what can be is recorded. FILE is read twice, so it is no
    pipe.
    """
    from receiver.archive.files import Files
    from receiver.importing.course import NoRoom
    from receiver.ledger.folder import Folder, FolderError

    if not file.is_file():
        raise click.UsageError(f"{file} is a pipe or a device, and a capture is read twice: save it to a file first.")
    folder = into or Path(f"{file.name.rsplit('.', 1)[0] or file.name}.recordings")
    options = _options(config, silence)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = Folder(folder)
    except FolderError as error:
        click.echo(f"tapdeck: {error}", err=True)
        sys.exit(73)  # EX_CANTCREAT
    files = Files(folder)
    try:
        told = _run(file, files, options)
    except NoRoom as error:
        click.echo(f"tapdeck: {error}. Choose another folder with --into.", err=True)
        sys.exit(74)  # EX_IOERR
    finally:
        files.close()
        held.release()
    _warn(told)
    print_json(_document(told, file, folder)) if as_json else _print(told, folder)
    if told.fault is not None:
        click.echo(f"tapdeck: {file}: {told.fault}", err=True)
    sys.exit(1 if told.fault is not None or told.crowded or told.refused else 0)


def _options(config: Path | None, silence_s: float) -> "Options":
    from receiver.importing.course import Options
    from receiver.wire import rtp

    settings = settings_of(config)
    kinds = rtp.payload_kinds(settings.media.events_payload_type)
    return Options(
        settings.storage.name, settings.media.horizon, round(silence_s * 1e9), kinds, mask_dtmf=settings.taps.mask_dtmf,
        encoding=settings.storage.encoding,
    )  # fmt: skip


def _run(file: Path, files: "Files", options: "Options") -> "Imported":
    from receiver.importing import course

    shown = sys.stderr.isatty()

    def progress(count: int) -> None:
        if shown:
            click.echo(f"\r\033[K{count:,} datagrams", err=True, nl=False)

    course.finish_what_is_left(files)
    told = course.run(file, files, options, progress)
    if shown:
        click.echo("\r\033[K", err=True, nl=False)
    return told


def _print(told: "Imported", folder: Path) -> None:
    rows = [tuple(_row(each).values()) for each in told.recorded] + [tuple(_left(flow).values()) for flow in told.left]
    print_table(HEADS, rows)
    work_s = told.work_ns / 1e9
    click.echo(
        f"\n{told.seconds:,.1f} s of sound in {work_s:,.2f} s, {told.seconds / work_s:,.0f} × real time\n"
        f"recordings: {folder / 'ready'}"
    )


def _row(each: "Recorded") -> dict[str, object]:
    streams = [stream for channel in each.told.channels for stream in channel.streams]
    # RFC 3550 A.3 takes a duplicate for a packet received; who reads "lost" wants to know how many did not come
    lost = sum((stream.lost or 0) + (stream.duplicate or 0) for stream in streams)
    codecs = {str(channel.codec) for channel in each.told.channels}
    name = each.told.file or ", ".join(part.file for part in each.told.parts) or None
    values = (
        str(each.flow), ", ".join(sorted(codecs)), sum(stream.packets for stream in streams), lost,
        round(each.told.duration_s, 3), str(each.told.outcome), name,
    )  # fmt: skip
    return dict(zip(HEADS, values, strict=True))


def _left(flow: "Flow") -> dict[str, object]:
    types = ", ".join(f"payload type {number}" for number in sorted(flow.unknown)) or None
    return dict(zip(HEADS, (str(flow), types, flow.packets, None, None, "not recorded", None), strict=True))


def _document(told: "Imported", file: Path, folder: Path) -> dict[str, object]:
    """What ``--json`` prints: fields are only added."""
    fault = told.fault
    streams = [
        _row(each) | {"recording_id": each.told.recording_id, "ending": str(each.told.ending)} for each in told.recorded
    ]
    return {
        "capture": str(file),
        "folder": str(folder),
        "streams": streams,
        "not_recorded": [_left(flow) for flow in told.left],
        "frames": told.fates,
        "frames_without_a_time": told.untimed,
        "clock_jumps": told.clock_steps,
        "datagrams_of_too_many_flows": told.crowded,
        "streams_without_a_place": told.refused,
        "payload_types": {str(number): count for number, count in sorted(told.unknown.items())},
        "seconds_of_sound": round(told.seconds, 3),
        "seconds_of_work": round(told.work_ns / 1e9, 3),
        "fault": None if fault is None else {"message": fault.why, "offset": fault.offset},
    }


def _warn(told: "Imported") -> None:
    """What was in the capture and is in no recording, and whatever else one should know of it."""
    from receiver.wire.ip import LINKS

    numbers, fates = ", ".join(str(link) for link in told.links), told.fates
    layers = ", ".join(dict.fromkeys(LINKS.values()))
    said = {
        f"frames of link type {numbers}, which is not read ({layers} are)": fates.get("link", 0),
        "fragments of UDP datagrams, which are not put together": fates.get("fragment", 0),
        "frames that are not whole in the capture (take one with a larger snap length)": fates.get("truncated", 0),
        "frames with headers that contradict each other": fates.get("malformed", 0),
        "frames without a time, which were given that of the frame before": told.untimed,
        "jumps of the capture's clock": told.clock_steps,
        "datagrams of more flows than can be told apart (filter the capture)": told.crowded,
        "streams not recorded because too many go on at once (filter the capture)": told.refused,
    }
    for number, count in sorted(told.unknown.items()):
        said[f"packets of payload type {number}, which is not recorded"] = count
    for words, count in said.items():
        if count:
            click.echo(f"tapdeck: {words}: {count:,}", err=True)
