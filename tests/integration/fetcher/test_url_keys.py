"""Encrypted URLs in the fetcher: decrypted for the download; a missing or wrong key costs no job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from services.fetcher.settings import FetcherSettings
from shared.bus import subjects
from shared.bus.connection import Bus
from shared.bus.consumer import dead_letters
from shared.bus.messages import FetchFile, FileStaged, Job, JobFailed
from shared.sources.url_encryption import UrlCipher
from simulator.vendor import Vendor
from tests.support.fetcher.fetching import fetching
from tests.support.poll import eventually
from tests.support.values import URL_KEY, a_fetch, a_job

NAME = "2025-11-14_NQ_NDX_classic_gex_zero.json"
QUERY = "sig=secret-signature"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / NAME).write_bytes(b"[{}]")
    with Vendor(folder) as vendor:
        yield vendor


@pytest.fixture
def command(vendor: Vendor) -> FetchFile:
    job = a_job(base_url=vendor.url_of(NAME, query=""))
    return UrlCipher((URL_KEY,), Path()).encrypt(a_fetch(job, url=SecretStr(vendor.url_of(NAME, QUERY))))


@pytest.fixture
def settings(
    nats_url: str, tmp_path: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> FetcherSettings:
    monkeypatch.delenv("GEXLAKE_URL_KEYS")
    return FetcherSettings(
        nats_url=nats_url,
        data_dir=tmp_path / "data",
        retry_delay_s=0.05,
        allowed_sources=(vendor.base_url,),
    )


def write_keys(settings: FetcherSettings, *keys: str) -> None:
    file = settings.secrets / "urls" / "keys"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(keys))


async def failure(bus: Bus, job: Job, *, final: bool) -> JobFailed:
    async def failed() -> JobFailed | None:
        last = await bus.last_event(JobFailed, job.job_id)
        return last if last is not None and last.final == final else None

    return await eventually(failed, what="the failure")


async def staged(bus: Bus, job: Job) -> FileStaged:
    return await eventually(lambda: bus.last_event(FileStaged, job.job_id), what="the file is staged")


async def test_without_keys_a_job_waits_and_uses_no_attempt(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, command: FetchFile
) -> None:
    async with fetching(bus, settings):
        await bus.publish_command(command)
        waiting = await failure(bus, command.job, final=False)
        assert (waiting.failures, "GEXLAKE_URL_KEYS" in waiting.error) == (0, True)
        write_keys(settings, URL_KEY)
        await staged(bus, command.job)
    (request,) = vendor.requests.seen
    assert request.has_query


async def test_with_a_wrong_key_the_dead_letter_is_as_good_as_new_once_the_key_is_right(
    bus: Bus, settings: FetcherSettings, vendor: Vendor, command: FetchFile
) -> None:
    write_keys(settings, Fernet.generate_key().decode())
    async with fetching(bus, settings):
        await bus.publish_command(command)
        failed = await failure(bus, command.job, final=True)
        assert failed.error.endswith("and replay the job, or post the URL again")
        assert vendor.requests.seen == []
        letter = await bus.js.get_msg(subjects.DEAD, seq=failed.dead_letter_seq)
        assert (letter.headers or {})[dead_letters.ERROR] == "UrlNotDecrypted"
        assert QUERY not in f"{letter.headers} {letter.data!r} {failed!r}"
        write_keys(settings, Fernet.generate_key().decode(), URL_KEY)
        job = command.job.model_copy(update={"generation": 2})
        await bus.publish_command(command.model_copy(update={"job": job}))
        assert (await staged(bus, command.job)).job.generation == 2
