"""The paths in a manifest: none leads out of the backup or out of the folders that it is restored to."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gexlake.backup.manifest import BackedUpFile


@pytest.mark.parametrize("path", ["../x", "source/../../x", "source//etc/x", "/etc/x", "source/./x", ""])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="inside the backup"):
        BackedUpFile(path=path, size_bytes=0, sha256="")


@pytest.mark.parametrize("path", ["gex_data.db", "source/gexbot/SPX/gex_full/a.json", "streams/JOBS.tar.s2"])
def test_a_path_in_the_backup_is_accepted(path: str) -> None:
    assert BackedUpFile(path=path, size_bytes=0, sha256="").path == path
