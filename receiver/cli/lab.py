"""``tapdeck lab``: a telephone network in a box, to test a host with."""

import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from receiver.cli.common import with_config
from receiver.cli.labswitch import command as switch

if TYPE_CHECKING:
    from receiver.lab.lines import Lines
    from receiver.lab.pace import Summary
    from receiver.lab.plan import Plan
    from receiver.lab.rush import Rush
    from receiver.lab.sender import Sender

FAILED, CANNOT_CREATE, IO_ERROR = 1, 73, 74
_GO_TIMEOUT_S = 600.0
_PLAN_TIMEOUT_S = 30.0


@click.group(name="lab")
def command() -> None:
    """A telephone network in a box, to test a host with."""


command.add_command(switch)


@command.command("send")
@with_config
@click.option("--to", multiple=True, metavar="HOST:PORT", help="Where a caller sends to. Once per caller.")
@click.option("--callers", default=1, show_default=True, help="With one --to: so many, to the ports from there on.")
@click.option("--port-step", default=2, show_default=True, help="From one caller's port to the next one's.")
@click.option("--codec", type=click.Choice(["PCMU", "PCMA"], case_sensitive=False), default="PCMU", show_default=True)
@click.option("--ptime", default=20.0, show_default=True, metavar="MS", help="Packetization time.")
@click.option("--seconds", default=10.0, show_default=True, help="Of sound.")
@click.option("--weather", default="clean", show_default=True, metavar="NAME", help="See --weathers.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the weather, e.g. --set loss=0.1.")
@click.option("--weathers", is_flag=True, help="List the weathers with what happens in them, and end.")
@click.option("--seed", default=1, show_default=True, help="The same seed, the same weather.")
@click.option("--speech", is_flag=True, help="A sentence instead of numbered samples.")
@click.option(
    "--source", metavar="HOST[:PORT]", help="Where it comes from. Default: as the way to the first --to goes."
)
@click.option("--own-ports", is_flag=True, help="Each caller sends from a port of its own.")
@click.option("--ssrc", type=click.IntRange(0, 0xFFFFFFFF), help="The first one. Default: from the seed.")
@click.option("--lean", is_flag=True, help="Thousands of taps: clean, all alike, from one port.")
@click.option("--burst", default=1, show_default=True, help="With --lean: packets of a tap that leave together.")
@click.option("--srtp-file", metavar="FILE", help="Send SRTP: file with a line SUITE inline:BASE64 (RFC 4568).")
@click.option("--log", type=click.Path(file_okay=False), help="Folder for the sender's log.")
@click.option("--plan", "plan_file", metavar="FILE", help="All of this as JSON instead; - reads one line from stdin.")
@click.option("--wait", is_flag=True, help="Begin only when a line comes on stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: the addresses, then the summary.")
def send(config: object, plan_file: str | None, wait: bool, as_json: bool, weathers: bool, **options: Any) -> None:
    """Send RTP to taps: numbered samples (or speech) in PCMU or PCMA, through bad weather, and log what was sent."""
    del config  # every command takes it; here no key of it matters
    from receiver.lab.lines import Lines
    from receiver.lab.plan import PlanError
    from receiver.lab.sender import open_sender

    if weathers:
        return _list_weathers(as_json)
    lines = Lines(sys.stdin.fileno()) if wait or plan_file == "-" else None
    try:
        plan = _plan_from_options(options) if plan_file is None else _read_plan(plan_file, lines)
        sender = open_sender(plan)
    except PlanError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        _fail(IO_ERROR, f"cannot send: {error}")
    with sender:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sender.stop())
        summary = _send(sender, lines if wait else None, as_json)
    _tell(summary, as_json)
    if summary.refused:
        _fail(FAILED, f"the kernel refused {summary.refused} of {summary.packets + summary.refused} packets")


def _send(sender: "Sender | Rush", lines: "Lines | None", as_json: bool) -> "Summary":
    """Tell the addresses, wait for the line where one is asked for, send."""
    import msgspec

    from receiver.lab.lines import NoLine
    from receiver.lab.plan import PlanError
    from receiver.lab.process import Go, Ready

    if as_json:
        click.echo(msgspec.json.encode(Ready(sender.sources)))
    else:
        sources = sorted(set(sender.sources))
        click.echo(f"sending from {', '.join(sources[:8])}{' …' if len(sources) > 8 else ''}")
    sys.stdout.flush()
    try:
        if lines is not None:
            line = lines.next(_GO_TIMEOUT_S, lambda: sender.stopped)
            to = msgspec.json.decode(line, type=Go).to if line.strip() else ()
            if to:
                sender.aim(to)
        return sender.run()
    except NoLine as error:
        _fail(FAILED, f"nobody said go: {error}")
    except (PlanError, msgspec.DecodeError) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        _fail(CANNOT_CREATE, f"cannot write the log: {error}")


