"""Hand each import command to the handler of its dataset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from services.importer.errors import NotImportable
from shared.bus.messages import ImportFile
from shared.datasets import find_dataset

Handler: TypeAlias = Callable[[ImportFile], Awaitable[None]]


def by_dataset(handlers: Mapping[str, Handler]) -> Handler:
    """Return a handler that calls the one of a command's dataset.

    Args:
        handlers: by the name of the dataset.
    """

    async def handle(command: ImportFile) -> None:
        """Handle a command.

        Raises:
            NotImportable: the command's endpoint has no handler.
        """
        dataset = find_dataset(command.job.endpoint)
        handler = handlers.get(dataset.name) if dataset is not None else None
        if handler is None:
            raise NotImportable(command.job.endpoint)
        await handler(command)

    return handle
