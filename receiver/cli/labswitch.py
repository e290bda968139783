"""``tapdeck lab switch``: a RELAY switch in a box."""

import asyncio
import json
import signal
import ssl
import sys
from typing import Any

import click

from receiver.cli.common import with_config


@click.command("switch")
@click.option("--listen", default="127.0.0.1:8090", show_default=True, metavar="HOST:PORT", help="Port 0: a free one.")
@click.option("--project", default="lab", show_default=True, help="The project that may connect.")
@click.option("--token", envvar="TAPDECK_LAB_TOKEN", required=True,
              help="Its token. Better in TAPDECK_LAB_TOKEN: everybody on this host sees what stands here.")  # fmt: skip
@click.option("--weather", default="clean", show_default=True, help="Of the RTP; see lab send --weathers.")
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=600.0, show_default=True, help="Of sound a tap.")
@click.option("--speech", is_flag=True, help="A sentence instead of numbered samples.")
@click.option("--seed", default=1, show_default=True, help="The same seed, the same weather.")
@click.option("--log", type=click.Path(file_okay=False), help="Folder for the senders' logs.")
@click.option("--faults", metavar="JSON", help="What goes wrong from the start; PUT /lab/faults changes it.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="For wss://.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="Of the certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@with_config
def command(config: object, **options: Any) -> None:
    """A RELAY switch on this host: SignalWire's SDKs and tapdeck can dial, be called, and tap, without an account.

    Numbers that end in 0486 are busy, 0480 do not answer, 0603 decline, 0404 are refused; all others answer. HTTP on
    the same port plays the other party: see receiver/lab/switch/server.py.
    """
    del config  # every command takes it; here no key of it matters
    import msgspec

    from receiver.endpoints import endpoint
    from receiver.lab import forecast
    from receiver.lab.switch.faults import Faults
    from receiver.watch import log

    log.configure()
    try:
        host, port = endpoint(options["listen"])
        faults = msgspec.json.decode(options["faults"] or "{}", type=Faults)
        forecast.named(options["weather"])
    except (ValueError, msgspec.MsgspecError) as error:
        raise click.UsageError(str(error)) from None
    if (options["certificate"] is None) != (options["key"] is None):
        raise click.UsageError("--certificate and --key go together")
    try:
        asyncio.run(_serve(host, port, faults, options))
    except ssl.SSLError as error:
        raise click.UsageError(f"--certificate and --key: {error.reason or error}") from None
    except OSError as error:
        click.echo(f"tapdeck: cannot listen on {options['listen']}: {error.strerror or error}", err=True)
        sys.exit(74)  # EX_IOERR


async def _serve(host: str, port: int, faults: Any, options: dict[str, Any]) -> None:
    from receiver.lab.switch.exchange import Exchange
    from receiver.lab.switch.parties import Voice
    from receiver.lab.switch.server import Server
    from receiver.lab.switch.sounds import RealSounds

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sounds = RealSounds(options["log"], options["seed"])
    voice = Voice(weather=options["weather"], seconds=options["seconds"], speech=options["speech"])
    server = Server(Exchange({options["project"]: options["token"]}, sounds, faults, voice))
    await server.start(host, port, options["certificate"], options["key"])
    scheme = "ws" if options["certificate"] is None else "wss"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"
    click.echo(json.dumps({"url": url}) if options["as_json"] else f"the switch listens on {url}")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        await server.stop()
        await sounds.close()
