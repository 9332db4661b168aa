"""The documents and compose.yaml name what exists: every setting, every failpoint, every decision."""

from __future__ import annotations

import importlib
import re
from typing import Final

import pytest
from pydantic import AliasChoices

from deploy.setting_names import NOT_IN_CONTAINERS, known, without_prefix
from gexlake.cli.settings import CliSettings
from gexlake.environment import BrokerSettings
from shared.bus.messages import job_id_of
from shared.process.settings import Settings
from tests.support.repository import ROOT

SERVICES: Final = ("intake", "fetcher", "importer", "janitor")
ELSEWHERE: Final = {"GEXLAKE_FAILPOINT", "GEXLAKE_IMPORTER_MEMORY", "GEXLAKE_STOP_GRACE_PERIOD"} | {
    f"GEXLAKE_{name}"
    for name in (
        *("LAKE", "SOURCE", "ARCHIVE", "STREAMS", "LOCAL_SOURCES", "CA_DIR", "BACKUPS"),
        *("NATS_TLS_CERT", "NATS_TLS_KEY", "NATS_TLS_DIR", "SECRETS_UMASK"),
    )
}
"""Names that compose.yaml, deploy/nats-server or shared/process/failpoints.py read, and no settings class."""


def settings_of(service: str) -> type[BrokerSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    return next(
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Settings) and kind.__module__ == module.__name__
    )


def names_of(kind: type[BrokerSettings]) -> set[str]:
    """Return the names of a settings class, as the environment spells the first of each."""
    aliases = {name: field.validation_alias for name, field in kind.model_fields.items()}
    return {
        str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"GEXLAKE_{name.upper()}"
        for name, alias in aliases.items()
    }


def older_names_of(kind: type[BrokerSettings]) -> set[str]:
    """Return the names that settings of a class had before, and are still read by."""
    aliases = (field.validation_alias for field in kind.model_fields.values())
    return {str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices[1:]}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"GEXLAKE_[A-Z0-9_]+[A-Z]", text))


ALL: Final = {name for service in SERVICES for name in names_of(settings_of(service))} | names_of(CliSettings)
OLDER: Final = {name for service in SERVICES for name in older_names_of(settings_of(service))}


def test_every_setting_is_in_the_architecture() -> None:
    assert sorted(ALL - named_in((ROOT / "docs/architecture.md").read_text())) == []


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "compose.yaml",
        "docs/architecture.md",
        "docs/operations.md",
        "docs/security.md",
        "Dockerfile",
    ],
)
def test_a_document_names_only_settings_that_exist(path: str) -> None:
    assert sorted(named_in((ROOT / path).read_text()) - ALL - OLDER - ELSEWHERE) == []


@pytest.mark.parametrize("service", SERVICES)
def test_compose_passes_on_every_setting_of_a_service(service: str) -> None:
    wanted = names_of(settings_of(service)) - names_of(Settings)
    assert sorted(wanted - passed_on_to(service)) == []


def test_the_check_of_names_knows_every_setting() -> None:
    with_prefix = {name for name in ALL | OLDER if name.startswith(("GEXLAKE_", "GEXBOT_"))}
    settings = known((ROOT / "compose.yaml").read_text())
    assert sorted(with_prefix - settings) == [], "pass it on in compose.yaml, or list it in setting_names"
    assert sorted(NOT_IN_CONTAINERS - with_prefix) == []
    assert without_prefix(OLDER, settings) == []


def passed_on_to(service: str) -> set[str]:
    """Return the settings in a service's part of compose.yaml, and in what it merges."""
    text = (ROOT / "compose.yaml").read_text()
    part = re.search(rf"^  {service}:\n((?:   .*\n)*)", text, re.MULTILINE)
    assert part is not None
    anchors = re.findall(r"\*(\w+)", part[1])
    merged = (re.search(rf"&{anchor}\n((?: .*\n)*)", text) for anchor in anchors)
    return named_in(part[1]).union(*(named_in(each[1]) for each in merged if each))


def test_containers_have_more_time_to_stop_than_work_in_hand_has() -> None:
    (grace_s,) = re.findall(r"GEXLAKE_STOP_GRACE_PERIOD:-(\d+)s", (ROOT / "compose.yaml").read_text())
    assert int(grace_s) >= Settings().drain_timeout_s + 10


def test_the_failpoints_of_the_code_are_those_of_the_architecture() -> None:
    point = re.compile(rf"\b(?:{'|'.join(SERVICES)})\.[a-z_]+\b")
    sources = (path.read_text() for path in (ROOT / "services").rglob("*.py"))
    in_code = {name for text in sources for name in re.findall(r'failpoint\("([^"]+)"\)', text)}
    table = (ROOT / "docs/architecture.md").read_text().partition("## A job, step by step")[2]
    assert set(point.findall(table.partition("\n## ")[0])) == in_code


def test_the_readme_shows_the_id_of_the_file_that_it_posts() -> None:
    url, job_id = re.findall(
        r'"url": "(.+?)\?sig=…"[\s\S]+?"id":"(.+?)"', (ROOT / "README.md").read_text(), re.MULTILINE
    )[0]
    assert job_id == str(job_id_of("NQ_NDX", "gex_zero", url))


def test_every_decision_is_listed() -> None:
    pages = {path.name for path in (ROOT / "docs/adr").glob("0*.md")}
    listed = set(re.findall(r"\((0[^)]+\.md)\)", (ROOT / "docs/adr/README.md").read_text()))
    assert listed == pages
