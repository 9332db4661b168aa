"""Whatever a killed fetcher leaves on the disk, the next ones end with the file, whole and unmixed."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from itertools import pairwise
from pathlib import Path
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fetcher.download.partial_files import PartialFile
from shared.paths import is_partial
from tests.support.examples import examples

SOURCE = "https://hist.gex.bot"
JOB = UUID("5973d48f-4509-5573-aedc-12fa76e9a0a4")
ETAG = '"v1"'
PLAIN = b"[" + b'{"timestamp": 1763130600},' * 40 + b"{}]"
PACKED = gzip.compress(PLAIN[:500]) + gzip.compress(PLAIN[500:])

cuts = st.lists(st.integers(4, len(PLAIN)), max_size=4)
lives = st.lists(st.tuples(cuts, st.integers(0, 4), st.booleans(), st.integers(-200, 200)), max_size=4)
"""Of each fetcher that is killed: where it cuts blocks, after how many of them it made durable what it had,
whether it had read the whole, and how many bytes behind the durable ones the disk has lost or made up."""


def begun(final: Path, content: bytes, total: int | None) -> PartialFile:
    """Return a partial that goes on where the disk says, as the source lets it."""
    file = PartialFile(final, JOB, max_bytes=10_000)
    file.open()
    held = file.resume_point
    assert held is None or (held.etag, held.total_bytes) == (ETAG, total)
    # Of a file whose length nobody knew all may be here: then the source has no rest, and sends the whole.
    has_rest = held is not None and held.size_bytes < len(content)
    assert has_rest or held is None or total is None
    file.begin(SOURCE, held.size_bytes if held and has_rest else 0, ETAG, total)
    return file


def blocks_of(rest: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({0, *(min(end, len(rest)) for end in at), len(rest)})
    return [rest[start:end] for start, end in pairwise(ends)]


def live_and_be_killed(
    final: Path, content: bytes, total: int | None, life: tuple[list[int], int, bool, int]
) -> int:
    """Write some of the content, keep some of that, and end without a word; return how much was kept."""
    at, kept_after, reads_all, lost = life
    file = begun(final, content, total)
    kept = file.size_bytes
    blocks = blocks_of(content[file.size_bytes :], at)
    for number, block in enumerate(blocks if reads_all else blocks[:-1]):
        file.write([block])
        if number < kept_after:
            file.checkpoint()
            kept = file.size_bytes
    assert file._file is not None
    file._file.close()
    with file._path.open("r+b") as left:
        size = file.size_bytes
        left.truncate(max(kept, size + min(lost, 0)))
        left.seek(0, 2)
        left.write(b"\0" * max(lost, 0))
    return kept


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from([("day.json", PLAIN), ("day.json.gz", PACKED)]), st.booleans(), lives)
def test_kills_at_any_byte_cost_only_what_was_not_durable(
    named: tuple[str, bytes], announces: bool, lives: list[tuple[list[int], int, bool, int]]
) -> None:
    name, content = named
    total = len(content) if announces else None
    with tempfile.TemporaryDirectory() as folder:
        final = Path(folder) / name
        for life in lives:
            kept = live_and_be_killed(final, content, total, life)
            last = begun(final, content, total)
            assert last.size_bytes >= (
                0 if kept == len(content) and total is None else min(kept, len(content) - 1)
            )
            assert last._file is not None
            last._file.close()
        file = begun(final, content, total)
        file.write([content[file.size_bytes :]])
        file.seal()
        staged = file.publish()
        assert final.read_bytes() == content
        assert (staged.size_bytes, staged.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert not [path for path in final.parent.iterdir() if is_partial(path) or path != final]
