"""What a batch of live messages has changed in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

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
class ChainFile:
    """The option chains of a symbol that share a Parquet file: the unit that is exported.

    Args:
        symbol: whose.
        day: their date in New York.
        timestamp: of those in a file of their own, UTC epoch milliseconds; None for all of the day.
    """

    symbol: str
    day: date
    timestamp: int | None = None


LiveUnit: TypeAlias = Partition | LiveHour | ChainFile
"""What is exported as a whole."""


@dataclass(frozen=True)
class StoredBatch:
    """The rows that a batch has stored, after its commit.

    Args:
        sequence: the number of the batch, greater than that of every batch before.
        partitions: those whose rows have changed.
        hours: those that have new rows.
        chains: those whose rows have changed.
        tables: by the name of a table of the lake, that of a temporary table on the connection that stored
            the batch, until the next batch. It has the columns of the lake's table and ``sequence BIGINT``,
            and holds the changed rows as they are now; ``gex_strikes`` those of the snapshots whose strikes
            were replaced, all of each, as ``chain_strikes`` does. Tables without a changed row are absent.
    """

    sequence: int
    partitions: frozenset[Partition]
    hours: frozenset[LiveHour]
    tables: Mapping[str, str]
    chains: frozenset[ChainFile] = frozenset()
