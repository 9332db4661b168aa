"""The checks before a start: a problem is reported in one line."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import preflight
from deploy.preflight import RunSettings, check_components, check_folder, check_port, environment
from shared.errors import CannotStart
from simulator.nats_server import free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_a_port_in_use_is_named_with_its_setting(taken_port: int) -> None:
    with pytest.raises(CannotStart) as refused:
        check_port("127.0.0.1", taken_port, "GEXLAKE_PORT")
    assert str(refused.value) == (
        f"port {taken_port} is in use (GEXLAKE_PORT): stop what listens there or set another"
    )


def test_a_port_in_use_on_every_address_is_in_use_on_the_loopback() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        with pytest.raises(CannotStart, match="in use"):
            check_port("127.0.0.1", listener.getsockname()[1], "GEXLAKE_NATS_PORT")


def test_a_free_port_passes_and_stays_free() -> None:
    port = free_port()
    check_port("127.0.0.1", port, "GEXLAKE_PORT")
    check_port("127.0.0.1", port, "GEXLAKE_PORT")


def test_the_data_folder_is_created(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "data")
    assert list((tmp_path / "new" / "data").iterdir()) == []


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(CannotStart, match="data cannot be written"):
        check_folder(tmp_path / "data")


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ({"importer": ("no_such_package",)}, "the package no_such_package, which importer needs, is missing"),
        ({"barista": ()}, "the service barista is missing"),
    ],
)
def test_a_missing_component_is_named(
    monkeypatch: pytest.MonkeyPatch, packages: dict[str, tuple[str, ...]], message: str
) -> None:
    monkeypatch.setattr(preflight, "PACKAGES", packages)
    with pytest.raises(CannotStart, match=message):
        check_components()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nats_url": "nats://elsewhere:4222"}, "GEXLAKE_NATS_URL is set"),
        ({"port": 5000, "nats_port": 5000}, "GEXLAKE_PORT and GEXLAKE_NATS_PORT are both 5000"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(CannotStart, match=message):
        preflight.check(RunSettings(**settings))  # type: ignore[arg-type]


def test_main_prints_one_line_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], taken_port: int
) -> None:
    monkeypatch.setattr(preflight, "PACKAGES", {})
    monkeypatch.setattr(sys, "argv", ["preflight", "true"])
    monkeypatch.setenv("GEXLAKE_PORT", str(free_port()))
    monkeypatch.setenv("GEXLAKE_NATS_PORT", str(taken_port))
    with pytest.raises(SystemExit) as ended:
        preflight.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"gexlake: port {taken_port} is in use (GEXLAKE_NATS_PORT): stop what listens there or set another\n"
    )


def test_the_processes_get_the_settings_of_the_env_file_and_the_first_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nGEXLAKE_NATS_PORT=9002\n")
    monkeypatch.setenv("DATA_DIR", "elsewhere")
    given = environment(RunSettings())
    assert (given["GEXLAKE_PORT"], given["GEXLAKE_NATS_PORT"]) == ("9001", "9002")
    assert given["GEXLAKE_DATA_DIR"] == "elsewhere"
    assert given["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
