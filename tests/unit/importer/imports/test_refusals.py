"""A bad file is refused with a message that names the record and the field, and nothing changes."""

from __future__ import annotations

import gzip
import json
from datetime import date
from typing import Any

import pytest

from services.importer.errors import (
    BadRecord,
    NoRecords,
    StagedFileMissing,
    StagedFileReplaced,
    UnreadableFile,
    WorseData,
)
from shared.bus.messages import ImportFile, JobSkipped
from shared.errors import GexlakeError
from tests.support.importer.lake import LakeOnDisk, a_record, records
from tests.support.values import a_job

DAY = json.dumps(records(5))


def refusal(lake: LakeOnDisk, command: ImportFile) -> GexlakeError:
    """Import over a good partition; return the error after checking that the partition stands untouched."""
    good = a_job(generation=1, base_url="https://hist.gex.bot/good.json")
    lake.import_staged(lake.stage(records(3), good))
    before = lake.rows("FROM gex_strikes"), lake.rows("FROM gex_snapshots"), lake.rows("FROM partitions")
    with pytest.raises(GexlakeError) as caught:
        lake.import_staged(command)
    after = lake.rows("FROM gex_strikes"), lake.rows("FROM gex_snapshots"), lake.rows("FROM partitions")
    assert after == before
    assert lake.differences() == 0
    assert lake.leftovers() == []
    return caught.value


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"timestamp": None}, "timestamp", "is null"),
        ({"timestamp": "1763130603"}, "timestamp", "is '1763130603', not a number"),
        ({"timestamp": True}, "timestamp", "is True, not a number"),
        ({"timestamp": 1763130603000}, "timestamp", "outside the trading day 2025-11-14"),
        ({"timestamp": 1763044200}, "timestamp", "(2025-11-13 14:30:00 UTC), outside the trading day"),
        ({"timestamp": 1e300}, "timestamp", "is 1e+300, which is not a valid time"),
        ({"ticker": "SPX"}, "ticker", "is 'SPX', but the job is for NQ_NDX"),
        ({"ticker": None}, "ticker", "is null"),
        ({"ticker": 5}, "ticker", "is 5, but"),
        ({"spot": None}, "spot", "is null"),
        ({"spot": "25000.5"}, "spot", "not a number"),
        ({"spot": float("nan")}, "spot", "not a finite number"),
        ({"spot": float("-inf")}, "spot", "not a finite number"),
        ({"zero_gamma": "high"}, "zero_gamma", "not a number"),
        ({"sum_gex_oi": float("inf")}, "sum_gex_oi", "not a finite number"),
        ({"min_dte": 1.5}, "min_dte", "not a 32-bit integer"),
        ({"min_dte": 99999999999}, "min_dte", "not a 32-bit integer"),
        ({"strikes": "none"}, "strikes", "not an array"),
        ({"strikes": [5]}, "strikes[0]", "is 5, not an array"),
        ({"strikes": [[1, 2, 3], [None, 1, 2]]}, "strikes[1]", "has a strike that is None"),
        ({"strikes": [[1, float("nan"), 3]]}, "strikes[0]", "has a gex_by_volume that is nan"),
        ({"strikes": [[1, 2, "3"]]}, "strikes[0]", "has a gex_by_open_interest that is '3'"),
        ({"strikes": [["1", 2, 3]]}, "strikes[0]", "has a strike that is '1'"),
    ],
)
def test_a_record_that_breaks_a_rule_is_named(
    lake: LakeOnDisk, changes: dict[str, Any], field: str, message: str
) -> None:
    document = [*records(3), a_record(3, **changes), a_record(4)]
    error = refusal(lake, lake.stage(document))
    assert isinstance(error, BadRecord)
    assert (error.number, error.field) == (4, field)
    assert f"record 4: {field}" in str(error)
    assert message in str(error)


def test_without_a_day_in_the_name_a_timestamp_that_is_no_time_is_named(lake: LakeOnDisk) -> None:
    job = a_job(base_url="https://hist.gex.bot/export.json", trading_day=None)
    error = refusal(lake, lake.stage([a_record(timestamp=1763130603000)], job))
    assert str(error).startswith(
        "export.json: record 1: timestamp is 1763130603000, which is not a valid time"
    )


