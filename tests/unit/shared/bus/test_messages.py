"""The messages on the bus, against the golden JSON of every type (never edited once released)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gexlake.api.jobs import Priority, Stage
from shared.bus import messages, subjects
from shared.bus.envelope import COMMANDS, PAYLOADS, Envelope, decode, decode_event
from shared.bus.messages import (
    FetchFile,
    FileStaged,
    ImportFile,
    JobCancelled,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobStarted,
    NoData,
    PartitionImported,
    Payload,
    RowsPublished,
    digest_of,
    job_id_of,
)
from shared.bus.requests import Override
from shared.bus.subjects import EventType
from shared.errors import MalformedMessage
from tests.support.repository import GOLDEN
from tests.support.values import BASE_URL, NOON, REQUEST_ID, a_fetch, a_job, a_request, a_skip, an_import

MESSAGES = GOLDEN / "v1"
SECRET = "sp=r&sig=s1gnature%2F"
ENCRYPTED = (
    "gAAAAABpF5mCAAECAwQFBgcICQoLDA0OD-akBgk3mWTZELHU1ALMBgWZ2f2b2x5d7QhbDXBnxo4CzK_A_6roe30FvGseugDKOWmP"
    "y4EgguZesUXe9Jch0jyneT4vvuKgxlceMTwBkIWr8IMxBq3akx1MFAnle3RwBPKj0Q7PIwoaY71eeF8G6f5eyBlkrWSaZZ_BgKnT"
    "Fu11"
)
"""The same URL, encrypted with the key of the tests."""
MESSAGE_ID = UUID("6f1c6a5e-3f0e-4c39-9d5c-0f6f0f3b1f10")
OCCURRED = datetime(2025, 11, 14, 21, 5, 6, 789000, tzinfo=UTC)
JOB = a_job(generation=3, priority=Priority.HIGH)
REQUEST = a_request(
    metadata={"volume": 61_000, "desk": "vol"},
    overrides=(
        Override(
            priority_level=Priority.HIGH,
            priority_score=0.75,
            reason="the desk waits",
            by="address:::1",
            at=NOON,
        ),
    ),
)
REQUESTED = JOB.model_copy(
    update={"request_id": REQUEST_ID, "priority_score": 0.75, "deadline": NOON + timedelta(minutes=5)}
)
OLD, NEW, URL_HASH = "a" * 64, "b" * 64, "c" * 64
STAGED = "NQ_NDX/gex_zero/2025-11-14_NQ_NDX_classic_gex_zero.json"

VALUES: dict[str, Payload] = {
    "gex.job.v1.fetch": FetchFile(
        job=JOB, url=SecretStr(f"{BASE_URL}?{SECRET}"), force=True, reason="the vendor corrected the day"
    ),
    "gex.job.v1.fetch.encrypted": FetchFile(
        job=JOB,
        url=SecretStr(BASE_URL),
        force=True,
        reason="the vendor corrected the day",
        encrypted_url=ENCRYPTED,
        url_sha256=digest_of(f"{BASE_URL}?{SECRET}"),
    ),
    "gex.job.v1.fetch.posted": FetchFile(job=JOB, url=SecretStr(BASE_URL), body_seq=7, body_sha256=NEW),
    "gex.job.v1.fetch.requested": FetchFile(job=REQUESTED, url=SecretStr(BASE_URL), request=REQUEST),
    "gex.job.v1.import": ImportFile(
        job=JOB, staged_path=STAGED, size_bytes=147_000_001, sha256=NEW, modified_ns=1_763_154_306_789_000_123
    ),
    "gex.event.v1.requested": JobRequested(
        job=a_job(generation=3, trading_day=None), command_seq=41, url_sha256=URL_HASH
    ),
    "gex.event.v1.requested.priority": JobRequested(
        job=REQUESTED, command_seq=41, url_sha256=URL_HASH, request=REQUEST
    ),
    "gex.event.v1.cancelled": JobCancelled(job=REQUESTED, reason="a wrong day", by="address:127.0.0.1"),
    "gex.event.v1.started": JobStarted(job=JOB, stage=Stage.FETCH, start=2),
    "gex.event.v1.staged": FileStaged(
        job=JOB, staged_path=STAGED, size_bytes=147_000_001, sha256=NEW, command_seq=42
    ),
    "gex.event.v1.imported": PartitionImported(
        job=JOB,
        trading_day=date(2025, 11, 14),
        sha256=NEW,
        snapshots=23_400,
        strike_rows=2_340_000,
        parquet_path="NQ_NDX/gex_zero/20251114.strikes.parquet",
        parquet_bytes=15_000_000,
        parquet_sha256="d" * 64,
        replaced_sha256=OLD,
    ),
    "gex.event.v1.skipped": a_skip(JOB, sha256=NEW, snapshots=23_400, strike_rows=2_340_000, own_import=True),
    "gex.event.v1.no_data": NoData(
        job=JOB, reason="https://api.gex.bot has no data for NQ_NDX gex_zero 2025-11-14"
    ),
    "gex.event.v1.published": RowsPublished(job=JOB, counts={"bars": 17_412}),
    "gex.event.v1.failed": JobFailed(
        job=JOB,
        stage=Stage.IMPORT,
        failures=1,
        final=True,
        error="record 3: timestamp is null",
        field="timestamp",
        dead_letter_seq=7,
    ),
    "gex.event.v1.replayed": JobReplayed(
        job=JOB, stage=Stage.FETCH, replay_of="DEAD:7", command_seq=43, url_sha256=URL_HASH
    ),
}
every_type = pytest.mark.parametrize("kind", sorted(VALUES))


def type_of(kind: str) -> str:
    """Return the type of a golden message; a suffix tells two of one type apart."""
    return ".".join(kind.split(".")[:4])


def golden(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((MESSAGES / f"{kind}.json").read_text())
    return content


def sealed(payload: Payload) -> Envelope:
    return Envelope.seal(payload, OCCURRED, MESSAGE_ID)


def read(content: dict[str, Any], subject: str = "gex.any") -> Payload:
    return decode(subject, json.dumps(content).encode()).open(subject)


def test_every_message_type_has_a_golden_file_and_none_is_left_over() -> None:
    files = {
        path.stem for path in MESSAGES.glob("*.json") if not path.stem.startswith(("gex.feed.", "chronox."))
    }
    assert files == set(VALUES)
    assert {type_of(kind) for kind in VALUES} == set(PAYLOADS)


def test_every_payload_class_is_known_by_its_type() -> None:
    concrete = {cls for cls in vars(messages).values() if isinstance(cls, type) and issubclass(cls, Payload)}
    assert set(PAYLOADS.values()) == {cls for cls in concrete if "TYPE" in vars(cls)}
    assert all(kind == cls.TYPE for kind, cls in PAYLOADS.items())


@every_type
def test_a_golden_message_reads_as_its_value(kind: str) -> None:
    envelope = decode("gex.any", json.dumps(golden(kind)).encode())
    assert envelope == sealed(VALUES[kind])
    assert envelope.open("gex.any") == VALUES[kind]


@every_type
def test_a_value_is_written_as_its_golden_message(kind: str) -> None:
    assert json.loads(sealed(VALUES[kind]).encode()) == golden(kind)


@every_type
def test_fields_that_this_version_does_not_know_are_ignored(kind: str) -> None:
    content = golden(kind)
    content["later"] = content["payload"]["later"] = content["payload"]["job"]["later"] = {"any": 1}
    assert read(content) == VALUES[kind]


@every_type
def test_a_missing_required_field_is_named_without_the_url(kind: str) -> None:
    required = [name for name, field in PAYLOADS[type_of(kind)].model_fields.items() if field.is_required()]
    assert "job" in required
    for name in required:
        content = golden(kind)
        del content["payload"][name]
        with pytest.raises(MalformedMessage, match=f"cannot be read: {name}: ") as problem:
            read(content)
        assert SECRET not in str(problem.value)


@every_type
def test_an_optional_field_may_be_missing(kind: str) -> None:
    content = golden(kind)
    for name, field in PAYLOADS[type_of(kind)].model_fields.items():
        if not field.is_required():
            content["payload"].pop(name, None)
    assert read(content).job == VALUES[kind].job


@pytest.mark.parametrize("kind", ["gex.event.v1.requested", "gex.event.v1.replayed"])
def test_request_events_carry_force_and_its_reason_only_when_set(kind: str) -> None:
    forced = VALUES[kind].model_copy(update={"force": True, "reason": "the vendor corrected the day"})
    content = json.loads(sealed(forced).encode())
    fields = {"force": True, "reason": "the vendor corrected the day"}
    assert content["payload"] == {**golden(kind)["payload"], **fields}
    assert read(content) == forced


def test_a_field_of_the_wrong_type_is_named_without_the_url() -> None:
    content = golden("gex.job.v1.fetch")
    content["payload"]["job"]["generation"] = f"https://h/f?{SECRET}"
    with pytest.raises(MalformedMessage, match=r"job\.generation") as problem:
        read(content)
    assert SECRET not in str(problem.value)


@pytest.mark.parametrize("data", [b"", b"not json", b"[]", b"{}", b"\xff", b'{"type": "gex.job.v1.fetch"}'])
def test_bytes_that_are_not_an_envelope_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"^the message on gex\.x cannot be read: "):
        decode("gex.x", data)


def test_a_type_of_another_version_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match=r"type 'gex\.job\.v2\.fetch' is unknown to this version"):
        read({**golden("gex.job.v1.fetch"), "type": "gex.job.v2.fetch"})


def test_an_event_is_decoded_with_the_time_at_which_it_occurred() -> None:
    event = VALUES["gex.event.v1.started"]
    assert decode_event(event.subject, sealed(event).encode()) == (event, OCCURRED)


@pytest.mark.parametrize("data", [b"not json", sealed(a_fetch()).encode()])
def test_a_message_that_is_not_an_event_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_event("gex.event.job.x.y", data)


def test_a_plain_url_is_plain_on_the_bus_and_hidden_in_python() -> None:
    fetch = VALUES["gex.job.v1.fetch"]
    assert isinstance(fetch, FetchFile)
    assert SECRET.encode() in sealed(fetch).encode()
    for shown in (repr(fetch), str(fetch), f"{fetch.url}", repr(fetch.model_dump())):
        assert "s1gnature" not in shown
    assert fetch.url.get_secret_value() == f"{BASE_URL}?{SECRET}"


@every_type
def test_only_the_plain_fetch_command_of_older_versions_carries_the_signed_url(kind: str) -> None:
    assert ("sig=" in json.dumps(golden(kind))) == (kind == "gex.job.v1.fetch")


@every_type
def test_the_subject_is_that_of_the_message(kind: str) -> None:
    payload = VALUES[kind]
    wanted = {
        "gex.job.v1.fetch": "gex.job.fetch.high.NQ_NDX",
        "gex.job.v1.import": "gex.job.import.high.NQ_NDX",
    }.get(type_of(kind), f"gex.event.job.{type_of(kind).rpartition('.')[2]}.{payload.job.job_id}")
    assert payload.subject == wanted


def test_every_event_type_has_an_event() -> None:
    types = {payload.EVENT_TYPE for payload in PAYLOADS.values() if issubclass(payload, messages.Event)}
    assert types == set(EventType)
    assert {command.STAGE for command in COMMANDS.values()} == set(Stage)


def test_message_ids_distinguish_generations_stages_and_attempts() -> None:
    generations = [a_job(generation=number) for number in (1, 2)]
    ids = [
        payload.msg_id
        for job in generations
        for payload in (
            a_fetch(job),
            an_import(job),
            JobRequested(job=job, command_seq=1, url_sha256=URL_HASH),
            *(JobStarted(job=job, stage=stage, start=start) for stage in Stage for start in (1, 2)),
            *(
                JobFailed(job=job, stage=stage, failures=failures, waits=waits, final=False, error="x")
                for stage in Stage
                for failures in (1, 2)
                for waits in (0, 1, 2)
            ),
        )
    ]
    assert len(set(ids)) == len(ids)
    assert a_fetch(generations[0]).msg_id == f"{generations[0].job_id}:1"


def test_a_job_is_the_ticker_the_endpoint_and_the_url_without_its_query() -> None:
    same = job_id_of("NQ_NDX", "gex_zero", BASE_URL)
    assert str(same) == "0a070f0c-f52a-566a-954e-0bb50a310049"
    assert same == job_id_of("NQ_NDX", "gex_zero", BASE_URL)
    others = {
        job_id_of("SPX", "gex_zero", BASE_URL),
        job_id_of("NQ_NDX", "gex_one", BASE_URL),
        job_id_of("NQ_NDX", "gex_zero", f"{BASE_URL}.gz"),
    }
    assert len(others - {same}) == 3


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ((1, 0), (2, 1), True),
        ((2, 1), (1, 0), False),
        ((1, 0), (1, 0), False),
        ((1, 0), (1, 1), False),  # the same generation, requested twice before its event was published
        ((1, 1), (2, 0), True),  # two clocks disagree: the counter decides
        ((2, 0), (1, 1), False),
        ((5, 0), (1, 24 * 40), True),  # EVENTS has forgotten the job: the counter started again
        ((1, 24 * 40), (5, 0), False),
        ((1, 0), (1, 24 * 40), True),
    ],
)
def test_which_request_is_the_older_one(
    one: tuple[int, float], other: tuple[int, float], older: bool
) -> None:
    jobs = [
        a_job(generation=generation, requested_at=OCCURRED + timedelta(hours=hours))
        for generation, hours in (one, other)
    ]
    assert jobs[0].is_older_than(jobs[1]) == older


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 90)), min_size=2, max_size=2))
def test_of_two_requests_at_most_one_is_older(pair: list[tuple[int, int]]) -> None:
    one, other = (
        a_job(generation=number, requested_at=OCCURRED + timedelta(days=days)) for number, days in pair
    )
    assert not (one.is_older_than(other) and other.is_older_than(one))
    assert one.is_older_than(other) or other.is_older_than(one) or one.generation == other.generation


def test_subjects_of_events_match_the_streams_filter() -> None:
    assert all(
        payload.subject.startswith(subjects.ALL_EVENTS.removesuffix(">"))
        for payload in VALUES.values()
        if isinstance(payload, messages.Event)
    )
