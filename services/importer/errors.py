"""Errors of the importer.

Terminal
├── BadRecord           a record breaks a rule; names its number and its field
├── UnreadableFile      the file is not JSON of the vendor's form
│   ├── NoRecords           it has no records
│   └── TooLargeUnpacked    its gzip data unpacks to too much
├── BadFlatFile         too many rows of a flat file are no correct bars
├── NothingToImport     a flat file is to be imported for registered symbols, and there are none
├── StagedFileMissing   it is not at the path in the message
├── NotImportable       no dataset imports files of the endpoint in the message
└── WorseData           it would replace a partition by fewer snapshots or strike rows
Transient
├── StagedFileReplaced  it has another checksum than the message: a later download replaced it
├── IntakeUnavailable   intake does not answer a request for a replay
├── StorageTrouble      input/output errors
│   ├── DiskFull            also Deferred: it costs no attempt
│   └── LakeDamaged         also Deferred: the database is rebuilt first
└── ImportTimedOut      the import took too long
CannotStart
├── LakeLocked          another process has the DuckDB file open
└── DamagedDatabase     the file or its log is damaged; it is quarantined
GexlakeError
├── DamagedPartition    its Parquet files cannot be loaded; it is imported again
└── QueryRefused        a query that cannot be answered; no job fails by it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.errors import CannotStart, Deferred, GexlakeError, Terminal, Transient
from shared.gexbot.partition import Partition
from shared.process.disk_space import is_full


class BadRecord(Terminal):
    """A record breaks a rule.

    Args:
        name: the staged file's name.
        number: which record, the first being 1.
        field: which field of it, as the vendor names it.
        problem: what is wrong with it, as the end of a sentence ("is missing").
    """

    def __init__(self, name: str, number: int, field: str, problem: str) -> None:
        super().__init__(f"{name}: record {number}: {field} {problem}; the file was not imported")
        self.number = number
        self.field = field


class UnreadableFile(Terminal):
    """The file is not JSON of the vendor's form.

    Args:
        name: the staged file's name.
        problem: what is wrong with it.
    """

    field = "file"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}; the file was not imported")


class NoRecords(UnreadableFile):
    """The file has no records."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "the file holds no records")


class TooLargeUnpacked(UnreadableFile):
    """The gzip data of a file unpacks to more than is allowed.

    Args:
        name: the staged file's name.
        max_bytes: the limit.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        super().__init__(
            name, f"it unpacks to more than {max_bytes} bytes (raise GEXLAKE_MAX_FILE_BYTES if it is right)"
        )


class BadFlatFile(Terminal):
    """Too many rows of a flat file are no correct bars.

    Args:
        name: the staged file's name.
        rejected: how many.
        rows: of how many.
        reasons: why, the most frequent first.
        share: the share that is accepted.
    """

    field = "file"

    def __init__(self, name: str, rejected: int, rows: int, reasons: Sequence[str], share: float) -> None:
        super().__init__(
            f"{name}: {rejected} of {rows} rows are no correct bars, more than {share:.2%}; nothing was "
            f"changed: {'; '.join(reasons[:3])} (GEXLAKE_FLAT_FILE_MAX_REJECTED_SHARE)"
        )


class NothingToImport(Terminal):
    """A flat file is to be imported for registered symbols, and there are none."""

    field = "symbols"

    def __init__(self) -> None:
        super().__init__(
            "no symbol is registered, so the flat file was not imported: register symbols (gexlake symbols "
            "add), or import all that it has (GEXLAKE_FLAT_FILE_SYMBOLS=all), and replay the job"
        )


class StagedFileMissing(Terminal):
    """The staged file is missing.

    Args:
        path: where it should be.
        problem: what was found instead.
    """

    field = "staged_path"

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"the staged file {path} {problem}; post its URL again")


class StagedFileReplaced(Transient):
    """The staged file has another checksum than the message: a later download replaced it.

    Args:
        path: where it is.
    """

    field = "staged_path"

    def __init__(self, path: Path) -> None:
        super().__init__(f"the staged file {path} was replaced by another download since; post its URL again")


class NotImportable(Terminal):
    """No dataset imports files of an endpoint.

    Args:
        endpoint: of the job.
    """

    field = "endpoint"

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"this version imports no files of the endpoint {endpoint!r}; nothing was imported")


class WorseData(Terminal):
    """A file with too few snapshots or strike rows would replace better data.

    Args:
        partition: what it would replace.
        field: ``snapshots`` or ``strikes``: which of them are too few.
        new: how many the file has.
        held: how many the partition holds.
        share: the minimum share that is accepted.
    """

    def __init__(self, partition: Partition, field: str, new: int, held: int, share: float) -> None:
        self.field = field
        super().__init__(
            f"{partition}: the file has {new} {field}, the partition holds {held}; less than {share:.0%} "
            "is refused and nothing was changed (to replace it all the same, post force: true and a reason)"
        )


class StorageTrouble(Transient):
    """The disk fails.

    Args:
        doing: the operation.
        cause: the error of the system or of DuckDB.
    """

    _what_then = ""

    def __init__(self, doing: str, cause: Exception) -> None:
        super().__init__(f"{doing} failed: {cause}; what was there before is unchanged{self._what_then}")


class DiskFull(StorageTrouble, Deferred):
    """The lake's disk has no space."""

    _what_then = ", and it is tried again until there is space: free some on the disk of GEXLAKE_DATA_DIR"


class IntakeUnavailable(Transient):
    """Intake does not answer, or cannot replay now.

    Args:
        problem: what happened instead.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"intake did not replay a job: {problem}")


class LakeDamaged(StorageTrouble, Deferred):
    """The database has a damaged part; it is quarantined and built again from the Parquet files."""

    _what_then = " in the Parquet files, from which the database is rebuilt; it is tried again then"


def trouble(doing: str, cause: Exception) -> StorageTrouble:
    """Return the error for a failed operation on the disk: ``DiskFull`` if there is no space."""
    return DiskFull(doing, cause) if is_full(cause) else StorageTrouble(doing, cause)


class ImportTimedOut(Transient):
    """An import took longer than allowed.

    Args:
        seconds: the limit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the import took longer than {seconds:g} s and was interrupted (GEXLAKE_IMPORT_TIMEOUT_S)"
        )


class LakeLocked(CannotStart):
    """Another process has the DuckDB file open.

    Args:
        path: the file.
        holder: the process, in brackets, if it is known.
    """

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"another process holds {path}{holder}: only one importer may run on a lake, stop one"
        )


class DamagedDatabase(CannotStart):
    """The database file, or its write-ahead log, is damaged.

    Args:
        path: the database file.
        problem: what DuckDB found.
        in_log: whether the log is damaged, and perhaps the file is not.
    """

    def __init__(self, path: Path, problem: str, *, in_log: bool) -> None:
        super().__init__(f"{path} is damaged: {problem}")
        self.problem = problem
        self.in_log = in_log


class DamagedPartition(GexlakeError):
    """The Parquet files of a partition cannot be loaded.

    Args:
        partition: which.
        problem: what is wrong with them.
    """

    def __init__(self, partition: Partition, problem: str) -> None:
        super().__init__(f"{partition} cannot be loaded from its Parquet files: {problem}")


class QueryRefused(GexlakeError):
    """A query that cannot be answered.

    Args:
        problem: why.
        code: an HTTP status: 400 refused, 408 too slow, 503 not now.
    """

    def __init__(self, problem: str, code: int = 400) -> None:
        super().__init__(problem)
        self.code = code
