"""The running system against its OpenAPI document: what Schemathesis sends is answered as described.

On a stack of processes: no container is needed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from simulator.stack import Stack

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
UNENDING: Final = "/gex/stream"
"""Its response has no end; its own tests read it."""
KEY: Final = "key-of-the-test-0123456789"
HEADERS: Final = {"X-API-Key": KEY}
CLOSED: Final = "http://127.0.0.1:9/"
"""The only source: no job that an example queues reaches the vendor."""
RATES: Final = dict.fromkeys(("RATE_LIMIT_GEX", "RATE_LIMIT_HISTORY", "RATE_LIMIT_WEBHOOK"), "1000000/second")
KNOWN_JOB: Final = """
[[operations]]
include-path = "/jobs/{{id}}"
parameters = {{ "path.id" = "{id}" }}

[[operations]]
include-path = "/jobs/{{id}}/replay"
parameters = {{ "path.id" = "{id}" }}
"""


def test_every_response_is_one_that_openapi_describes(tmp_path: Path) -> None:
    """Of each route, the examples, the edges of its schema, and some random requests."""
    settings = {**RATES, "GEXLAKE_ALLOWED_SOURCES": CLOSED, "GEXLAKE_API_KEYS": KEY}
    with Stack(tmp_path / "stack", env=settings) as stack:
        posted = httpx.post(
            f"{stack.url}/gex_history_url",
            json={"url": f"{CLOSED}2025-11-14_NQ_NDX_classic_gex_zero.json"},
            headers=HEADERS,
        )
        (tmp_path / "schemathesis.toml").write_text(KNOWN_JOB.format(id=posted.json()["id"]))
        run = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run", f"{stack.url}/openapi.json"),
                *("--header", f"X-API-Key:{KEY}", "--exclude-path", UNENDING, "--checks", ",".join(CHECKS)),
                *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1"),
                # With more workers, CPython 3.11 now and then fails to parse their lambdas.
                *("--workers", "1", "--continue-on-failure", "--request-timeout", "30", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
