"""The tables of rules: as the bucket has them, with all changes that it ever had."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from gexlake.api.priorities.rules import PriorityRule
from services.importer.lake.statements import transaction
from services.importer.mirrors.rules import RuleTables
from shared.bus.follower import Followed
from shared.bus.streams import REVISIONS_KEPT
from shared.rule_revisions import CHANGED_BY
from tests.support.importer.lake import LakeOnDisk
from tests.support.values import NOON

ONE, OTHER = UUID(int=1), UUID(int=2)
CURRENT = "SELECT name, revision FROM priority_rules ORDER BY rule_id"
CHANGES = "SELECT rule_id[-1], revision, operation, changed_by FROM priority_rule_changes ORDER BY changed_at"


class Bucket:
    """Makes the messages of a bucket, a second apart."""

    def __init__(self) -> None:
        self._seconds = itertools.count(1)
        self._sequence = itertools.count(1)

    def start_over(self) -> None:
        self._sequence = itertools.count(1)

    def put(self, name: str, rule_id: UUID = ONE, by: str | None = "key:ba7816bf") -> Followed:
        second = next(self._seconds)
        rule = PriorityRule(
            rule_id=rule_id,
            name=name,
            condition="True",
            priority_score=0.5,
            created_at=NOON,
            updated_at=NOON + timedelta(seconds=second),
            changed_by=by,
        )
        return self._message(second, rule_id, rule.model_dump_json().encode())

    def delete(self, rule_id: UUID = ONE) -> Followed:
        return self._message(next(self._seconds), rule_id, b"", {CHANGED_BY: "address:10.0.0.7"})

    def note(self) -> Followed:
        return Followed(next(self._sequence), "$KV.RULES.note", b"{}", NOON)

    def _message(self, second: int, rule_id: UUID, data: bytes, headers: Any = None) -> Followed:
        at = NOON + timedelta(seconds=second)
        return Followed(next(self._sequence), f"$KV.RULES.{rule_id}", data, at, headers or {})


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def started(lake: LakeOnDisk, *backlog: Followed) -> RuleTables:
    """Return the tables of an importer that has read a backlog."""
    tables = RuleTables()
    for message in backlog:
        tables.take(message)
    tables.caught_up()
    write(lake, tables)
    return tables


def write(lake: LakeOnDisk, tables: RuleTables, *messages: Followed) -> None:
    for message in messages:
        tables.take(message)
    with lake.lake.writing() as connection, transaction(connection):
        tables.take_changes()(connection)
    assert not tables.has_changes


def test_each_change_is_kept_with_the_rule_before_and_after_it(lake: LakeOnDisk, bucket: Bucket) -> None:
    tables = started(lake, bucket.put("a"), bucket.put("other", OTHER, None))
    write(lake, tables, bucket.put("b"), bucket.delete(OTHER))
    assert lake.rows(CURRENT) == [("b", 3)]
    assert lake.rows(CHANGES) == [
        ("1", 1, "changed", "key:ba7816bf"),
        ("2", 2, "changed", None),
        ("1", 3, "changed", "key:ba7816bf"),
        ("2", 4, "deleted", "address:10.0.0.7"),
    ]
    texts = lake.rows("SELECT old_rule, new_rule FROM priority_rule_changes ORDER BY revision")
    names = [[text and json.loads(text)["name"] for text in row] for row in texts]
    assert names == [[None, "a"], [None, "other"], ["a", "b"], ["other", None]]


def test_an_importer_that_starts_again_changes_nothing(lake: LakeOnDisk, bucket: Bucket) -> None:
    backlog = [bucket.put("a"), bucket.put("b"), bucket.put("c")]
    started(lake, *backlog)
    before = lake.rows(CURRENT), lake.rows(CHANGES)
    started(lake, *backlog[1:])  # the bucket has dropped the first revision since
    assert (lake.rows(CURRENT), lake.rows(CHANGES)) == before


def test_changes_outlive_a_bucket_that_is_created_again(lake: LakeOnDisk, bucket: Bucket) -> None:
    tables = started(lake, bucket.put("a"), bucket.put("other", OTHER))
    bucket.start_over()
    write(lake, tables, bucket.put("new"))
    assert lake.rows(CURRENT) == [("new", 1)]
    assert [row[:2] for row in lake.rows(CHANGES)] == [("1", 1), ("2", 2), ("1", 1)]


def test_rules_of_a_bucket_that_was_created_again_in_the_meantime_replace_all(
    lake: LakeOnDisk, bucket: Bucket
) -> None:
    started(lake, bucket.put("a"), bucket.put("other", OTHER))
    started(lake)
    assert (lake.rows(CURRENT), len(lake.rows(CHANGES))) == ([], 2)


def test_a_database_that_lost_its_rows_gets_those_of_the_bucket_again(
    lake: LakeOnDisk, bucket: Bucket
) -> None:
    tables = started(lake, bucket.put("a"), bucket.put("b"))
    before = lake.rows(CURRENT), lake.rows(CHANGES)
    with lake.lake.writing() as connection:
        connection.execute("DELETE FROM priority_rules")
        connection.execute("DELETE FROM priority_rule_changes")
    tables.write_again()
    write(lake, tables)
    assert (lake.rows(CURRENT), lake.rows(CHANGES)) == before


def test_no_change_is_lost_while_an_import_keeps_the_writer(lake: LakeOnDisk, bucket: Bucket) -> None:
    tables = started(lake)
    count = REVISIONS_KEPT + 5
    for number in range(count):
        tables.take(bucket.put(f"{number}"))
    tables.write_again()  # the database is lost before they are written
    write(lake, tables)
    assert lake.rows("SELECT count(*), count(old_rule) FROM priority_rule_changes") == [(count, count - 1)]


def test_what_is_no_rule_hides_no_other(lake: LakeOnDisk, bucket: Bucket) -> None:
    started(lake, bucket.put("a"), bucket.note(), bucket.put("b", OTHER))
    assert [name for name, _ in lake.rows(CURRENT)] == ["a", "b"]
