"""The allow-list of source URLs, used by intake and fetcher."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from shared.sources.addresses import is_loopback, literal, why_inside

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_SUSPECT: Final = re.compile(r"[^\x21-\x7e]|[\\\"<>]")
"""Characters not allowed in a URL: parsers would disagree on the host, or redaction on the end."""
_MISREAD: Final = re.compile(r"%(?:[01][0-9a-f]|2f|5c|25|7f|(?![0-9a-f]{2}))", re.IGNORECASE)
"""Percent codes in a path that parsers treat differently: slashes, controls and double encodings."""
_AUTHORITY: Final = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::\d*)?", re.ASCII)
"""Host and port, with nothing around the brackets of an address, which ``urlsplit`` would ignore."""
_WILDCARD: Final = "*."
_ALLOW_IT: Final = (
    "start gexlake with the file's folder in GEXLAKE_LOCAL_SOURCE_DIRS (with Docker, in "
    "GEXLAKE_LOCAL_SOURCES: it is /local for gexlake, so the URL is file:///local/<name>)"
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME: Final = re.compile(rf"(?:{_LABEL.pattern}\.)*(?=[a-z]){_LABEL.pattern}")
"""A host name. Its last label begins with a letter, as some parsers take a final number for an address."""
_MAX_NAME_LENGTH: Final = 253


@dataclass(frozen=True)
class Prefix:
    """One allowed prefix of a URL, parsed."""

    scheme: str
    host: str
    """A name or address in its canonical form; ``*.`` before a name matches exactly one label."""
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an entry of ``GEXLAKE_ALLOWED_SOURCES``.

        Raises:
            ValueError: it is not https, nor http on a loopback host.
        """
        if _SUSPECT.search(text):
            raise ValueError(f"{text!r} has characters that no URL has; write other alphabets as xn--")
        try:
            parts = urlsplit(text)
        except ValueError as error:  # newer versions of Python refuse some malformed hosts here
            raise ValueError(f"{text!r} has a malformed host") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"{text!r} is not the start of an http(s) URL")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError(f"{text!r} is plain http: only a loopback host may be, use https")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(f"{text!r} must have no user, query or fragment")
        if not _AUTHORITY.fullmatch(parts.netloc):
            raise ValueError(f"{text!r} has a malformed host")
        if _climbs(parts.path):
            raise ValueError(f"{text!r} has a path that climbs or hides a slash")
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme, _plain_host(text, parts.hostname), port, parts.path.rstrip("/") + "/")

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}{self.path}"

    def allows(self, parts: SplitResult) -> bool:
        """Return whether a URL's scheme, host, port and path match this prefix."""
        port = _DEFAULT_PORTS[self.scheme] if parts.port is None else parts.port
        is_here = parts.scheme == self.scheme and self.is_at(parts.hostname or "", port)
        return is_here and parts.path.startswith(self.path)

    def is_at(self, host: str, port: int) -> bool:
        """Return whether a host and port match this prefix."""
        if port != self.port or not self.host.startswith(_WILDCARD):
            return (host, port) == (self.host, self.port)
        label, _, rest = host.partition(".")
        is_plain = _LABEL.fullmatch(label) is not None and not label.startswith("xn--")
        return is_plain and rest == self.host.removeprefix(_WILDCARD)


