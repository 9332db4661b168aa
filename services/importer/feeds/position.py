"""The table ``feed_position``: how far a stream is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb


@dataclass(frozen=True)
class FeedPosition:
    """The last message of a stream that is stored, one row of the table.

    Args:
        created_at: when the stream was created (UTC).
        sequence: of the last message that is stored; 0 if none is.
        base: what is added to a sequence number, so that the numbers of batches go on growing when the
            stream is created again.
    """

    created_at: datetime
    sequence: int
    base: int

    @property
    def number(self) -> int:
        """The number of the last batch."""
        return self.base + self.sequence

    def of_stream(self, created_at: datetime, last_sequence: int) -> FeedPosition:
        """Return the position in the stream as it is found: at its start, if it is another one.

        Args:
            created_at: when it was created.
            last_sequence: of its last message.
        """
        if self.created_at == created_at and self.sequence <= last_sequence:
            return self
        return FeedPosition(created_at, 0, self.number)

    def is_of_same_stream(self, other: FeedPosition) -> bool:
        """Return whether both count the messages of one stream from the same start."""
        return (self.created_at, self.base) == (other.created_at, other.base)


def read(connection: duckdb.DuckDBPyConnection, stream: str) -> FeedPosition | None:
    """Return the position in a stream, or None if nothing of it was ever stored."""
    found = connection.execute(
        "SELECT created_at, sequence, sequence_base FROM feed_position WHERE stream = ?", [stream]
    ).fetchall()
    return FeedPosition(*found[0]) if found else None


def write(connection: duckdb.DuckDBPyConnection, stream: str, position: FeedPosition, now: datetime) -> None:
    """Write the position in a stream; call it within the transaction of the batch."""
    connection.execute("DELETE FROM feed_position WHERE stream = ?", [stream])
    connection.execute(
        "INSERT INTO feed_position VALUES (?, ?, ?, ?, ?)",
        [stream, position.created_at, position.sequence, position.base, now],
    )