def _plan_from_options(options: dict[str, Any]) -> "Plan":
    """The plan that the options tell. Raises PlanError."""
    from receiver.lab.plan import Caller, Plan, PlanError, source_towards

    to = _destinations(options["to"], options["callers"], options["port_step"])
    try:
        told = _weather(options["weather"], options["changes"])
        callers = tuple(
            Caller(
                id=number,
                to=where,
                codec=options["codec"],
                size=round(options["ptime"] * 8),
                seconds=options["seconds"],
                weather=told,
                speech=options["speech"],
                ssrc=options["ssrc"],
            )
            for number, where in enumerate(to, 1)
        )
        shared = {name: options[name] for name in ("seed", "own_ports", "lean", "burst", "log", "srtp_file")}
        return Plan(callers, source=options["source"] or source_towards(to[0]), **shared)
    except PlanError:
        raise
    except ValueError as error:
        raise PlanError(str(error)) from None


def _destinations(to: tuple[str, ...], callers: int, step: int) -> list[str]:
    """One per caller: as told, or counted up from the only one."""
    from receiver.lab.plan import PlanError, address

    if not to:
        raise PlanError("where to? give --to HOST:PORT, or --plan FILE")
    if callers == 1 or len(to) > 1:
        if callers not in (1, len(to)):
            raise PlanError(f"{callers} callers and {len(to)} destinations: give one --to, or one for each")
        return list(to)
    host, _, _ = to[0].rpartition(":")
    _, _, port = address(to[0])
    last = port + (callers - 1) * step
    if callers < 1 or not 0 < last <= 65_535:
        raise PlanError(f"{callers} callers from port {port} on: there is no port {last}")
    return [f"{host}:{port + number * step}" for number in range(callers)]


def _weather(name: str, changes: tuple[str, ...]) -> Any:
    """A preset, changed. Raises ValueError."""
    import msgspec

    from receiver.lab.forecast import Weather, named

    if not changes:
        named(name)
        return name
    told = msgspec.to_builtins(named(name))
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set takes KEY=VALUE, not {change!r}")
        try:
            told[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            raise ValueError(f"--set {key}: {value!r} is not a JSON value") from None
    try:
        return msgspec.convert(told, Weather)
    except msgspec.ValidationError as error:
        raise ValueError(f"--set: {error}; keys are {', '.join(Weather.__struct_fields__)}") from None


def _read_plan(name: str, lines: "Lines | None") -> "Plan":
    """The plan in a file, or in a line of stdin. Raises PlanError."""
    from receiver.lab.lines import NoLine
    from receiver.lab.plan import PlanError, parse

    if lines is not None and name == "-":
        try:
            return parse(lines.next(_PLAN_TIMEOUT_S))
        except NoLine as error:
            raise PlanError(f"no plan on stdin: {error}") from None
    try:
        with open(name, "rb") as file:
            return parse(file.read())
    except OSError as error:
        raise PlanError(f"cannot read the plan: {error}") from None


def _list_weathers(as_json: bool) -> None:
    import msgspec

    from receiver.lab.forecast import PRESETS, Weather

    if as_json:
        click.echo(msgspec.json.encode(PRESETS))
        return
    good = msgspec.to_builtins(Weather())
    for name, told in PRESETS.items():
        differs = {key: value for key, value in msgspec.to_builtins(told).items() if value != good[key]}
        click.echo(f"{name:13} {', '.join(f'{key} {value}' for key, value in differs.items())}".rstrip())


def _tell(summary: "Summary", as_json: bool) -> None:
    import msgspec

    if as_json:
        click.echo(msgspec.json.encode(summary))
        return
    click.echo(
        f"{summary.packets} packets of {summary.callers} callers in {summary.seconds:.1f} s"
        f" ({summary.packets_per_s:.0f} a second);"
        f" {summary.late} rounds late, the worst by {summary.worst_late_ms:.1f} ms"
    )
    if summary.log is not None:
        click.echo(f"log: {summary.log}")


def _fail(code: int, message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(code)
