"""Restore a backup while the broker runs and the services are stopped.

The streams are replaced. The database and the trees of Parquet, records and archived jobs that were there are
renamed to ``….before-<time>``; staged files and keys of signed URLs are added to those that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gexlake.backup import streams
from gexlake.backup.errors import BackupError
from gexlake.backup.files import checksum, copy, give_to_owner_of, make_folder, sync_folders
from gexlake.backup.manifest import BackedUpFile, Manifest
from gexlake.backup.settings import BackupSettings

_KEYS = "secrets/urls/keys"


def verify(folder: Path) -> Manifest:
    """Check that a backup has every file of its manifest, with the same content.

    Raises:
        BackupError: it has not.
    """
    manifest = Manifest.read(folder)
    for file in manifest.files:
        path = folder / file.path
        try:
            is_same = path.stat().st_size == file.size_bytes and checksum(path) == file.sha256
        except OSError as error:
            raise BackupError(f"the backup is not complete: {path} cannot be read ({error})") from error
        if not is_same:
            raise BackupError(f"the backup is damaged: {path} has another content than its manifest says")
    return manifest


async def restore(
    settings: BackupSettings, folder: Path, *, replace: bool = False, report: Callable[[str], None]
) -> Manifest:
    """Restore streams and files.

    Args:
        settings: where the system is.
        folder: the backup.
        replace: whether what the system holds now may be replaced.
        report: gets a line for each step.

    Raises:
        BackupError: a service runs, the system holds data and ``replace`` is not set, the backup is
            damaged, or a step fails. Then restore again, with ``replace``: nothing of the backup is lost.
    """
    manifest = verify(folder)
    report(f"the backup of {manifest.created_at:%Y-%m-%d %H:%M} UTC is complete: {len(manifest.files)} files")
    async with streams.operator(settings) as client:
        if running := await streams.running_services(client):
            raise BackupError(
                f"{', '.join(running)} must be stopped before a restore; only the broker may run"
            )
        if not replace and (held := _held(settings)):
            raise BackupError(f"{held} exists: add --replace to restore over it; it is renamed, not deleted")
        if not replace and (messages := await streams.messages(client)):
            raise BackupError(
                f"the broker holds {messages} messages: add --replace to restore over its streams"
            )
        try:
            _restore_files(settings, folder, manifest)
        except OSError as error:
            raise BackupError(
                f"the files cannot be restored: {error}; mend that and restore again, with --replace"
            ) from error
        report(f"database and files: {manifest.database.partitions} partitions")
        for stream in manifest.streams:
            await streams.restore(client, stream, folder / stream.path)
        report(f"{len(manifest.streams)} streams with {sum(s.messages for s in manifest.streams)} messages")
    return manifest


def _held(settings: BackupSettings) -> Path | None:
    """Return a file of the system that a restore would replace."""
    return settings.database if settings.database.exists() else None


def _restore_files(settings: BackupSettings, folder: Path, manifest: Manifest) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    _set_aside(settings)
    for file in manifest.files:
        if file.path == _KEYS:
            _add_keys(settings, folder / file.path)
        elif (found := _target(settings, file)) is not None:
            root, target = found
            make_folder(target.parent, root)
            copy(folder / file.path, target)
            give_to_owner_of(root, target)
    for root in (settings.data_dir, *settings.folders.values()):
        if root.exists():
            sync_folders(root)


def _set_aside(settings: BackupSettings) -> None:
    """Rename the database, its log, and the trees that belong to it; staged files are added to."""
    suffix = f"before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    parquet, records, chains, archive = (
        settings.folders[name] for name in ("parquet", "records", "gex", "archive")
    )
    trees = (parquet / "gexbot", parquet / "webhooks", records / "gexbot", chains, archive / "jobs")
    for path in (settings.database, settings.database.with_name("gex_data.db.wal"), *trees):
        if path.exists():
            path.rename(path.with_name(f"{path.name}.{suffix}"))


def _target(settings: BackupSettings, file: BackedUpFile) -> tuple[Path, Path] | None:
    """Return the folder whose owner a restored file gets, and the file's path; None: not a data file."""
    first, _, rest = file.path.partition("/")
    if first in settings.folders:
        root = settings.folders[first]
        owner = root if root.exists() else settings.data_dir
        return owner, root / rest
    if not rest:
        return settings.data_dir, settings.data_dir / first
    return None


def _add_keys(settings: BackupSettings, saved: Path) -> None:
    """Add the keys of a backup behind those in use: URLs in restored streams need them."""
    keys = settings.url_keys
    known = keys.read_text().splitlines() if keys.exists() else []
    added = [key for key in saved.read_text().splitlines() if key not in known]
    if not added:
        return
    make_folder(keys.parent, settings.data_dir)
    hidden = keys.with_name(f"{keys.name}.new")
    hidden.touch(mode=0o600)
    hidden.write_text("\n".join([*known, *added]) + "\n")
    if keys.exists():
        hidden.chmod(keys.stat().st_mode & 0o777)
    give_to_owner_of(keys if keys.exists() else settings.data_dir, hidden)
    hidden.rename(keys)
