"""``tapdeck config check|show``."""

import json
import os
from pathlib import Path

import click
import msgspec

from receiver.cli.common import config_file, print_json, print_table, with_config, with_json
from receiver.settings import explain, read


@click.group()
def command() -> None:
    """Check the configuration, show where each value comes from."""


@command.command()
@with_config
@with_json
def check(config: Path | None, as_json: bool) -> None:
    """Exit 0 if the daemon would start with this configuration, else 78 with every mistake."""
    path = config_file(config)
    read(path, os.environ)
    if as_json:
        print_json({"file": None if path is None else str(path)})
        return
    click.echo(f"{path or 'no file, defaults and environment'}: good")


@command.command()
@with_config
@with_json
def show(config: Path | None, as_json: bool) -> None:
    """Every key, its value, and where the value comes from. Secrets are not shown."""
    rows = explain(read(config_file(config), os.environ))
    if as_json:
        told = {row.key: {"value": row.value, "default": row.default, "origin": row.origin} for row in rows}
        print_json(msgspec.to_builtins(told))
    else:
        print_table(("KEY", "VALUE", "FROM"), [(row.key, _shown(row.value), row.origin) for row in rows])


def _shown(value: object) -> str | None:
    """As one would write it in the file."""
    if isinstance(value, float):
        return f"{value:g}"
    return None if value is None else json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
