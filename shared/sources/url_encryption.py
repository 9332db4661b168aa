"""Encrypt the URLs of fetch commands, whose queries are secrets, with the keys of the deployment.

JOBS keeps commands for weeks and DEAD for months, so that jobs can be replayed. Intake encrypts the URL when
it publishes a command, the fetcher decrypts it in memory: docs/adr/0038.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from shared.bus.messages import FetchFile, digest_of
from shared.errors import Deferred, Terminal

SETTING: Final = "GEXLAKE_URL_KEYS"


class UrlKeysUnusable(Deferred):
    """The keys of the deployment are missing or malformed; work can go on once they are there.

    Args:
        place: the file or the setting that should hold them.
        problem: what is wrong with it.
    """

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(
            f"the keys of signed URLs in {place} are unusable: {problem}: "
            f"restore the file, create it with deploy/url-keys, or set {SETTING}"
        )


class UrlNotDecrypted(Terminal):
    """The URL of a command was encrypted with another key, or was changed since.

    Args:
        place: where the keys come from.
    """

    field = "url"

    def __init__(self, place: str) -> None:
        super().__init__(
            f"none of the keys in {place} decrypts the job's URL: add the key of the deployment that queued "
            f"it ({SETTING}) and replay the job, or post the URL again"
        )


def parse_keys(keys: tuple[str, ...]) -> MultiFernet:
    """Return the cipher of keys, the newest first: it encrypts, and each of them decrypts.

    Raises:
        ValueError: there is none, or one is not a key; the message does not repeat it.
    """
    if not keys:
        raise ValueError("there is no key")
    ciphers = []
    for number, key in enumerate(keys, 1):
        try:
            ciphers.append(Fernet(key))
        except ValueError:
            raise ValueError(
                f"expected 32 bytes in base64 (with - and _), got something else as key {number}"
            ) from None
    return MultiFernet(ciphers)


class UrlCipher:
    """Encrypts and decrypts the URLs of commands.

    Args:
        keys: the keys, the newest first.
        file: a file with one key a line, which is read for each URL if ``keys`` is empty: services start
            while the file is being created, and a new key needs no restart.
    """

    def __init__(self, keys: tuple[str, ...], file: Path) -> None:
        self._keys = keys
        self._file = file

    @property
    def is_usable(self) -> bool:
        """Whether the keys can be read now."""
        try:
            self._cipher()
        except UrlKeysUnusable:
            return False
        return True

    def encrypt(self, command: FetchFile) -> FetchFile:
        """Return the command with its URL encrypted; a URL without a query is no secret and stays plain.

        Raises:
            UrlKeysUnusable: the keys cannot be read.
        """
        url = command.url.get_secret_value()
        base_url, _, query = url.partition("?")
        if not query:
            return command
        changes = {
            "url": SecretStr(base_url),
            "encrypted_url": self._cipher().encrypt(url.encode()).decode(),
            "url_sha256": digest_of(url),
        }
        return command.model_copy(update=changes)

    def url_of(self, command: FetchFile) -> str:
        """Return the whole URL of a command, which may be encrypted or plain.

        Raises:
            UrlKeysUnusable: the keys cannot be read.
            UrlNotDecrypted: no key decrypts it, or it belongs to a command for another file.
        """
        shown = command.url.get_secret_value()
        if command.encrypted_url is None:
            return shown
        try:
            url = self._cipher().decrypt(command.encrypted_url.encode()).decode()
        except InvalidToken as error:
            raise UrlNotDecrypted(self._place) from error
        if url.partition("?")[0] != shown:
            raise UrlNotDecrypted(self._place)
        return url

    @property
    def _place(self) -> str:
        return SETTING if self._keys else str(self._file)

    def _cipher(self) -> MultiFernet:
        try:
            return parse_keys(self._keys or tuple(self._file.read_text().split()))
        except OSError as error:
            raise UrlKeysUnusable(self._place, error.strerror or str(error)) from error
        except ValueError as error:
            raise UrlKeysUnusable(self._place, str(error)) from error
