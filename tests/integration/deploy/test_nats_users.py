"""The broker as deployed: passwords made at the first start, and users that may do what they need."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import nats
import pytest
import trustme
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import SecretStr

from gexlake.api import services
from gexlake.api.jobs import Stage
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus, connected
from shared.bus.credentials import password_file
from shared.bus.follower import follow
from shared.bus.messages import JobStarted
from shared.errors import SequenceChanged
from shared.process.settings import Settings
from shared.sources.record import SourceRecord
from shared.sources.record_store import SourceRecords
from simulator.nats_server import NatsServer
from tests.support.intake.running import running_intake
from tests.support.poll import eventually
from tests.support.values import a_job

USERS: Final = ("intake", "fetcher", "importer", "janitor", "operator")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


@pytest.fixture
def server(tmp_path: Path, secrets: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats", secrets=secrets)
    server.start()
    yield server
    server.kill()


def test_passwords_are_made_once_and_for_their_owner_only(server: NatsServer, secrets: Path) -> None:
    files = [password_file(secrets, user) for user in USERS]
    made = [file.read_text() for file in files]
    assert len(set(made)) == len(USERS)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    server.kill()
    server.start()
    assert [file.read_text() for file in files] == made


async def response_to(server: NatsServer, **identity: str) -> bytes:
    """Return the broker's first response to a client that identifies itself with ``identity``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    writer.write(f"CONNECT {json.dumps({'verbose': False, **identity})}\r\nPING\r\n".encode())
    response = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return response


async def test_a_client_without_a_password_cannot_connect(server: NatsServer, secrets: Path) -> None:
    right = password_file(secrets, "operator").read_text().strip()
    violation = b"-ERR 'Authorization Violation'\r\n"
    assert await response_to(server) == violation
    assert await response_to(server, user="operator", **{"pass": "operator"}) == violation
    assert await response_to(server, user="operator", **{"pass": right}) == b"PONG\r\n"


async def client_of(server: NatsServer, secrets: Path, user: str, errors: list[str]) -> Client:
    async def note(error: Exception) -> None:
        errors.append(str(error))

    password = password_file(secrets, user).read_text().strip()
    return await nats.connect(
        server.url, user=user, password=password, inbox_prefix=f"_INBOX_{user}", error_cb=note
    )


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("fetcher", "gex.job.fetch.high.SPX"),
        ("importer", "gex.job.import.high.SPX"),
        ("fetcher", "gex.svc.lake.sql"),
        ("janitor", "gex.job.fetch.high.SPX"),
        ("importer", "$JS.API.STREAM.PURGE.JOBS"),
        ("intake", "$JS.API.STREAM.DELETE.EVENTS"),
        ("fetcher", "gex.heartbeat.importer"),
        ("fetcher", "$KV.RULES.0"),
    ],
)
async def test_a_service_cannot_publish_what_is_not_its_own(
    server: NatsServer, secrets: Path, user: str, subject: str
) -> None:
    errors: list[str] = []
    client = await client_of(server, secrets, user, errors)
    await client.publish(subject, b"{}")
    await eventually(lambda: errors, what="the refusal")
    await client.close()
    assert [subject.lower() in error for error in errors] == [True]


async def test_a_service_publishes_an_event_if_the_last_one_is_still_the_last(
    server: NatsServer, secrets: Path, tmp_path: Path
) -> None:
    settings = Settings(nats_url=server.url, data_dir=tmp_path / "data", secrets_dir=secrets)
    every = subjects.events_of(a_job().job_id)
    for start, user in enumerate(("intake", "fetcher", "importer"), 1):
        own = settings.model_copy(update={"nats_user": user})
        async with connected(own, user) as bus:
            last = await bus.read_last(every)
            event = JobStarted(job=a_job(), stage=Stage.FETCH, start=start)
            assert (await bus.publish_event(event, last=last)).seq == start
            with pytest.raises(SequenceChanged):
                await bus.publish_event(event, last=last)


@pytest.mark.parametrize(
    ("user", "subject"),
    [("fetcher", "gex.svc.lake.sql"), ("janitor", "_INBOX_intake.>"), ("importer", ">")],
)
async def test_a_service_cannot_subscribe_to_what_is_not_its_own(
    server: NatsServer, secrets: Path, user: str, subject: str
) -> None:
    errors: list[str] = []
    client = await client_of(server, secrets, user, errors)
    await client.subscribe(subject, queue="q")
    await eventually(lambda: errors, what="the refusal")
    await client.close()
    assert [subject.lower() in error for error in errors] == [True]


