"""Signed URLs in commands: encrypted with the newest key, decrypted with any, clear errors without."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from shared.bus.envelope import Envelope, decode
from shared.bus.messages import FetchFile
from shared.errors import CannotStart
from shared.process.settings import load
from shared.sources.settings import SourceSettings
from shared.sources.url_encryption import UrlCipher, UrlKeysUnusable, UrlNotDecrypted
from tests.support.repository import GOLDEN, ROOT
from tests.support.values import BASE_URL, NOON, URL_KEY, a_fetch, a_job, url_of

QUERY = "sp=r&sig=s1gnature%2F"
URL = f"{BASE_URL}?{QUERY}"
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def cipher(*keys: str) -> UrlCipher:
    return UrlCipher(keys, Path("unused"))


def encrypted(key: str = OLD, url: str = URL) -> FetchFile:
    return cipher(key).encrypt(a_fetch(url=SecretStr(url)))


def test_a_command_on_the_bus_shows_where_the_file_is_and_not_the_query() -> None:
    sent = Envelope.seal(encrypted(), NOON).encode()
    assert b"s1gnature" not in sent
    read = decode("gex.x", sent).open("gex.x")
    assert isinstance(read, FetchFile)
    assert read.url.get_secret_value() == read.job.base_url == BASE_URL
    assert cipher(OLD).url_of(read) == URL


def test_the_same_url_is_another_text_each_time_and_has_the_same_digest() -> None:
    one, other = encrypted(), encrypted()
    assert one.encrypted_url != other.encrypted_url
    assert one.url_digest == other.url_digest == a_fetch(url=SecretStr(URL)).url_digest


@pytest.mark.parametrize("url", [BASE_URL, "file:///srv/gex/day.json", f"{BASE_URL}?"])
def test_a_url_without_a_query_is_no_secret_and_needs_no_key(url: str, tmp_path: Path) -> None:
    command = a_fetch(url=SecretStr(url))
    assert UrlCipher((), tmp_path / "missing").encrypt(command) == command


def test_an_encrypted_command_that_is_replayed_needs_no_key(tmp_path: Path) -> None:
    command = encrypted()
    assert UrlCipher((), tmp_path / "missing").encrypt(command) == command


def test_a_plain_command_of_an_older_version_is_read_without_a_key(tmp_path: Path) -> None:
    assert UrlCipher((), tmp_path / "missing").url_of(a_fetch(url=SecretStr(URL))) == URL


def test_the_golden_command_is_decrypted() -> None:
    golden = json.loads((GOLDEN / "v1" / "gex.job.v1.fetch.encrypted.json").read_text())
    assert url_of(FetchFile.model_validate(golden["payload"])) == URL


def test_after_a_rotation_the_new_key_encrypts_and_the_old_one_still_decrypts() -> None:
    rotated = cipher(NEW, OLD)
    assert rotated.url_of(encrypted(OLD)) == URL
    command = rotated.encrypt(a_fetch(url=SecretStr(URL)))
    assert cipher(NEW).url_of(command) == URL
    with pytest.raises(UrlNotDecrypted):
        cipher(OLD).url_of(command)


@pytest.mark.parametrize(
    "token",
    [encrypted(NEW).encrypted_url, f"{encrypted().encrypted_url}"[:-8], "", "Ω"],
    ids=["of another key", "cut", "empty", "not ASCII"],
)
def test_a_url_that_no_key_decrypts_names_the_setting_and_what_to_do(token: str) -> None:
    command = encrypted().model_copy(update={"encrypted_url": token})
    with pytest.raises(UrlNotDecrypted, match=r"GEXLAKE_URL_KEYS.* replay the job") as refused:
        cipher(OLD).url_of(command)
    assert "s1gnature" not in str(refused.value)


def test_an_encrypted_url_is_of_use_for_its_own_file_only() -> None:
    """Whoever can publish commands cannot have a signature sent to a place of their choice."""
    moved = encrypted().model_copy(update={"url": SecretStr("https://hist.gex.bot/other.json")})
    with pytest.raises(UrlNotDecrypted):
        cipher(OLD).url_of(moved)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file"), ("", "there is no key"), (f"{OLD}\nsh0rt-secret\n", "as key 2")],
    ids=["missing", "empty", "malformed"],
)
def test_unusable_keys_are_named_and_not_shown(content: str | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    for use in (
        lambda: UrlCipher((), file).encrypt(a_fetch(url=SecretStr(URL))),
        lambda: UrlCipher((), file).url_of(encrypted()),
    ):
        with pytest.raises(UrlKeysUnusable, match=f"{file}.*{problem}.*GEXLAKE_URL_KEYS") as refused:
            use()
        assert "sh0rt-secret" not in str(refused.value)


def test_a_malformed_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEXLAKE_URL_KEYS", f"{URL_KEY},sh0rt-secret")
    with pytest.raises(CannotStart, match=r"GEXLAKE_URL_KEYS.* as key 2") as refused:
        load(SourceSettings)
    assert "sh0rt-secret" not in str(refused.value)


def url_keys(*words: object) -> None:
    subprocess.run([ROOT / "deploy" / "url-keys", *map(str, words)], check=True, timeout=10)


def test_the_script_creates_and_rotates_keys_that_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GEXLAKE_URL_KEYS")
    settings = load(SourceSettings, secrets_dir=tmp_path)
    file = tmp_path / "urls" / "keys"
    url_keys("create", file)
    assert file.stat().st_mode & 0o077 == 0
    first = settings.url_cipher.encrypt(a_fetch(a_job(), url=SecretStr(URL)))
    (old,) = file.read_text().split()
    url_keys("create", file)
    assert file.read_text().split() == [old]
    url_keys("rotate", file)
    new, kept = file.read_text().split()
    assert kept == old
    assert settings.url_cipher.url_of(first) == URL
    second = settings.url_cipher.encrypt(a_fetch(a_job(), url=SecretStr(URL)))
    assert cipher(new).url_of(second) == URL
