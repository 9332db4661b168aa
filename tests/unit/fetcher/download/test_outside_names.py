"""Nothing from outside chooses a path: what a URL names is one plain file in the folder of its job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gexbot.source_name import MAX_NAME_LENGTH, parse_source_name
from shared.paths import LakePaths, is_partial, partial_path, resume_metadata_path
from shared.sources.gate import SourceGate

PATHS: Final = LakePaths.under(Path("/lake"))
FOLDER: Final = PATHS.staging_root / "gexbot" / "NQ_NDX" / "gex_zero"
GATE: Final = SourceGate.parse(("https://hist.gex.bot/",))
MAX_NAME_BYTES: Final = 255
"""What Linux file systems take."""
pieces = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "%2f",
        "%2e",
        "%5c",
        "\\",
        "%00",
        "~",
        "CON",
        "day",
        ".json",
        ".json.gz",
        ".part",
        "-",
        "$(",
    ]
)
tails = st.lists(pieces | st.text(max_size=3), max_size=6).map("".join)


def place(url: str) -> Path:
    """Return where the file of a URL is staged, as intake and fetcher find it together.

    Raises:
        ValueError: one of them refuses it.
    """
    name = parse_source_name(GATE.check(url).path.rpartition("/")[2]).name
    return PATHS.staged("NQ_NDX", "gex_zero", name)


@given(tails, st.sampled_from(["", ".json", ".jsonl.gz"]))
def test_whatever_a_url_names_is_a_plain_file_in_the_folder_of_its_job(tail: str, ending: str) -> None:
    try:
        path = place(f"https://hist.gex.bot/{tail}{ending}")
    except ValueError:
        return
    assert path.parent == FOLDER
    assert Path(os.path.normpath(path)) == path
    assert path.name == unquote(path.name)
    assert path.name.isascii()
    assert path.name[0].isalnum()
    assert not is_partial(path)


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "..",
        "../x.json",
        "%2e%2e%2fx.json",
        "..%5cx.json",
        ".x.json",
        ".x.json.0-0.part",
        "x.json.part",
        "x.json%00.gz",
        "x.json;y",
        "x%20y.json",
        "$(id).json",
        "-x.json",
        "~root.json",
        f"{'x' * MAX_NAME_LENGTH}.json",
    ],
)
def test_a_name_that_could_mean_more_than_a_file_is_refused(tail: str) -> None:
    with pytest.raises(ValueError, match="the URL"):
        place(f"https://hist.gex.bot/{tail}")


@pytest.mark.parametrize(
    "query", ["name=../../x.json", "filename=/etc/passwd", "response-content-disposition=x"]
)
def test_a_query_names_nothing(query: str) -> None:
    assert place(f"https://hist.gex.bot/day.json?{query}") == FOLDER / "day.json"


def test_the_hidden_names_of_the_longest_file_fit_on_the_disk() -> None:
    path = place(f"https://hist.gex.bot/{'x' * (MAX_NAME_LENGTH - len('.json'))}.json")
    hidden = partial_path(path, f"{'0' * 32}-{'0' * 8}")
    for name in (hidden.name, f"{resume_metadata_path(hidden).name}~"):
        assert len(name.encode()) <= MAX_NAME_BYTES
