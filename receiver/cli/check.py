"""``tapdeck check DIR``: the audit of a recordings folder."""

import sys
from pathlib import Path

import click

from receiver.archive.check import check
from receiver.cli.common import print_json, with_config, with_json


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@with_config
@with_json
def command(directory: Path, config: Path | None, as_json: bool) -> None:
    """Audit a recordings folder: headers, hashes, sidecars, strays. Exit 1 on findings.

    DIR is a storage folder, or a folder that jobs have moved recordings to. Nothing is changed. The configuration is
    not needed.
    """
    findings = check(directory)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{finding.path}: {finding.message} [{finding.code}]")
        click.echo("nothing found" if not findings else f"findings: {len(findings)}", err=True)
    sys.exit(1 if findings else 0)
