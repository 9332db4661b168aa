"""Files for tools around the code: workflows, issue forms, hooks and links between documents."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.repository import ROOT

WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS: Final = sorted(
    path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob(".github/*.md")])
"""Every Markdown file of the repository that people read."""


def parsed(path: Path) -> dict[Any, Any]:
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_workflow_has_triggers_permissions_and_complete_jobs(path: Path) -> None:
    workflow = parsed(path)
    assert workflow.keys() >= {"name", True, "permissions", "jobs"}  # YAML reads the key `on` as true
    for job in workflow["jobs"].values():
        assert "uses" in job or job.keys() >= {"runs-on", "timeout-minutes", "steps"}
        for needed in [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", []):
            assert needed in workflow["jobs"]
        for step in job.get("steps", []):
            assert ("uses" in step) != ("run" in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_workflow_runs_only_targets_that_make_has(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"run: make ([a-z-]+)", path.read_text())) <= targets


def test_ci_runs_on_every_supported_python() -> None:
    matrix = parsed(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("path", FORMS, ids=names(FORMS))
def test_an_issue_form_has_what_github_requires(path: Path) -> None:
    form = parsed(path)
    assert form.keys() >= {"name", "description", "body"}
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert ids
    assert len(ids) == len(set(ids))


def test_a_hook_has_the_version_of_the_dev_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (local,) = parsed(ROOT / ".pre-commit-config.yaml")["repos"]
    pins = {pin for hook in local["hooks"] for pin in hook.get("additional_dependencies", [])}
    assert pins <= set(extras["dev"])


def test_dependabot_watches_every_ecosystem_of_the_repository() -> None:
    updates = parsed(ROOT / ".github/dependabot.yml")["updates"]
    assert {each["package-ecosystem"] for each in updates} >= {"pip", "docker", "github-actions"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_a_link_between_files_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    assert [target for target in targets if not (path.parent / target).exists()] == []


CURRENT: Final = [path for path in DOCUMENTS if path.name != "CHANGELOG.md" and path.parent.name != "adr"]
"""Documents about the tree as it is today; decisions and the changelog name files that are gone."""


@pytest.mark.parametrize("path", CURRENT, ids=names(CURRENT))
def test_a_path_of_the_tree_that_a_document_names_exists(path: Path) -> None:
    roots = "services|shared|gexlake|simulator|bench|deploy|tests|docs"
    named = re.findall(rf"`((?:{roots})/[\w./-]+)`", path.read_text())
    assert [each for each in named if not (ROOT / each).exists()] == []
