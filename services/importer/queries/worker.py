"""Run one query in a process of its own, which can be killed and cannot take more memory than it may.

The process opens the catalog read-only, never the database. It writes the result to one pipe as bytes, and
then how the query ended to another.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import duckdb

from services.importer.lake.statements import quoted, set_variables
from services.importer.queries.rows import Limits, read_rows
from services.importer.queries.statement import StatementRefused, check

_PR_SET_PDEATHSIG: Final = 1
_MIB: Final = 1 << 20
_BESIDE_DUCKDB_MB: Final = 160
"""What Python, the result's buffers and memory that DuckDB does not count take beside its limit."""
_ERROR_CHARACTERS: Final = 4000
MAX_ENDED_BYTES: Final = 64 * 1024


class Format(StrEnum):
    """The form of a result."""

    ROWS = "rows"
    """A JSON array of two: the columns, each with name and type, and rows up to a limit."""
    CSV = "csv"
    """All rows as CSV with a header."""
    ARROW = "arrow"
    """All rows as an Arrow IPC stream."""


STARTED: Final = b"started"
"""What the process sends first: from here on, time counts as that of the query."""


@dataclass(frozen=True)
class Query:
    """A query, and the limits of its process.

    Args:
        text: one statement that reads.
        form: of the result.
        limits: of rows and bytes of a result in the form ``ROWS``.
        catalog: the file with the views.
        variables: lists of paths that the views read, by the names of DuckDB's variables.
        folders: which folders it may read from.
        scratch: the folder for what does not fit in memory; the caller removes it.
        memory_mb: memory of the process, in MiB.
        spill_mb: the maximum size of ``scratch``, in MiB.
        threads: of DuckDB.
        nice: how far its process stands behind others.
    """

    text: str
    form: Format
    limits: Limits
    catalog: Path
    variables: dict[str, list[str]]
    folders: tuple[Path, ...]
    scratch: Path
    memory_mb: int
    spill_mb: int
    threads: int
    nice: int = 0


@dataclass(frozen=True)
class Ended:
    """How a query ended.

    Args:
        problem: why it failed; empty if it did not.
        code: as in HTTP.
        truncated: whether rows were left out.
    """

    problem: str = ""
    code: int = 200
    truncated: bool = False

    def encode(self) -> bytes:
        """Return it as JSON: the importer must not unpickle what a query's process sends."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, content: bytes) -> Ended:
        """Read what ``encode`` returned.

        Raises:
            ValueError: it is something else.
        """
        found = json.loads(content)
        return cls(str(found["problem"]), int(found["code"]), bool(found["truncated"]))


def run(query: Query, data: Connection, control: Connection) -> None:
    """Run a query and write its result; the main function of the process."""
    _limit_process(query)
    try:
        try:
            connection = _open(query, data.fileno())
        finally:
            control.send_bytes(STARTED)
        ended = _answer(connection, query, data.fileno())
    except StatementRefused as error:
        ended = Ended(str(error), 400)
    except (duckdb.OutOfMemoryException, MemoryError):
        ended = Ended(out_of_memory(query.memory_mb), 400)
    except duckdb.Error as error:
        ended = Ended(str(error).strip()[:_ERROR_CHARACTERS], 400)
    except BrokenPipeError:
        return  # nobody reads the result any more
    data.close()
    control.send_bytes(ended.encode())
    control.close()
    # DuckDB would free memory in threads first; the process ends with everything that it has.
    os._exit(0)


def out_of_memory(memory_mb: int) -> str:
    """Return the error of a query that exceeds its memory."""
    return (
        f"the query needs more than the {memory_mb} MiB that one may take (GEXLAKE_SQL_MEMORY_MB): "
        "select fewer rows or columns, or smaller values"
    )


def _limit_process(query: Query) -> None:
    if sys.platform == "linux":
        # It ends with the process that it was forked from, which ends with the importer, and it is the first
        # to go if the machine runs out of memory.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        memory = query.memory_mb * _MIB
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (query.spill_mb * _MIB, query.spill_mb * _MIB))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails with an error
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(query.nice)


def _answer(connection: duckdb.DuckDBPyConnection, query: Query, output: int) -> Ended:
    statement = check(query.text)
    match query.form:
        case Format.ROWS:
            found = read_rows(connection, query.text, query.limits)
            content = json.dumps([found.columns, found.rows], separators=(",", ":")).encode()
            with os.fdopen(output, "wb", closefd=False) as file:
                file.write(content)
            return Ended(truncated=found.truncated)
        case Format.CSV:
            _copy_csv(connection, statement, output)
        case Format.ARROW:
            _write_arrow(connection, statement, output)
    return Ended()


def _open(query: Query, output: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        str(query.catalog),
        read_only=True,
        config={
            "memory_limit": f"{max(query.memory_mb - _BESIDE_DUCKDB_MB, query.memory_mb // 2)}MiB",
            "threads": query.threads,
            "temp_directory": str(query.scratch),
            "max_temp_directory_size": f"{query.spill_mb}MiB",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    set_variables(connection, query.variables)
    folders = ", ".join(quoted(f"{folder}/") for folder in (*query.folders, query.scratch))
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute(f"SET allowed_paths = [{quoted(_path(output))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _copy_csv(connection: duckdb.DuckDBPyConnection, statement: str, output: int) -> None:
    connection.sql(statement).write_csv(_path(output), header=True)


def _write_arrow(connection: duckdb.DuckDBPyConnection, statement: str, output: int) -> None:
    from nanoarrow import ipc  # noqa: PLC0415 (only here, and in this process only)

    with os.fdopen(output, "wb", closefd=False) as file, ipc.StreamWriter.from_writable(file) as writer:
        writer.write_stream(connection.sql(statement))


def _path(descriptor: int) -> str:
    return f"/dev/fd/{descriptor}"
