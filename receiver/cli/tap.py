"""``tapdeck tap start|open|list|show|stop|pause|resume|watch``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import click

from receiver.cli.client import Client, with_daemon
from receiver.cli.common import Away, print_json, print_table, with_config, with_json


@click.group()
def command() -> None:
    """Start, open, list, show, stop, pause, resume, watch taps."""


def labels_of(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """``--label K=V``, any number of times."""
    labels = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"expected NAME=VALUE, found {text!r}")
        labels[name] = value
    return labels


with_payload_type = click.option(
    "--payload-type", type=click.IntRange(96, 127), help="Of OPUS, where it is not [media].opus_payload_type."
)


def body_of(wishes: Mapping[str, str | None], payload_type: int | None) -> dict[str, Any]:
    """What is asked for, as the API takes it."""
    body: dict[str, Any] = {name: wish for name, wish in wishes.items() if wish is not None}
    if payload_type is not None:
        body["device"] = {"type": body.get("device", "rtp"), "payload_type": payload_type}
    return body


def key_of(file: TextIO) -> dict[str, str]:
    """The key in a file, as the API takes it; what is wrong with it is said without showing it."""
    from receiver import keys

    try:
        key = keys.read_file(file.read(keys.LONGEST_FILE))
    except UnicodeDecodeError:
        raise click.BadParameter("expected text", param_hint="--srtp-file") from None
    except ValueError as error:
        raise click.BadParameter(f"expected {error}", param_hint="--srtp-file") from None
    return {"suite": key.suite, "key": keys.written(key)}


@command.command("start")
@click.option("--call-id", required=True, help="The call to tap.")
@click.option("--node-id", help="Its node; not needed for a call that the daemon knows (`tapdeck calls`).")
@click.option("--direction", type=click.Choice(["speak", "listen", "both"]), help="Whom one will hear.")
@click.option("--layout", type=click.Choice(["mono", "stereo"]), help="stereo: two taps, left speak, right listen.")
@click.option("--codec", type=click.Choice(["PCMU", "PCMA", "OPUS"], case_sensitive=False))
@click.option("--device", type=click.Choice(["rtp", "ws"]))
@with_payload_type
@click.option("--label", "labels", multiple=True, callback=labels_of, metavar="K=V", help="Kept in the sidecar.")
@click.option("--wait", is_flag=True, help="Return when the first packet has come.")
@with_daemon
@with_config
@with_json
def start_tap(
    labels: dict[str, str],
    wait: bool,
    url: str | None,
    config: Path | None,
    as_json: bool,
    payload_type: int | None,
    **wishes: str | None,
) -> None:
    """Tap a call over the relay and record it."""
    body = body_of(wishes, payload_type)
    tap = Client(config, url).post("/v1/taps", body | {"labels": labels}, wait="receiving" if wait else None)
    _say(tap, as_json)


@command.command("open")
@click.option("--source", metavar="ADDR[:PORT]|any", help='Who may send; "any" takes the first sender that comes.')
@click.option("--codec", type=click.Choice(["PCMU", "PCMA", "OPUS"], case_sensitive=False))
@click.option("--device", type=click.Choice(["rtp", "ws"]))
@with_payload_type
@click.option("--layout", type=click.Choice(["mono", "stereo"]), help="stereo: two taps, left speak, right listen.")
@click.option("--direction", type=click.Choice(["speak", "listen", "both"]), help="Whom one will hear.")
@click.option(
    "--srtp-file", type=click.File(), metavar="FILE",
    help="What comes is SRTP: file with a line SUITE inline:BASE64 (RFC 4568), - for stdin.",
)  # fmt: skip
@click.option("--label", "labels", multiple=True, callback=labels_of, metavar="K=V", help="Kept in the sidecar.")
@click.option("--wait", is_flag=True, help="Return when the first packet has come.")
@with_daemon
@with_config
@with_json
def open_tap(
    source: str | None,
    codec: str | None,
    device: str | None,
    layout: str | None,
    direction: str | None,
    srtp_file: TextIO | None,
    payload_type: int | None,
    labels: dict[str, str],
    wait: bool,
    url: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Open a port for a tap that somebody else will start, and say where it is."""
    wishes = {"source": source, "codec": codec, "device": device, "layout": layout, "direction": direction}
    body = body_of(wishes, payload_type)
    client = Client(config, url)
    if srtp_file is not None:
        if not client.private:
            raise click.UsageError(f"--srtp-file: no key goes to {client.url}: use https, or the daemon's own host")
        body["srtp"] = key_of(srtp_file)
    tap = client.post("/v1/taps", body | {"labels": labels}, wait="receiving" if wait else None)
    _say(tap, as_json)


