"""What a batch of live messages has changed in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.gexbot.partition import Partition


@dataclass(frozen=True, order=True)
class LiveHour:
    """The rows of a table of webhooks that arrived within one hour: the unit that is exported.

    Args:
        table: the name of the table.
        hour: the start of the hour (UTC).
    """

    table: str
    hour: datetime


@dataclass(frozen=True)
class StoredBatch:
    """The rows that a batch has stored, after its commit.

    Args:
        sequence: the number of the batch, greater than that of every batch before.
        partitions: those whose rows have changed.
        hours: those that have new rows.
        tables: by the name of a table of the lake, that of a temporary table on the connection that stored
            the batch, until the next batch. It has the columns of the lake's table and ``sequence BIGINT``,
            and holds the changed rows as they are now; ``gex_strikes`` those of the snapshots whose strikes
            were replaced, all of each. Tables without a changed row are absent.
    """

    sequence: int
    partitions: frozenset[Partition]
    hours: frozenset[LiveHour]
    tables: Mapping[str, str]
