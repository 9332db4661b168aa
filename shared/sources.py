"""Which URLs a source may have: the gate that intake and fetcher both ask."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
_SUSPECT = re.compile(r"[^\x21-\x7e]|[\\\"<>]")
"""What no URL has: readers would disagree on its host, or redaction on its end."""


@dataclass(frozen=True)
class Prefix:
    """One allowed start of a URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an entry of ``GEXLAKE_ALLOWED_SOURCES``.

        Raises:
            ValueError: it is not https, nor http on a loopback host.
        """
        parts = urlsplit(text)
        host = (parts.hostname or "").rstrip(".")
        if parts.scheme not in _DEFAULT_PORTS or not host:
            raise ValueError(f"{text!r} is not the start of an http(s) URL")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError(f"{text!r} is plain http: only a loopback host may be, use https")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(f"{text!r} must have no user, query or fragment")
        return cls(
            parts.scheme, host, parts.port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/") + "/"
        )

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}{self.path}"

    def allows(self, parts: SplitResult) -> bool:
        """Tell whether a URL's scheme, host, port and path lie under this prefix."""
        return (
            parts.scheme == self.scheme
            and (parts.hostname or "") == self.host
            and (_DEFAULT_PORTS[self.scheme] if parts.port is None else parts.port) == self.port
            and parts.path.startswith(self.path)
        )


@dataclass(frozen=True)
class SourceGate:
    """The allow-list of source URLs: https prefixes and local folders."""

    prefixes: tuple[Prefix, ...]
    local_dirs: tuple[str, ...] = ()

    @classmethod
    def parse(cls, allowed: tuple[str, ...], local_dirs: tuple[str, ...] = ()) -> Self:
        """Read the two settings.

        Raises:
            ValueError: an entry is unfit.
        """
        relative = [folder for folder in local_dirs if not folder.startswith("/")]
        if relative:
            raise ValueError(f"{relative[0]!r} is not an absolute folder")
        return cls(
            tuple(Prefix.parse(text) for text in allowed),
            tuple(posixpath.normpath(folder) for folder in local_dirs),
        )

    def check(self, url: str) -> SplitResult:
        """Return the parts of an allowed URL.

        Raises:
            ValueError: it is not allowed; the message says by which rule and holds no secret.
        """
        if _SUSPECT.search(url):
            raise ValueError(
                "the URL has blanks, control characters, backslashes or other characters that no URL has"
            )
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValueError("the URL cannot be read: its host or port is malformed") from error
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise ValueError("the URL carries a user name or password (userinfo), which is not allowed")
        if _climbs(parts.path):
            raise ValueError("the URL's path climbs with '..' or hides a slash, which is not allowed")
        if parts.scheme == "file":
            return self._check_local(parts)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"the URL's scheme is {parts.scheme[:20] or 'missing'!r}; {self._rule()}")
        if not any(prefix.allows(parts) for prefix in self.prefixes):
            raise ValueError(
                f"the URL's source {parts.scheme}://{parts.netloc[:80]} is not allowed; {self._rule()}"
            )
        return parts

    def _check_local(self, parts: SplitResult) -> SplitResult:
        path = unquote(parts.path)
        inside = any(path.startswith(folder.rstrip("/") + "/") for folder in self.local_dirs)
        if parts.netloc not in {"", "localhost"} or not inside:
            allowed = ", ".join(self.local_dirs) or "none (GEXLAKE_LOCAL_SOURCE_DIRS is empty)"
            raise ValueError(f"the file:// URL lies outside the allowed folders: {allowed}")
        return parts

    def _rule(self) -> str:
        allowed = ", ".join(str(prefix) for prefix in self.prefixes)
        return f"it must start with {allowed} (GEXLAKE_ALLOWED_SOURCES)"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or literal address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _climbs(path: str) -> bool:
    lowered = path.lower()
    return ".." in unquote(path).split("/") or any(code in lowered for code in ("%2f", "%5c", "%00", "%25"))
