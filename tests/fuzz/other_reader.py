"""A plugin of pytest: the importer's compiled reader is the library that ``GEXLAKE_TEST_READER`` names."""

from __future__ import annotations

import os
from pathlib import Path

from services.importer.native import build

_PATH = Path(os.environ["GEXLAKE_TEST_READER"])

build.library_path = lambda: _PATH
