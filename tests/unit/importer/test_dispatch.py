"""Each import command goes to the handler of its dataset."""

from __future__ import annotations

import pytest

from services.importer.dispatch import by_dataset
from services.importer.errors import NotImportable
from shared.bus.messages import ImportFile
from tests.support.values import a_job, an_import


async def test_a_command_is_handled_by_its_dataset_only() -> None:
    seen: list[tuple[str, str]] = []

    async def gexbot(command: ImportFile) -> None:
        seen.append(("gexbot", command.job.endpoint))

    handle = by_dataset({"gexbot": gexbot})
    await handle(an_import(a_job(endpoint="state_gex_zero")))
    assert seen == [("gexbot", "state_gex_zero")]
    for endpoint in ("ohlcv_1m", "of_a_later_version"):
        with pytest.raises(NotImportable, match=endpoint):
            await handle(an_import(a_job(endpoint=endpoint)))
    assert len(seen) == 1
