"""What a connection to the broker identifies itself with: user, password, inbox and certificate authority."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from shared.errors import CannotStart
from shared.process.settings import Settings

PASSWORD_FILE: Final = "nats-password"  # noqa: S105 (a file's name)


def connect_options(settings: Settings, name: str) -> dict[str, Any]:
    """Return the options of ``nats.connect`` for a service, or for a program that is none.

    The user is named as the service. Its password is read again for every connection, so a
    new password takes effect with the next one. A user in the URL goes before all of this.

    Raises:
        CannotStart: the file with the certificates cannot be read.
    """
    # A service may subscribe to its own inboxes only: no other can read the responses that it gets.
    options: dict[str, Any] = {"inbox_prefix": f"_INBOX_{name}"}
    if not urlsplit(settings.broker_url).username:
        options["user"] = settings.nats_user or name
        options["password"] = lambda: _password(settings, name)
    if settings.nats_ca_file:
        try:
            options["tls"] = ssl.create_default_context(cafile=settings.nats_ca_file)
        except OSError as error:
            raise CannotStart(
                f"the certificates in {settings.nats_ca_file} cannot be read (GEXLAKE_NATS_CA_FILE): {error}"
            ) from error
    return options


def password_file(secrets: Path, name: str) -> Path:
    """Return the file that holds the password of a user."""
    return secrets / name / PASSWORD_FILE


def _password(settings: Settings, name: str) -> str:
    if settings.nats_password is not None:
        return settings.nats_password.get_secret_value()
    try:
        return password_file(settings.secrets, settings.nats_user or name).read_text().strip()
    except FileNotFoundError:
        return ""  # a broker without users does not ask for one
