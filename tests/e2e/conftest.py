"""The stack in containers, built and started once for all container tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.bus.connection import Bus
from tests.support.system.compose import ComposeStack, why_no_docker


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    missing = why_no_docker()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    stack = ComposeStack(tmp_path_factory.mktemp("e2e"))
    came_up = False
    try:
        stack.up()
        came_up = True
        yield stack
    finally:
        if request.session.testsfailed or not came_up:
            print(stack.logs())  # noqa: T201 (pytest shows it with the failure)
        stack.remove()


@pytest.fixture
async def stack_bus(stack: ComposeStack) -> AsyncIterator[Bus]:
    async with stack.connected() as bus:
        yield bus