@pytest.mark.parametrize("field", ["timestamp", "ticker", "spot"])
def test_a_missing_field_is_named(lake: LakeOnDisk, field: str) -> None:
    document = records(3)
    del document[1][field]
    error = refusal(lake, lake.stage(document))
    assert isinstance(error, BadRecord)
    assert str(error).endswith(f"record 2: {field} is missing; the file was not imported")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file holds no records"),
        (b" \n", "the file holds no records"),
        (b"[]", "the file holds no records"),
        (DAY[: DAY.rindex('"spot"')].encode(), "the file is cut off in record 5"),
        (DAY[: DAY.rindex(', {"timestamp"')].encode(), "the file is cut off after record 4"),
        (DAY.encode() + b"xyz", "something after the end of the array (record 5)"),
        (DAY.encode() + DAY.encode(), "something after the end of the array (record 5)"),
        (b"<html><body>403</body></html>", "HTML or XML instead of JSON"),
        (b'{"error": "not subscribed"}', "an error of the vendor instead of records: 'not subscribed'"),
        (b'"text"', "neither an array of records nor one record a line"),
        (b"17", "neither an array of records nor one record a line"),
        (b"[1, 2]", "record 1: record is 1, not an object"),
        (b"[[1]]", "record 1: record is [1], not an object"),
        (b"[null]", "record 1: record is None, not an object"),
        (DAY.replace(", {", " {", 1).encode(), "no comma between records 1 and 2"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"timestamp": 1763130600, "ticker": "\xff"}]', "not UTF-8"),
        (b'[{"timestamp": 1763130600, "spot": }]', "record 1 is not JSON"),
        (
            b'[{"timestamp": 1e306, "ticker": "NQ_NDX", "spot": 1}]',
            "1: timestamp is 1e+306, which is not a valid time",
        ),
        (b'[{"timestamp": %s, "ticker": "NQ_NDX", "spot": 1}]' % (b"9" * 308), "which is not a valid time"),
        (b'[{"timestamp": 1, "ticker": "NQ_NDX", "spot": %s}]' % (b"1" * 5000), "spot is inf, not a finite"),
        (b'[{"\\ud800": 1, "\\ud800": 2}]', "record 1: \\ud800 occurs twice"),
    ],
)
def test_a_file_that_is_no_day_of_history_says_what_it_is(
    lake: LakeOnDisk, content: bytes, message: str
) -> None:
    error = refusal(lake, lake.stage(content))
    assert isinstance(error, UnreadableFile | BadRecord)
    assert message in str(error)


def test_an_empty_array_has_no_records(lake: LakeOnDisk) -> None:
    assert isinstance(refusal(lake, lake.stage([])), NoRecords)


def test_gzip_that_is_cut_off_is_refused(lake: LakeOnDisk) -> None:
    job = a_job(base_url="https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json.gz")
    packed = gzip.compress(json.dumps(records(500)).encode())
    broken_checksum = packed[:-8] + bytes(4) + packed[-4:]
    for content in (packed[:-20], packed[:-4], broken_checksum, b"plain text", b""):
        error = refusal(lake, lake.stage(content, job))
        assert isinstance(error, UnreadableFile)


def test_a_file_with_a_tenth_of_the_records_is_refused_unless_forced_with_a_reason(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(100)))
    with pytest.raises(WorseData, match="has 10 snapshots, the partition holds 100"):
        lake.import_staged(lake.stage(records(10), a_job(generation=2)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(100,)]
    forced = lake.stage(records(10), a_job(generation=3), force=True, reason="the vendor withdrew the rest")
    lake.import_staged(forced)
    ledger = lake.rows(
        "SELECT status, records_processed, replaced_records, replaced_strike_rows, reason, checksum, "
        "replaced_checksum IS NOT NULL, correction_of FROM gex_history_queue"
    )
    assert ledger == [
        (
            "completed",
            10,
            100,
            200,
            "the vendor withdrew the rest",
            forced.sha256,
            True,
            str(forced.job.job_id),
        )
    ]
    assert lake.differences() == 0


def test_a_file_that_lost_its_strikes_is_refused(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(100)))
    thin = lake.stage(records(100, strikes=[[25000, 1, 2]]), a_job(generation=2))
    with pytest.raises(WorseData, match="has 100 strikes, the partition holds 200"):
        lake.import_staged(thin)
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(200,)]
    assert lake.differences() == 0


def test_ninety_percent_of_the_records_are_enough(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(100)))
    lake.import_staged(lake.stage(records(90), a_job(generation=2)))
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(90,)]


