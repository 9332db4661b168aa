"""Settings from the environment and ``.env``, under their own names and those of the first system."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import CannotStart
from shared.process.settings import CommaList, Settings, load


class WithList(Settings):
    hosts: CommaList = ()


LEGACY = [
    ("DATA_DIR", "GEXLAKE_DATA_DIR", "data_dir", "/x", "/y"),
    ("STAGING_DIR", "GEXLAKE_STAGING_DIR", "staging_dir", "/x", "/y"),
    ("PARQUET_DIR", "GEXLAKE_PARQUET_DIR", "parquet_dir", "/x", "/y"),
    ("LOG_LEVEL", "GEXLAKE_LOG_LEVEL", "log_level", "DEBUG", "ERROR"),
    ("MAX_IMPORT_ATTEMPTS", "GEXLAKE_MAX_ATTEMPTS", "max_attempts", "7", "9"),
    ("MAX_IMPORT_ATTEMPTS", "GEXLAKE_MAX_IMPORT_ATTEMPTS", "max_attempts", "7", "9"),
]


@pytest.mark.parametrize(("old", "new", "name", "value", "better"), LEGACY)
def test_a_name_of_the_first_system_works_and_the_new_one_wins(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, name: str, value: str, better: str
) -> None:
    monkeypatch.setenv(old, value)
    assert str(getattr(load(Settings), name)) == value
    monkeypatch.setenv(new, better)
    assert str(getattr(load(Settings), name)) == better


@pytest.mark.parametrize(("old", "new", "name", "value", "better"), LEGACY)
def test_an_empty_setting_means_unset(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, name: str, value: str, better: str
) -> None:
    default = getattr(load(Settings), name)
    monkeypatch.setenv(new, "")
    assert getattr(load(Settings), name) == default
    monkeypatch.setenv(old, value)
    assert str(getattr(load(Settings), name)) == value
    monkeypatch.setenv(new, better)
    assert str(getattr(load(Settings), name)) == better


def test_a_dotenv_file_in_the_working_folder_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("GEXLAKE_NATS_PORT=5555\nDATA_DIR=/from-file\nLOG_LEVEL=\nOTHER=x\n")
    settings = load(Settings)
    assert (settings.nats_port, settings.data_dir, settings.log_level) == (5555, Path("/from-file"), "INFO")
    monkeypatch.setenv("GEXLAKE_NATS_PORT", "6666")
    assert load(Settings).nats_port == 6666


def test_a_flag_wins_and_one_not_given_leaves_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert load(Settings, log_level="ERROR", log_dir=None).log_level == "ERROR"
    assert load(Settings, log_level=None).log_level == "DEBUG"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("GEXLAKE_NATS_PORT", "99999", "GEXLAKE_NATS_PORT"),
        ("GEXLAKE_NATS_PORT", "four", "GEXLAKE_NATS_PORT"),
        ("GEXLAKE_DRAIN_TIMEOUT_S", "-1", "GEXLAKE_DRAIN_TIMEOUT_S"),
        ("GEXLAKE_LOG_LEVEL", "chatty", "GEXLAKE_LOG_LEVEL"),
        ("LOG_LEVEL", "chatty", " LOG_LEVEL"),
        ("MAX_IMPORT_ATTEMPTS", "0", " MAX_IMPORT_ATTEMPTS"),
        ("GEXLAKE_MAX_ATTEMPTS", "x", "GEXLAKE_MAX_ATTEMPTS"),
        ("GEXLAKE_MAX_IMPORT_ATTEMPTS", "x", "GEXLAKE_MAX_IMPORT_ATTEMPTS"),
    ],
)
def test_an_unusable_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart) as problem:
        load(Settings)
    assert str(problem.value).startswith("the setting ")
    assert shown in str(problem.value)
    assert "\n" not in str(problem.value)


def test_an_unusable_flag_is_named_too() -> None:
    with pytest.raises(CannotStart, match="the setting GEXLAKE_NATS_PORT is unusable"):
        load(Settings, nats_port=0)


@pytest.mark.parametrize(
    ("text", "hosts"), [("a,b", ("a", "b")), (" a , ,b, ", ("a", "b")), ("a", ("a",)), ("", ())]
)
def test_a_list_is_written_with_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, hosts: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GEXLAKE_HOSTS", text)
    assert load(WithList).hosts == hosts


def test_the_broker_is_on_the_loopback_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEXLAKE_NATS_PORT", "5000")
    assert load(Settings).broker_url == "nats://127.0.0.1:5000"
    monkeypatch.setenv("GEXLAKE_NATS_URL", "nats://broker:4222")
    assert load(Settings).broker_url == "nats://broker:4222"


def test_paths_follow_the_folder_settings(tmp_path: Path) -> None:
    paths = Settings(data_dir=tmp_path, staging_dir=tmp_path / "s").paths
    assert paths.database == tmp_path / "gex_data.db"
    assert paths.staging_root == tmp_path / "s"
    assert paths.parquet_root == tmp_path / "parquet" / "gexbot"
