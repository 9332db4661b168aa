"""The fuzzer's process: libFuzzer makes up inputs and ends it; ``python -m tests.fuzz`` starts it.

Arguments: a folder for the lakes, and then those of libFuzzer.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from random import Random
from typing import Final

import atheris
import structlog

from tests.fuzz.inputs import file_of
from tests.fuzz.mutations import mutated

_BLIND_SHARE: Final = 0.1
"""How many changes are made without looking at what is changed."""


def fuzz(folder: Path, words: list[str]) -> None:
    """Import inputs and hold them against the oracle until libFuzzer ends the process."""
    with atheris.instrument_imports(include=["services.importer", "tests.support"]):
        # Modules imported here are instrumented for coverage.
        from tests.support.importer.import_trials import Trials  # noqa: PLC0415

    trials = Trials(folder)

    def judge(data: bytes) -> None:
        if data:
            file, path = file_of(data)
            trials.verdict(file, (path,))

    atheris.Setup([sys.argv[0], *words], judge, custom_mutator=_changed)
    atheris.Fuzz()


def _changed(data: bytes, largest: int, seed: int) -> bytes:
    source = Random(seed)
    if len(data) < 2 or source.random() < _BLIND_SHARE:
        return bytes(atheris.Mutate(data, largest))
    choices = source.randrange(256) if source.random() < _BLIND_SHARE else data[0]
    return bytes([choices]) + mutated(data[1:], source, largest - 1)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    fuzz(Path(sys.argv[1]), sys.argv[2:])
