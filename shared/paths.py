"""The layout of the data folder: every path is built here, and none leaves its root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from shared import datasets
from shared.gexbot.partition import Partition, normalize_endpoint, normalize_ticker

PARTIAL_SUFFIX: Final = ".part"
"""Suffix of the hidden name under which a file is written before it is renamed into place."""
RESUME_SUFFIX: Final = ".resume"
"""Suffix of the hidden file, beside a partial file, with the metadata to resume it."""

_VENDOR_FOLDER = "gexbot"


@dataclass(frozen=True)
class LakePaths:
    """The absolute paths of one lake's folders and files.

    Layout: ``gex_data.db``, ``source/<dataset>/<ticker>/<endpoint>/<original name>``,
    ``parquet/gexbot/<TICKER>/<endpoint>/<YYYYMMDD>.<kind>.parquet``,
    ``records/gexbot/<TICKER>/<endpoint>/<YYYYMMDD>.<table>.parquet``,
    ``parquet/webhooks/<YYYYMMDD>/<HH>.<table>.parquet``, ``gex/<SYMBOL>/<YYYYMMDD>/snapshots.parquet``
    or ``…/snapshot_<timestamp>.parquet``, ``parquet/ohlcv_1m/<YYYY>/<YYYYMMDD>.bars.parquet``, and
    ``archive/jobs/<YYYY-MM>.parquet``.
    """

    data_dir: Path
    staging_root: Path
    parquet_root: Path

    @classmethod
    def under(cls, data_dir: Path, staging: Path | None = None, parquet: Path | None = None) -> Self:
        """Return the paths below a data folder; staging and Parquet may have folders of their own."""
        root = Path(os.path.abspath(data_dir))  # noqa: PTH100 (resolve() would follow links)
        return cls(
            data_dir=root,
            staging_root=Path(os.path.abspath(staging or root / "source")),  # noqa: PTH100
            parquet_root=Path(os.path.abspath(parquet or root / "parquet")) / _VENDOR_FOLDER,  # noqa: PTH100
        )

    @property
    def database(self) -> Path:
        """The DuckDB file, which only the importer opens."""
        return self.data_dir / "gex_data.db"

    @property
    def records_root(self) -> Path:
        """Copies of the records of each partition, for queries: they cannot open the database."""
        return self.data_dir / "records" / _VENDOR_FOLDER

    @property
    def catalog(self) -> Path:
        """The folder of the views that queries see, and of copies of the small tables."""
        return self.data_dir / ".catalog"

    @property
    def webhooks_root(self) -> Path:
        """The Parquet files of webhooks, one an hour (UTC) and table."""
        return self.parquet_root.parent / "webhooks"

    @property
    def chains_root(self) -> Path:
        """The Parquet files of option chains, below a folder for each symbol and day."""
        return self.data_dir / "gex"

    @property
    def bars_root(self) -> Path:
        """The Parquet files of minute bars, one a trading day."""
        return self.parquet_root.parent / "ohlcv_1m"

    @property
    def live(self) -> Path:
        """The rows that arrived since the last export, for queries; emptied at every start."""
        return self.data_dir / ".live"

    @property
    def archived_jobs_root(self) -> Path:
        """The Parquet files of jobs that were taken out of the ledger, one a month."""
        return self.data_dir / "archive" / "jobs"

    @property
    def backups(self) -> Path:
        """Where the importer leaves a snapshot for a backup to take away."""
        return self.data_dir / "backups"

    @property
    def quarantine(self) -> Path:
        """Where damaged files are moved, below a folder for each time."""
        return self.data_dir / "quarantine"

    @property
    def scratch(self) -> Path:
        """Where DuckDB spills what does not fit in memory."""
        return self.data_dir / ".scratch"

    @property
    def staging_folders(self) -> tuple[Path, ...]:
        """The folders of staged files, one a dataset."""
        return tuple(self.staging_root / dataset.name for dataset in datasets.DATASETS)

    def staged(self, ticker: str, endpoint: str, name: str) -> Path:
        """Return the path of a staged file.

        Raises:
            ValueError: a part is not valid, or the path would leave the staging folder.
        """
        endpoint = datasets.check_endpoint(endpoint)
        dataset = datasets.dataset_of(endpoint)
        return _inside(self.staging_root / dataset.name, dataset.check_ticker(ticker), endpoint, name)

    def staged_from_relative(self, relative: str) -> Path:
        """Return the staged file that a message names.

        Raises:
            ValueError: it is not of the form ``<ticker>/<endpoint>/<name>``.
        """
        parts = relative.split("/")
        if len(parts) != 3:
            raise ValueError(f"expected the staged path <TICKER>/<endpoint>/<name>, got {relative!r}")
        return self.staged(*parts)

    def relative_to_staging(self, path: Path) -> str:
        """Return a staged file's path as messages carry it: relative to the folder of its dataset.

        The endpoint in it tells the dataset.
        """
        return Path(*path.relative_to(self.staging_root).parts[1:]).as_posix()

    def parquet(self, partition: Partition) -> Path:
        """Return a partition's Parquet file."""
        endpoint = normalize_endpoint(partition.endpoint)
        name = f"{partition.trading_day:%Y%m%d}.{parquet_kind(endpoint)}.parquet"
        return _inside(self.parquet_root, normalize_ticker(partition.ticker), endpoint, name)

    def partition_of(self, parquet: Path) -> Partition | None:
        """Return the partition whose Parquet file has a path; None if no partition's has."""
        ticker, endpoint, name = parquet.parts[-3:]
        try:
            partition = Partition(ticker, endpoint, datetime.strptime(name[:8], "%Y%m%d").date())  # noqa: DTZ007
            return partition if self.parquet(partition) == parquet else None
        except ValueError:
            return None

    def records(self, partition: Partition, table: str) -> Path:
        """Return the copy of a partition's records, which are in ``table``."""
        name = f"{partition.trading_day:%Y%m%d}.{table}.parquet"
        ticker, endpoint = normalize_ticker(partition.ticker), normalize_endpoint(partition.endpoint)
        return _inside(self.records_root, ticker, endpoint, name)

    def webhooks(self, table: str, hour: datetime) -> Path:
        """Return the Parquet file of the webhooks in ``table`` that arrived within an hour (UTC)."""
        utc = hour.astimezone(UTC)
        return _inside(self.webhooks_root, f"{utc:%Y%m%d}", f"{utc:%H}.{table}.parquet")

    def webhooks_of(self, parquet: Path) -> tuple[str, datetime] | None:
        """Return the table and the hour whose Parquet file has a path; None if no hour's has."""
        day, name = parquet.parts[-2:]
        hour, _, rest = name.partition(".")
        table = rest.removesuffix(".parquet")
        try:
            found = table, datetime.strptime(f"{day}{hour}", "%Y%m%d%H").replace(tzinfo=UTC)
            return found if self.webhooks(*found) == parquet else None
        except ValueError:
            return None

    def chains(self, symbol: str, day: date, timestamp: int | None = None) -> Path:
        """Return the Parquet file of a symbol's option chains.

        Args:
            symbol: whose.
            day: their date in New York.
            timestamp: of those in a file of their own, UTC epoch milliseconds; None for the file of the day.

        Raises:
            ValueError: the symbol is not valid.
        """
        name = "snapshots.parquet" if timestamp is None else f"snapshot_{timestamp}.parquet"
        return _inside(self.chains_root, normalize_ticker(symbol), f"{day:%Y%m%d}", name)

    def chains_of(self, parquet: Path) -> tuple[str, date, int | None] | None:
        """Return symbol, day and timestamp of the option chains in a file; None if it is no such file."""
        symbol, day, name = parquet.parts[-3:]
        stem = name.removesuffix(".parquet")
        try:
            timestamp = None if stem == "snapshots" else int(stem.removeprefix("snapshot_"))
            found = symbol, datetime.strptime(day, "%Y%m%d").date(), timestamp  # noqa: DTZ007
            return found if self.chains(*found) == parquet else None
        except ValueError:
            return None

    def archived_jobs(self, month: str) -> Path:
        """Return the file of the jobs that ended within a month (UTC), ``2026-01``.

        Raises:
            ValueError: it is no month.
        """
        datetime.strptime(month, "%Y-%m")  # noqa: DTZ007
        return _inside(self.archived_jobs_root, f"{month}.parquet")

    def bars(self, day: date) -> Path:
        """Return the Parquet file of a trading day's minute bars, of all symbols."""
        return _inside(self.bars_root, f"{day:%Y}", f"{day:%Y%m%d}.bars.parquet")

    def bars_day_of(self, parquet: Path) -> date | None:
        """Return the trading day whose minute bars have a path; None if no day's have."""
        try:
            day = datetime.strptime(parquet.name[:8], "%Y%m%d").date()  # noqa: DTZ007
            return day if self.bars(day) == parquet else None
        except ValueError:
            return None

    def relative_to_parquet(self, path: Path) -> str:
        """Return a Parquet file's path as messages and the ledger carry it.

        That of a partition is below the vendor's folder, that of bars below the folder around it:
        ``ohlcv_1m/<YYYY>/<YYYYMMDD>.bars.parquet``.
        """
        root = self.parquet_root if path.is_relative_to(self.parquet_root) else self.parquet_root.parent
        return path.relative_to(root).as_posix()


