"""The HTTP interface as OpenAPI describes it: what clients rely on changes only on purpose."""

from __future__ import annotations

import json
from typing import Any

from services.intake.app import new_api
from tests.support.repository import GOLDEN


def without_prose(node: Any) -> Any:
    """Return a description without its ``description`` and ``summary`` texts."""
    if isinstance(node, dict):
        return {
            name: without_prose(value)
            for name, value in node.items()
            if name not in {"description", "summary"} or not isinstance(value, str)
        }
    return [without_prose(each) for each in node] if isinstance(node, list) else node


def test_the_interface_is_that_of_the_golden_file() -> None:
    described = json.dumps(without_prose(new_api().openapi()), indent=1, ensure_ascii=False) + "\n"
    assert described == (GOLDEN / "openapi.json").read_text()


def test_every_error_is_described_as_it_is_answered() -> None:
    assert "HTTPValidationError" not in new_api().openapi()["components"]["schemas"]
