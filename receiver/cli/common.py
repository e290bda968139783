"""What several commands share: ``--config``, ``--json``, and how a listing looks."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver import cli
from receiver.cli import Away as Away

if TYPE_CHECKING:
    from receiver.settings import Settings

USUAL_PLACE = Path(cli.USUAL_PLACE)

with_config: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="TAPDECK_CONFIG",
    help=f"Configuration file; without one, {USUAL_PLACE} if it is there.",
)
"""Gives a command ``config: Path | None``, for ``settings_of`` or ``config_file``."""

with_json: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON."
)
"""Gives a command ``as_json: bool``."""


def config_file(config: Path | None) -> Path | None:
    """The file to read: the one that was named, else the usual place if there is something."""
    return config or (USUAL_PLACE if USUAL_PLACE.exists() else None)


def settings_of(config: Path | None, flags: Mapping[str, object] | None = None) -> "Settings":
    """The settings as this command line and environment give them. Raises ``ConfigError`` (exit 78)."""
    from receiver import settings

    return settings.load(config_file(config), os.environ, flags)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under their heads on stdout, columns as wide as their longest cell; nothing known is shown as "-"."""
    lines = [heads, *([("-" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
