"""Hooks of MkDocs: pages from files outside docs/, the list of decisions, and the API reference.

README.md becomes the first page. Each package of ``gexlake.api``, ``shared`` and ``services`` gets a page
that mkdocstrings fills from the docstrings of its modules, which are read and never imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository's root, and the pages that they become."""
REFERENCE = ("gexlake/api", "shared", "services")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
"""A link to a file: its text, its target, its anchor."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the two lists of pages of the navigation that follow from the tree."""
    decisions = ["adr/README.md", *(f"adr/{path.name}" for path in sorted((ROOT / "docs/adr").glob("0*.md")))]
    reference = [{".".join(package.parts): page_of(package)} for package in packages()]
    filled: dict[str, list[Any]] = {"Decisions": decisions, "API reference": reference}
    for entry in config.nav or []:
        for title in entry.keys() & filled.keys():
            entry[title] = filled[title]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for package in packages():
        files.append(File.generated(config, page_of(package), content=reference_page(package)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links to the pages of the site; a link to another file of the repository becomes plain text."""
    uri = page.file.src_uri
    source = next((name for name, generated in ROOT_PAGES.items() if generated == uri), f"docs/{uri}")

    def rewritten(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = normalized(PurePosixPath(source).parent / target)
        if path in ROOT_PAGES:
            path = f"docs/{ROOT_PAGES[path]}"
        if not path.startswith("docs/"):
            return text
        up = "../" * uri.count("/")
        return f"[{text}]({up}{path.removeprefix('docs/')}{anchor})"

    return LINK.sub(rewritten, markdown)


def normalized(path: PurePosixPath) -> str:
    """Return a path without ``..``."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def packages() -> Iterator[PurePosixPath]:
    """Yield the packages of the reference, each after its parent."""
    for root in REFERENCE:
        for init in sorted((ROOT / root).rglob("__init__.py"), key=lambda path: path.parts):
            package = PurePosixPath(*init.parent.relative_to(ROOT).parts)
            if modules(package):
                yield package


def modules(package: PurePosixPath) -> list[str]:
    """Return the names of a package's public modules that have something to show."""
    paths = sorted((ROOT / package).glob("*.py"))
    return [path.stem for path in paths if not path.stem.startswith("_")]


def page_of(package: PurePosixPath) -> str:
    """Return where a package's page is."""
    return f"reference/{'.'.join(package.parts)}.md"


def reference_page(package: PurePosixPath) -> str:
    """Return the Markdown of a package's page: the package, then its modules."""
    name = ".".join(package.parts)
    options = ["    options:", "      show_root_heading: false", "      show_root_toc_entry: false"]
    options.append("      members: false")
    lines = [f"# {name}", "", f"::: {name}", *options, ""]
    for module in modules(package):
        lines += [f"::: {name}.{module}", ""]
    return "\n".join(lines)
