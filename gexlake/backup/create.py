"""Back up a running system: first the streams, then the database and Parquet, then the staged files.

In this order, the effect of every message that is acknowledged in the backup is in its files. What
happened later, after the streams were read, is done again after a restore, and changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nats.aio.client import Client

import gexlake
from gexlake.api import services
from gexlake.api.rpc import CallFailed, NoService, call
from gexlake.api.services import SnapshotRequest, SnapshotResponse
from gexlake.backup import streams
from gexlake.backup.errors import BackupError
from gexlake.backup.files import checksum, copy, files_below, private, sync_folders
from gexlake.backup.manifest import NAME, BackedUpFile, Manifest, inside
from gexlake.backup.settings import BackupSettings

_SNAPSHOT_TIMEOUT_S: Final = 1800.0
"""For the copy of the database, during which imports wait."""
_EVENTS: Final = "EVENTS"


async def create(
    settings: BackupSettings, folder: Path, *, with_staged: bool = True, report: Callable[[str], None]
) -> Manifest:
    """Back up the system into a new folder.

    Args:
        settings: where the system is.
        folder: where to; it must be missing or empty.
        with_staged: whether the staged files, which imports that wait need, are copied too.
        report: gets a line for each step.

    Raises:
        BackupError: the folder is in use, a service does not answer, or a file cannot be read or written.
    """
    with private():
        return await _create(settings, folder, with_staged=with_staged, report=report)


async def _create(
    settings: BackupSettings, folder: Path, *, with_staged: bool, report: Callable[[str], None]
) -> Manifest:
    _make(folder)
    async with streams.operator(settings) as client:
        # EVENTS last: a job whose command is acknowledged has its event.
        found = sorted(await streams.names(client), key=lambda name: (name == _EVENTS, name))
        saved = [await streams.save(client, name, folder / f"streams/{name}.tar.s2") for name in found]
        report(f"{len(saved)} streams with {sum(stream.messages for stream in saved)} messages")
        snapshot = await _snapshot(client)
    taken = settings.data_dir / inside(snapshot.folder)
    try:
        files = [*_copied(taken, folder)]
        if not files:
            raise BackupError(f"{taken} has no files: is GEXLAKE_DATA_DIR the importer's data folder?")
        report(f"database and Parquet: {len(files)} files, {snapshot.counts.partitions} partitions")
    finally:
        shutil.rmtree(taken, ignore_errors=True)
    if with_staged:
        staged = [*_copied(settings.folders["source"], folder, "source/")]
        report(f"{len(staged)} staged files")
        files += staged
    if settings.url_keys.exists():
        files += _copied(settings.secrets, folder, "secrets/", only=settings.url_keys)
    files += [_described(folder, stream.path) for stream in saved]
    manifest = Manifest(
        gexlake=gexlake.__version__,
        created_at=datetime.now(UTC),
        database=snapshot.counts,
        streams=tuple(saved),
        files=tuple(files),
    )
    sync_folders(folder)
    hidden = folder / f".{NAME}"
    hidden.write_text(manifest.model_dump_json(indent=1))
    hidden.rename(folder / NAME)
    sync_folders(folder)
    return manifest


def _make(folder: Path) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise BackupError(f"{folder} is not empty: name a new folder")
        (folder / "streams").mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # it may have existed
    except OSError as error:
        raise BackupError(f"{folder} cannot be made: {error}") from error


async def _snapshot(client: Client) -> SnapshotResponse:
    try:
        return await call(client, services.SNAPSHOT, SnapshotRequest(), _SNAPSHOT_TIMEOUT_S)
    except NoService as error:
        raise BackupError(
            "the importer does not answer: it must run, because it copies the database"
        ) from error
    except CallFailed as error:
        raise BackupError(f"the importer could not copy the database: {error}") from error


def _copied(
    source: Path, folder: Path, below: str = "", *, only: Path | None = None
) -> Iterator[BackedUpFile]:
    for path in [only] if only else files_below(source):
        place = f"{below}{path.relative_to(source).as_posix()}"
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            size, sha256 = copy(path, target)
        except FileNotFoundError:
            continue  # a staged file that was removed in the meantime
        except OSError as error:
            raise BackupError(f"{path} cannot be copied to {target}: {error}") from error
        yield BackedUpFile(path=place, size_bytes=size, sha256=sha256)


def _described(folder: Path, place: str) -> BackedUpFile:
    path = folder / place
    return BackedUpFile(path=place, size_bytes=path.stat().st_size, sha256=checksum(path))
