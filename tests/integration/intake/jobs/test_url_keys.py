"""Signed URLs in JOBS and DEAD: encrypted by intake, also when an older, plain command is replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from pydantic import SecretStr

from gexlake.api import services
from gexlake.api.jobs import Stage
from services.intake.settings import IntakeSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer import dead_letters
from shared.bus.messages import FetchFile
from shared.errors import Terminal
from shared.sources.url_encryption import UrlCipher
from tests.support.intake.running import DAY_URL, SIGNED_URL, messages_in, payload_at, running_intake
from tests.support.values import URL_KEY, a_fetch, url_of


@pytest.fixture
def settings_without_keys(nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeSettings:
    monkeypatch.delenv("GEXLAKE_URL_KEYS")
    return IntakeSettings(nats_url=nats_url, data_dir=tmp_path, ack_wait_s=5)


async def dead_letter_of(bus: Bus, command: FetchFile) -> int:
    await bus.publish_command(command)
    pulled = await bus.js.pull_subscribe_bind(
        subjects.durable(Stage.FETCH, command.job.priority), subjects.JOBS
    )
    (message,) = await pulled.fetch(1)
    return (await dead_letters.publish(bus, message, Terminal("no such file"))).seq


async def replay(bus: Bus, dead_letter: int) -> Msg:
    request = json.dumps({"dead_letter": dead_letter}).encode()
    return await bus.client.request(services.REPLAY.subject, request, timeout=10)


async def replayed(bus: Bus, dead_letter: int) -> FetchFile:
    answer = json.loads((await replay(bus, dead_letter)).data)
    command = await payload_at(bus, subjects.JOBS, answer["command_seq"])
    assert isinstance(command, FetchFile)
    return command


async def test_without_keys_nothing_is_stored_and_a_retry_with_keys_is_one_job(
    bus: Bus, settings_without_keys: IntakeSettings, tmp_path: Path
) -> None:
    file = tmp_path / "secrets" / "urls" / "keys"
    async with running_intake(settings_without_keys) as intake:
        refused = await intake.post({"url": SIGNED_URL})
        error = refused.json()["error"]
        assert (refused.status_code, error["rule"]) == (503, "url_keys")
        assert str(file) in error["message"]
        assert "GEXLAKE_URL_KEYS" in error["message"]
        assert await messages_in(bus, subjects.JOBS) == 0
        reasons = (await intake.get("/ready", 503))["reasons"]
        assert "the keys of signed URLs are unusable (GEXLAKE_URL_KEYS)" in reasons
        file.parent.mkdir(parents=True)
        file.write_text(URL_KEY)
        assert (await intake.queue(url=SIGNED_URL))["generation"] == 1
    assert await messages_in(bus, subjects.JOBS) == 1


async def test_an_encrypted_dead_letter_is_replayed_as_it_is_without_any_key(
    bus: Bus, settings_without_keys: IntakeSettings
) -> None:
    command = UrlCipher((URL_KEY,), Path()).encrypt(a_fetch(url=SecretStr(SIGNED_URL)))
    letter = await dead_letter_of(bus, command)
    async with running_intake(settings_without_keys):
        again = await replayed(bus, letter)
    assert again.encrypted_url == command.encrypted_url


async def test_a_plain_command_of_an_older_version_is_encrypted_when_it_is_replayed(
    bus: Bus, nats_url: str
) -> None:
    letter = await dead_letter_of(bus, a_fetch(url=SecretStr(SIGNED_URL)))
    async with running_intake(IntakeSettings(nats_url=nats_url, ack_wait_s=5)):
        again = await replayed(bus, letter)
    assert (again.url.get_secret_value(), url_of(again)) == (DAY_URL, SIGNED_URL)


async def test_a_plain_command_is_not_replayed_without_keys(
    bus: Bus, settings_without_keys: IntakeSettings
) -> None:
    letter = await dead_letter_of(bus, a_fetch(url=SecretStr(SIGNED_URL)))
    async with running_intake(settings_without_keys):
        refused = (await replay(bus, letter)).headers or {}
    assert refused["Nats-Service-Error-Code"] == "503"
    assert "GEXLAKE_URL_KEYS" in refused["Nats-Service-Error"]
    assert await messages_in(bus, subjects.JOBS) == 1
