"""Names that look like settings and are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.preflight import check_names
from deploy.setting_names import known, unknown, without_prefix
from shared.errors import CannotStart
from tests.support.repository import ROOT

COMPOSE = ROOT / "compose.yaml"
SETTINGS = known(COMPOSE.read_text())


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("GEXLAKE_APIKEYS", "GEXLAKE_API_KEYS"),
        ("GEXLAKE_FETCH_SLOT", "GEXLAKE_FETCH_SLOTS"),
        ("GEXLAKE_SSL_CERT", "GEXLAKE_SSL_CERTFILE"),
        ("GEXBOT_KEY", "GEXBOT_API_KEY"),
        ("GEXLAKE_DATADIR", "GEXLAKE_DATA_DIR"),
    ],
)
def test_a_wrong_name_is_reported_with_the_closest_setting(name: str, closest: str) -> None:
    assert unknown([name, "PATH", closest], SETTINGS) == [f"{name} is no setting: did you mean {closest}?"]


def test_a_name_that_is_close_to_none_leads_to_the_list() -> None:
    assert unknown(["GEXBOT_Q1Z2"], SETTINGS) == [
        "GEXBOT_Q1Z2 is no setting: docs/architecture.md lists the settings"
    ]


def test_a_setting_without_its_prefix_is_reported_unless_the_first_system_had_it() -> None:
    names = ["API_KEYS", "FETCH_SLOTS", "DATA_DIR", "PORT", "URL", "PYTHON_VERSION"]
    assert without_prefix(names, SETTINGS) == [
        "API_KEYS is no setting: did you mean GEXLAKE_API_KEYS?",
        "FETCH_SLOTS is no setting: did you mean GEXLAKE_FETCH_SLOTS?",
    ]


def test_a_setting_without_its_prefix_may_be_another_programs_in_the_environment_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("API_KEYS", "1")
    check_names(tmp_path)
    (tmp_path / ".env").write_text("API_KEYS=1\n")
    with pytest.raises(CannotStart, match="did you mean GEXLAKE_API_KEYS"):
        check_names(tmp_path)


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_wrong_name_in_the_environment_or_the_file_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    if place == "file":
        (tmp_path / ".env").write_text("# comment\nexport GEXLAKE_PORTS=1\ngexlake_port=2\n")
    else:
        monkeypatch.setenv("GEXLAKE_PORTS", "1")
    with pytest.raises(CannotStart, match=r"^GEXLAKE_PORTS is no setting: did you mean GEXLAKE_PORT\?; "):
        check_names(tmp_path)


def check_in_container(**names: str) -> subprocess.CompletedProcess[str]:
    """Run the check as the container does, with the standard library alone."""
    script = str(ROOT / "deploy/setting_names.py")
    return subprocess.run(
        [sys.executable, "-I", script, str(COMPOSE)], env=names, capture_output=True, text=True, check=False
    )


def test_the_container_ends_with_1_for_a_wrong_name_only() -> None:
    good = check_in_container(GEXLAKE_PORT="1", GEXLAKE_API_KEY="k", COMPOSE_PROFILES="tools")
    assert (good.returncode, good.stderr) == (0, "")
    wrong = check_in_container(GEXLAKE_PORTS="1", GEXLAKE_DATA_DIR="/lake")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == [
        "gexlake: GEXLAKE_DATA_DIR has no effect on containers",
        "gexlake: GEXLAKE_PORTS is no setting: did you mean GEXLAKE_PORT?; correct or remove it in .env",
    ]
