"""The release script: the tag, the version and the changelog have to agree."""

from __future__ import annotations

import pytest

from deploy.release import NotReleasable, changelog_section, check_tag, main
from gexlake import __version__

CHANGELOG = """# Changelog

## [Unreleased]

### Added
- cli: something new

## [0.2.0] - 2026-12-01

### Added
- intake: a route

### Fixed
- importer: a crash

## [0.1.0] - 2026-11-01

### Added
- everything

[0.2.0]: https://example.com/0.2.0
"""


def test_a_section_ends_at_the_next_version() -> None:
    section = changelog_section(CHANGELOG, "0.2.0")
    assert section == "### Added\n- intake: a route\n\n### Fixed\n- importer: a crash\n"


def test_the_last_section_ends_before_the_link_references() -> None:
    assert changelog_section(CHANGELOG, "0.1.0") == "### Added\n- everything\n"


@pytest.mark.parametrize("version", ["0.3.0", "0.2", "0x2.0", "Unreleased"])
def test_a_version_without_a_dated_heading_is_refused(version: str) -> None:
    with pytest.raises(NotReleasable, match="has no heading"):
        changelog_section(CHANGELOG, version)


def test_an_empty_section_is_refused() -> None:
    with pytest.raises(NotReleasable, match="nothing under"):
        changelog_section("## [0.2.0] - 2026-12-01\n\n## [0.1.0] - 2026-11-01\n- all\n", "0.2.0")


@pytest.mark.parametrize("tag", ["v0.2.1", "0.2.0", "v0.2.0-rc1", "V0.2.0", ""])
def test_a_tag_of_another_version_is_refused(tag: str) -> None:
    with pytest.raises(NotReleasable, match=r"expected the tag v0\.2\.0"):
        check_tag(tag, "0.2.0")


def test_a_refusal_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["v999.0.0"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    expected = f"expected the tag v{__version__} for gexlake.__version__, got v999.0.0"
    assert printed.err == f"release: {expected}\n"