def test_a_changed_file_replaces_the_partition_and_the_ledger_tells_old_and_new_checksum(
    lake: LakeOnDisk,
) -> None:
    old = lake.stage(records(10))
    lake.import_staged(old)
    new = lake.stage(records(11, spot=1.5), a_job(generation=2))
    lake.import_staged(new)
    assert lake.rows("SELECT DISTINCT spot_price FROM gex_snapshots") == [(1.5,)]
    assert lake.rows("SELECT checksum, replaced_checksum FROM gex_history_queue") == [
        (new.sha256, old.sha256)
    ]
    assert lake.rows("SELECT count(*) FROM gex_strikes") == [(22,)]
    assert lake.differences() == 0


def test_an_unchanged_file_is_skipped_without_reading_it(lake: LakeOnDisk) -> None:
    first = lake.stage(records(10))
    lake.import_staged(first)
    lake.settings.paths.staged_from_relative(first.staged_path).unlink()
    event = lake.import_staged(first.model_copy(update={"job": a_job(generation=2)}))
    assert isinstance(event, JobSkipped)
    assert (event.snapshots, event.strike_rows) == (10, 20)
    assert lake.rows("SELECT status, checksum, records_processed FROM gex_history_queue") == [
        ("completed", first.sha256, 10)
    ]


def test_only_the_job_that_imported_a_file_stays_completed_when_it_is_skipped(lake: LakeOnDisk) -> None:
    first = lake.stage(records(10))
    lake.import_staged(first)
    other = lake.stage(records(10), a_job(base_url="https://hist.gex.bot/copy.json"))
    again = first.model_copy(update={"job": a_job(generation=2)})
    skips = [lake.import_staged(other), lake.import_staged(again)]
    assert [skip.own_import for skip in skips if isinstance(skip, JobSkipped)] == [False, True]
    assert sorted(lake.rows("SELECT status, generation FROM gex_history_queue")) == [
        ("completed", 2),
        ("skipped", 1),
    ]
    assert lake.import_staged(again) == skips[1], "a redelivered command ends as it did before"


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_an_unchanged_file_is_imported_again_when_its_parquet_is_not_whole(
    lake: LakeOnDisk, harm: str
) -> None:
    first = lake.stage(records(10))
    lake.import_staged(first)
    (parquet,) = lake.settings.paths.parquet_root.rglob("*.parquet")
    if harm == "missing":
        parquet.unlink()
    else:
        parquet.write_bytes(parquet.read_bytes()[:-1] + b"?")
    event = lake.import_staged(first.model_copy(update={"job": a_job(generation=2)}))
    assert not isinstance(event, JobSkipped)
    assert lake.differences() == 0


def test_gex_full_after_gex_zero_of_the_same_day_leaves_both(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(10)))
    lake.import_staged(lake.stage(records(5), a_job(endpoint="gex_full")))
    counts = lake.rows("SELECT endpoint, count(*) FROM gex_snapshots GROUP BY ALL ORDER BY ALL")
    assert counts == [("gex_full", 5), ("gex_zero", 10)]
    assert lake.differences() == 0


def test_a_neighbouring_day_is_left_alone(lake: LakeOnDisk) -> None:
    lake.import_staged(lake.stage(records(4)))
    next_day = [{**record, "timestamp": record["timestamp"] + 86_400 * 3} for record in records(6)]
    job = a_job(
        trading_day=date(2025, 11, 17), base_url="https://hist.gex.bot/2025-11-17_NQ_NDX_classic.json"
    )
    lake.import_staged(lake.stage(next_day, job))
    lake.import_staged(lake.stage(records(5), a_job(generation=2)))
    assert lake.rows("SELECT trading_day, snapshots FROM partitions ORDER BY 1") == [
        (date(2025, 11, 14), 5),
        (date(2025, 11, 17), 6),
    ]
    assert lake.rows("SELECT count(*) FROM gex_snapshots") == [(11,)]


def test_a_staged_file_that_is_gone_or_another_is_refused(lake: LakeOnDisk) -> None:
    command = lake.stage(records(2))
    path = lake.settings.paths.staged_from_relative(command.staged_path)
    path.write_text(json.dumps(records(3)))
    assert isinstance(refusal(lake, command), StagedFileReplaced)
    path.unlink()
    assert "is gone" in str(refusal(lake, command))
    outside = command.model_copy(update={"staged_path": "../../etc/passwd"})
    assert isinstance(refusal(lake, outside), StagedFileMissing)
