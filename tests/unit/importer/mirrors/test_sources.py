"""The table of sources: their newest records, also those that the broker has dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from services.importer.lake.statements import transaction
from services.importer.mirrors.sources import SourceTable
from shared.bus import subjects
from shared.bus.follower import Followed
from shared.sources.record import SourceRecord
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON

SOURCE = "https://hist.gex.bot"


def message(sequence: int, record: SourceRecord) -> Followed:
    data = record.model_dump_json().encode()
    return Followed(sequence, subjects.source(record.base_url), data, NOON + timedelta(seconds=sequence))


def write(lake: LakeOnDisk, table: SourceTable, *records: SourceRecord) -> None:
    for sequence, record in enumerate(records, 1):
        table.take(message(sequence, record))
    with lake.lake.writing() as connection, transaction(connection):
        table.take_changes()(connection)
    assert not table.has_changes


def test_a_source_has_one_row_with_the_fields_of_a_data_source(lake: LakeOnDisk) -> None:
    record = SourceRecord(
        base_url=SOURCE,
        requests=4,
        successes=3,
        mean_response_s=0.25,
        last_success_at=NOON,
        given_name="Vendor",
    )
    table = SourceTable()
    write(lake, table, SourceRecord(base_url=SOURCE))
    write(lake, table, record)
    columns = (
        "source_id, base_url, name, reliability_score, last_successful_fetch, total_requests, "
        "successful_requests, average_response_time, is_active, updated_at"
    )
    assert lake.rows(f"SELECT {columns} FROM data_sources") == [
        (
            str(record.source_id),
            SOURCE,
            "Vendor",
            0.75,
            NOON,
            4,
            3,
            timedelta(seconds=0.25),
            True,
            NOON + timedelta(seconds=1),
        )
    ]


def test_a_source_is_inactive_while_it_is_deactivated_or_its_circuit_is_open(lake: LakeOnDisk) -> None:
    now = datetime.now(UTC)

    def source(number: int, **changes: Any) -> SourceRecord:
        return SourceRecord(base_url=f"https://{number}.test", **changes)

    write(
        lake,
        SourceTable(),
        source(1),
        source(2, open_until=now + timedelta(hours=1)),
        source(3, open_until=now - timedelta(hours=1)),
        source(4, deactivated_at=NOON, deactivated_by="key:ba7816bf"),
    )
    rows = lake.rows("SELECT is_active, deactivated_by FROM data_sources ORDER BY base_url")
    assert rows == [(True, None), (False, None), (True, None), (False, "key:ba7816bf")]


def test_a_source_that_the_broker_has_dropped_stays(lake: LakeOnDisk) -> None:
    write(lake, SourceTable(), SourceRecord(base_url=SOURCE), SourceRecord(base_url="https://old.test"))
    write(lake, SourceTable(), SourceRecord(base_url=SOURCE, requests=1))
    rows = lake.rows("SELECT base_url, total_requests FROM data_sources ORDER BY base_url")
    assert rows == [(SOURCE, 1), ("https://old.test", 0)]
