"""Intake in a container with a certificate of the host."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import trustme

from tests.support.system.compose import ComposeStack


def test_a_container_serves_https_and_is_healthy(stack: ComposeStack, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    paths = {name: tmp_path / f"{name}.pem" for name in ("certfile", "keyfile")}
    certificate.cert_chain_pems[0].write_to_path(paths["certfile"])
    certificate.private_key_pem.write_to_path(paths["keyfile"])
    for path in (tmp_path, *paths.values()):
        path.chmod(0o755)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    try:
        stack.up(**{f"GEXLAKE_SSL_{name.upper()}": str(path) for name, path in paths.items()})
        answer = httpx.get(stack.url.replace("http:", "https:") + "/ready", verify=trust, trust_env=False)
        assert answer.json() == {"ready": True, "reasons": []}
    finally:
        stack.up()