@dataclass(frozen=True)
class SourceGate:
    """The allow-list of source URLs: https prefixes and local folders."""

    prefixes: tuple[Prefix, ...]
    local_dirs: tuple[str, ...] = ()

    @classmethod
    def parse(cls, allowed: tuple[str, ...], local_dirs: tuple[str, ...] = ()) -> Self:
        """Parse the two settings.

        Raises:
            ValueError: an entry is invalid.
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
            ValueError: it is not allowed; the message names the rule and contains no secret.
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
        if not _AUTHORITY.fullmatch(parts.netloc):
            raise ValueError("the URL cannot be read: its host or port is malformed")
        if _climbs(parts.path):
            raise ValueError("the URL's path climbs with '..' or hides a slash, which is not allowed")
        if parts.scheme == "file":
            return self._check_local(parts)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"{_scheme_problem(parts)}; {self._rule()}")
        if not any(prefix.allows(parts) for prefix in self.prefixes):
            raise ValueError(
                f"the URL's source {parts.scheme}://{parts.netloc[:80]} is not allowed; {self._rule()}"
            )
        return parts

    def follow(self, url: str, location: str) -> str:
        """Return the target of a redirect.

        Args:
            url: the allowed URL that redirects.
            location: the target, absolute or relative to ``url``.

        Raises:
            ValueError: the target is not allowed.
        """
        try:
            target = urljoin(url, location)
        except ValueError as error:
            raise ValueError("the URL cannot be read: its host is malformed") from error
        self.check_redirect(url, target)
        return target

    def check_redirect(self, url: str, target: str) -> SplitResult:
        """Return the parts of the target of a redirect.

        Raises:
            ValueError: it may not lead there: what is not allowed by itself, a local file, plain http after
                https, or this machine for a source that is not on it.
        """
        start, parts = urlsplit(url), self.check(target)
        if parts.scheme == "file":
            raise ValueError("it is a local file, which is not allowed")
        if start.scheme == "https" and parts.scheme != "https":
            raise ValueError("it is plain http after https, which is not allowed")
        if is_loopback(parts.hostname or "") and not is_loopback(start.hostname or ""):
            raise ValueError("it leads from outside to this machine, which is not allowed")
        return parts

    def lists(self, host: str, port: int) -> bool:
        """Return whether a host and port belong to an allowed source."""
        return any(prefix.is_at(host, port) for prefix in self.prefixes)

    def _check_local(self, parts: SplitResult) -> SplitResult:
        path = unquote(parts.path)
        if parts.netloc not in {"", "localhost"} or not path.startswith("/"):
            raise ValueError(
                "the file:// URL lies outside the allowed folders: it has no absolute path; write "
                "file:/// and the whole path, with three slashes"
            )
        if not any(path.startswith(folder.rstrip("/") + "/") for folder in self.local_dirs):
            allowed = ", ".join(self.local_dirs) or "none (GEXLAKE_LOCAL_SOURCE_DIRS is empty)"
            raise ValueError(f"the file:// URL lies outside the allowed folders: {allowed}; {_ALLOW_IT}")
        return parts

    def _rule(self) -> str:
        allowed = ", ".join(str(prefix) for prefix in self.prefixes)
        return f"it must start with {allowed} (GEXLAKE_ALLOWED_SOURCES)"


def _scheme_problem(parts: SplitResult) -> str:
    if parts.scheme:
        return f"the URL's scheme is {parts.scheme[:20]!r}"
    is_path = parts.path.startswith("/") and not parts.netloc
    return f"the URL has no scheme{' (a local file is file:// and its path)' if is_path else ''}"


def _plain_host(text: str, host: str) -> str:
    """Return the host of an entry in its canonical form."""
    address = literal(host)
    if address is not None:
        kind = why_inside(address)
        if kind and not is_loopback(host):
            raise ValueError(f"{text!r} is {kind}: sources are reached outside, or on a loopback host")
        return str(address)
    plain = host.removesuffix(".")
    name = plain.removeprefix(_WILDCARD)
    if not _NAME.fullmatch(name) or len(plain) > _MAX_NAME_LENGTH:
        raise ValueError(f"{text!r} has a host that is neither a name nor an address in its usual form")
    if name != plain and "." not in name:
        raise ValueError(f"{text!r} has a wildcard over a whole top-level domain: name two labels at least")
    return plain


def _climbs(path: str) -> bool:
    """Return whether parsers could disagree on a path."""
    segments = unquote(path).split("/")
    return bool(_MISREAD.search(path)) or any(part.partition(";")[0] in {".", ".."} for part in segments)