def parquet_kind(endpoint: str) -> str:
    """Return the kind in the names of an endpoint's Parquet files: ``<YYYYMMDD>.<kind>.parquet``."""
    if endpoint == "orderflow":
        return "orderflow"
    if not endpoint.startswith("state_"):
        return "strikes"
    return "state_strikes" if endpoint.startswith("state_gex_") else "state_contracts"


def name_with_job_id(name: str, job_id: UUID) -> str:
    """Return the name of a job's staged file when another job's file already has its usual name."""
    kind = ".csv" if ".csv" in name and ".json" not in name else ".json"
    stem, _, ending = name.partition(kind)
    return f"{stem}~{job_id.hex[:12]}{kind}{ending}"


def partial_path(path: Path, owner: str) -> Path:
    """Return the hidden path, beside ``path``, under which ``owner`` writes it before the rename."""
    return path.with_name(f".{path.name}.{owner}{PARTIAL_SUFFIX}")


def is_partial(path: Path) -> bool:
    """Return whether a path was made by ``partial_path``."""
    return path.name.startswith(".") and path.name.endswith(PARTIAL_SUFFIX)


def resume_metadata_path(path: Path) -> Path:
    """Return the file, beside a partial file, that holds what is needed to resume its download."""
    return path.with_suffix(RESUME_SUFFIX)


def is_resume_metadata(path: Path) -> bool:
    """Return whether a path was made by ``resume_metadata_path``, or is its temporary name."""
    return path.name.startswith(".") and path.name.removesuffix("~").endswith(RESUME_SUFFIX)


def _inside(root: Path, *parts: str) -> Path:
    for part in parts:
        if not part or part in {".", ".."} or "/" in part or "\\" in part or "\0" in part:
            raise ValueError(f"expected the name of a file or folder, got {part!r}")
    return root.joinpath(*parts)
