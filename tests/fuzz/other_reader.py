"""A plugin of pytest: the importer's compiled reader is the one that ``GEXLAKE_TEST_READER`` names."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import Final

_NAME: Final = "services.importer._records"


def _load(path: str) -> None:
    spec = spec_from_file_location(_NAME, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    sys.modules[_NAME] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[_NAME])


_load(os.environ["GEXLAKE_TEST_READER"])
