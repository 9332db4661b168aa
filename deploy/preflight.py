"""Check that the system can start on this machine.

``python -m deploy.preflight`` exits with status 1 and one line when a check fails. With a command, such as
``python -m deploy.preflight honcho start``, it then executes the command with the ports and the data folder
of the settings in its environment, so that every process uses the same ones.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from pydantic import Field

from deploy.nats_server_binary import binary
from deploy.setting_names import known, unknown, without_prefix
from services.importer.reader import library
from shared.errors import CannotStart
from shared.process.runtime import fail
from shared.process.settings import Settings, aliases, load

PACKAGES: Final = {
    "intake": (
        "cryptography",
        "fastapi",
        "uvicorn",
        "prometheus_client",
        "limits",
        "fastapi_offline",
        "holidays",
    ),
    "fetcher": ("cryptography", "httpx", "httpcore", "aiolimiter"),
    "importer": ("duckdb",),
    "janitor": ("apscheduler",),
}
"""What each service imports in addition to the packages that all of them need."""

_COMPOSE: Final = Path(__file__).parent.parent / "compose.yaml"
_LOOPBACK: Final = "127.0.0.1"


class RunSettings(Settings):
    """The settings that decide where the processes listen and write."""

    host: str = Field(_LOOPBACK, validation_alias=aliases("GEXLAKE_HOST", "HOST"))
    port: int = Field(8877, ge=1, le=65535, validation_alias=aliases("GEXLAKE_PORT", "PORT"))


def check_names(folder: Path = Path()) -> None:
    """Check that every name of gexlake's in the environment, and in ``.env`` of a folder, is a setting.

    Raises:
        CannotStart: one is not; the message names the closest setting.
    """
    settings = known(_COMPOSE.read_text())
    in_file = {name.upper() for name in dotenv_values(folder / ".env")}
    in_environment = {name.upper() for name in os.environ}
    if wrong := unknown(in_file | in_environment, settings) + without_prefix(in_file, settings):
        raise CannotStart(f"{'; '.join(wrong)}; correct or remove it in .env or the environment")


def check(settings: RunSettings) -> None:
    """Check ports, programs, packages and the data folder.

    Raises:
        CannotStart: a check failed; the message says what to do.
    """
    if settings.nats_url:
        raise CannotStart("GEXLAKE_NATS_URL is set, but a nats-server of its own is to be started: unset it")
    if settings.port == settings.nats_port:
        raise CannotStart(f"GEXLAKE_PORT and GEXLAKE_NATS_PORT are both {settings.port}: set another")
    check_components()
    check_port(settings.host, settings.port, "GEXLAKE_PORT")
    check_port(_LOOPBACK, settings.nats_port, "GEXLAKE_NATS_PORT")
    check_folder(settings.data_dir)


def check_components() -> None:
    """Check that nats-server, the services, their packages and the importer's compiled reader exist.

    Raises:
        CannotStart: one is missing.
    """
    try:
        binary()
    except FileNotFoundError as error:
        raise CannotStart(str(error)) from error
    for service, packages in PACKAGES.items():
        if not _exists(f"services.{service}.__main__"):
            raise CannotStart(f"the service {service} is missing from this copy of gexlake")
        for name in packages:
            if not _exists(name):
                raise CannotStart(
                    f"the package {name}, which {service} needs, is missing: remove .venv and run make again"
                )
    library.check()


def check_port(host: str, port: int, setting: str) -> None:
    """Check that a port can be listened on.

    Raises:
        CannotStart: the port is not available; the message names the setting.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise CannotStart(f"no permission to listen on port {port} ({setting}): set another") from error
        except OSError as error:
            raise CannotStart(
                f"port {port} is in use ({setting}): stop what listens there or set another"
            ) from error


def check_folder(folder: Path) -> None:
    """Create the data folder if it is missing and check that it is writable.

    Raises:
        CannotStart: it is not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotStart(
            f"the data folder {folder} cannot be written (GEXLAKE_DATA_DIR): {error.strerror}"
        ) from error


def environment(settings: RunSettings) -> dict[str, str]:
    """Return the environment of the processes: the settings, and this Python's programs first on PATH."""
    here = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join((here, os.environ.get("PATH", os.defpath))),
        "GEXLAKE_HOST": settings.host,
        "GEXLAKE_PORT": str(settings.port),
        "GEXLAKE_NATS_PORT": str(settings.nats_port),
        "GEXLAKE_DATA_DIR": str(settings.data_dir),
    }


def main() -> None:
    """Check, then execute the given command, if there is one."""
    try:
        check_names()
        settings = load(RunSettings)
        check(settings)
    except CannotStart as error:
        fail(error)
    if command := sys.argv[1:]:
        sys.stdout.flush()
        os.execvpe(command[0], command, environment(settings))  # noqa: S606 (the Makefile's words)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