@command.command("list")
@click.option("--state", help="requested, listening, receiving, finishing, finished or failed.")
@click.option("--call-id")
@click.option("--label", "labels", multiple=True, callback=labels_of, metavar="K=V")
@click.option("--since", metavar="TIME", help="Asked for then or later, like 2026-09-21T14:00:00Z.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@with_daemon
@with_config
@with_json
def list_taps(
    state: str | None,
    call_id: str | None,
    labels: dict[str, str],
    since: str | None,
    limit: int,
    url: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """List taps, newest first."""
    wanted = {f"label.{name}": value for name, value in labels.items()}
    query: dict[str, Any] = {"state": state, "call_id": call_id, "since": since, **wanted}
    taps = list(Client(config, url).pages("/v1/taps", "taps", limit, **query))
    if as_json:
        print_json(taps)
        return
    heads = ("TAP", "STATE", "OUTCOME", "ENDING", "DESTINATION", "PACKETS", "LOST", "REQUESTED")
    print_table(heads, [_row(tap) for tap in taps])


@command.command("show")
@click.argument("tap_id")
@with_daemon
@with_config
@with_json
def show_tap(tap_id: str, url: str | None, config: Path | None, as_json: bool) -> None:
    """Show all that is known of one tap."""
    _show(Client(config, url).get(f"/v1/taps/{quote(tap_id, safe='')}"), as_json)


@command.command("stop")
@click.argument("tap_id")
@click.option("--wait", is_flag=True, help="Return when the recording is in ready/.")
@with_daemon
@with_config
@with_json
def stop_tap(tap_id: str, wait: bool, url: str | None, config: Path | None, as_json: bool) -> None:
    """End a tap. Twice is the same."""
    client = Client(config, url)
    tap = client.post(f"/v1/taps/{quote(tap_id, safe='')}/stop", wait="ready" if wait else None)
    if wait and "outcome" in tap:
        recording = client.get(f"/v1/recordings/{quote(tap['recording_id'], safe='')}")
        tap["recording"] = {name: recording[name] for name in ("path", "file", "duration_s") if name in recording}
    _show(tap, as_json)


@command.command("pause")
@click.argument("tap_id")
@with_daemon
@with_config
@with_json
def pause_tap(tap_id: str, url: str | None, config: Path | None, as_json: bool) -> None:
    """Record nothing from now on, until `tapdeck tap resume`. Twice is the same."""
    _show(Client(config, url).post(f"/v1/taps/{quote(tap_id, safe='')}/pause"), as_json)


@command.command("resume")
@click.argument("tap_id")
@with_daemon
@with_config
@with_json
def resume_tap(tap_id: str, url: str | None, config: Path | None, as_json: bool) -> None:
    """Record again what comes from now on. Twice is the same."""
    _show(Client(config, url).post(f"/v1/taps/{quote(tap_id, safe='')}/resume"), as_json)


@command.command("watch")
@click.argument("tap_id", required=False)
@with_daemon
@with_config
@with_json
def watch_taps(tap_id: str | None, url: str | None, config: Path | None, as_json: bool) -> None:
    """Print what happens, as it happens, one event a line; with TAP_ID, until that tap has its outcome."""
    client, looked = Client(config, url), tap_id is None
    for told in client.events():
        if not looked:  # not earlier: an end between the look and the first event would be missed
            looked, tap = True, client.get(f"/v1/taps/{quote(str(tap_id), safe='')}")
            told = {"event": "tap.finished", "at": tap["ended_at"], "tap": tap} if "outcome" in tap else None
        if told is None or (tap_id is not None and told.get("tap", {}).get("id") != tap_id):
            continue
        click.echo(json.dumps(told, ensure_ascii=False) if as_json else _line(told))
        if tap_id is not None and told["event"] == "tap.finished":
            return
    raise Away("the daemon tells no more", "it went down, or this reader was too slow")


def _say(tap: dict[str, Any], as_json: bool) -> None:
    """A tap that was just asked for."""
    if as_json:
        print_json(tap)
        return
    params = tap["device"]["params"]
    what = f"{params['codec']}, {params['ptime']} ms" if "ptime" in params else params["codec"]
    both = "taps" in tap  # layout "stereo"
    for party, tap_id in tap.get("taps", {"": tap["id"]}).items():
        click.echo(f"tap        {tap_id}{f'  ({party})' if both else ''}")
    click.echo(f"recording  {tap['recording_id']}")
    click.echo(f"state      {tap['state']}")
    for party, uri in tap.get("uris", {"": tap["uri"]}).items():
        click.echo(f"send to    {uri}  ({f'{party}, ' if both else ''}{what})")
    if "srtp" in tap:
        click.echo(f"srtp       {tap['srtp']['suite']}")
    for party, url in tap.get("status_urls", {"": tap["status_url"]} if "status_url" in tap else {}).items():
        click.echo(f"call back  {url}{f'  ({party})' if both else ''}")


def _row(tap: dict[str, Any]) -> tuple[object, ...]:
    counts = tap.get("counts", {})
    return (
        tap["id"],
        tap["state"],
        tap.get("outcome"),
        tap.get("ending"),
        tap.get("uri"),
        counts.get("packets"),
        counts.get("lost"),
        tap.get("requested_at"),
    )


def _line(told: dict[str, Any]) -> str:
    """An event for a person."""
    tap, seen = told.get("tap", {}), told.get("seen", {})
    about = (
        tap.get("id"),
        tap.get("outcome"),
        tap.get("ending"),
        told.get("recording", {}).get("file"),
        f"{seen['source']}:{seen['port']}" if "source" in seen and "port" in seen else None,
        told.get("relay", {}).get("why"),
    )
    return "  ".join([told["at"], f"{told['event']:<18}", *(str(each) for each in about if each is not None)]).rstrip()


def _show(tap: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(tap)
        return
    flat: dict[str, object] = {}
    for name, value in tap.items():
        if name in ("device", "tap_audio", "devices", "tap_audios"):  # said by `uri` and `uris`
            continue
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": each for inner, each in value.items() if each not in ("", None)}
        else:
            flat[name] = value
    width = max(map(len, flat))
    for name, value in flat.items():
        click.echo(f"{name:<{width}}  {value}")