async def test_the_janitor_may_have_the_importer_archive_jobs(server: NatsServer, secrets: Path) -> None:
    importer, janitor = [await client_of(server, secrets, user, []) for user in ("importer", "janitor")]

    async def respond(request: Msg) -> None:
        await request.respond(request.data)

    await importer.subscribe(services.ARCHIVE_JOBS.subject, cb=respond)
    await importer.flush()
    assert (await janitor.request(services.ARCHIVE_JOBS.subject, b"{}", timeout=10)).data == b"{}"
    await importer.close()
    await janitor.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_service_connects_once_its_password_is_right(
    server: NatsServer,
    secrets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = password_file(secrets, "fetcher")
    right = file.read_text()
    file.write_text("wrong")
    settings = Settings(nats_url=server.url, data_dir=tmp_path / "data", secrets_dir=secrets)
    connecting = asyncio.create_task(Bus.connect(settings, "fetcher"))
    printed = ""

    def seen() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        # A test before this one may have configured the logger, which then stays as it is.
        return "broker_refused" in printed + caplog.text

    await eventually(seen, what="the refusal in the log")
    file.write_text(right)
    bus = await asyncio.wait_for(connecting, 10)
    await bus.close()
    gc.collect()  # nats-py leaves the sockets of refused connections to the garbage collector


async def test_connections_are_encrypted_with_a_certificate(
    tmp_path: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    certificate.cert_chain_pems[0].write_to_path(str(files["cert"]))
    certificate.private_key_pem.write_to_path(str(files["key"]))
    monkeypatch.setenv("GEXLAKE_NATS_TLS_CERT", str(files["cert"]))
    monkeypatch.setenv("GEXLAKE_NATS_TLS_KEY", str(files["key"]))
    server = NatsServer(tmp_path / "nats", secrets=secrets)
    server.start()
    try:
        settings = Settings(
            nats_url=f"tls://127.0.0.1:{server.port}", secrets_dir=secrets, nats_ca_file=files["ca"]
        )
        bus = await asyncio.wait_for(Bus.connect(settings, "janitor"), 10)
        assert await bus.client.rtt() > 0
        await bus.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await nats.connect(server.operator_url, allow_reconnect=False, max_reconnect_attempts=0)
    finally:
        server.kill()


@pytest.mark.parametrize("stream", [subjects.bucket_stream(subjects.RULES), subjects.SOURCES])
async def test_the_importer_may_follow_rules_and_sources(
    server: NatsServer, secrets: Path, tmp_path: Path, stream: str
) -> None:
    settings = Settings(nats_url=server.url, data_dir=tmp_path / "data", secrets_dir=secrets)
    async with connected(settings, "importer") as bus, asyncio.timeout(10):
        filters = {subjects.SOURCES: subjects.ALL_SOURCES}
        async for message in follow(bus, stream, filters.get(stream, subjects.ALL_RULES)):
            if message.data is None:
                password = password_file(secrets, "operator").read_text().strip()
                operator = await nats.connect(server.url, user="operator", password=password)
                prefix = "gex.source" if stream == subjects.SOURCES else "$KV.RULES"
                await operator.jetstream().publish(f"{prefix}.x", b"{}")
                await operator.close()
            else:
                assert message.data == b"{}"
                break


async def test_intake_may_keep_rules_and_sources(server: NatsServer, secrets: Path) -> None:
    settings = IntakeSettings(
        nats_url=server.url,
        nats_user="intake",
        nats_password=SecretStr(password_file(secrets, "intake").read_text().strip()),
    )
    new = {"name": "Desk", "condition": "True", "priority_score": 0.9}

    async with running_intake(settings) as intake:

        async def count() -> bool:
            answer = await intake.http.get("/api/v1/rules")
            return answer.status_code == 200 and answer.json()["total_count"] > 0

        await eventually(count)
        created = await intake.http.post("/api/v1/rules", json=new)
        records = SourceRecords(intake.context.link.require())
        assert await records.write(SourceRecord(base_url="https://a.test"), 0)
        deleted = await intake.http.delete(f"/api/v1/rules/{created.json()['rule_id']}")
    assert (created.status_code, deleted.status_code) == (201, 204)
