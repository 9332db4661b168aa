"""``gexlake backup`` and ``gexlake restore``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from gexlake.backup.create import create
from gexlake.backup.restore import restore as restore_backup
from gexlake.backup.settings import BackupSettings
from gexlake.environment import load

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.")]


def backup(
    folder: Dir,
    no_staged: Annotated[
        bool, typer.Option("--no-staged", help="Leave out the staged files, which waiting imports need.")
    ] = False,
) -> None:
    """Back up the running system into a new folder: database, Parquet, streams and keys of URLs."""
    asyncio.run(create(load(BackupSettings), folder, with_staged=not no_staged, report=typer.echo))
    typer.echo(f"done: {folder}")


def restore(
    folder: Dir,
    replace: Annotated[
        bool, typer.Option("--replace", help="Restore over existing data, which is renamed.")
    ] = False,
) -> None:
    """Restore a backup: the broker runs, the four services are stopped."""
    asyncio.run(restore_backup(load(BackupSettings), folder, replace=replace, report=typer.echo))
    typer.echo(f"done: {folder}")
