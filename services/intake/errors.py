"""Why intake refuses a request.

    GexlakeError
    └── Refused                       an answer that names the field, the rule and what to do
        ├── BadRequest            400     the body is no JSON object
        ├── Unauthorized          401     no valid API key
        ├── CrossOrigin           403     a web page of an unlisted origin sent it
        ├── NotFound              404     no such job, message or route
        ├── TooSlow               408     the request did not arrive in time
        ├── Conflict              409     the system or the job is not in a state for it
        ├── PreconditionFailed    412     what is to be changed has another revision
        ├── TooLarge              413     the body is over the limit
        ├── UnsupportedMediaType  415     the body's content type is not taken
        ├── ForeignHost           421     it is addressed to a host name that is not this service's
        ├── Unprocessable         422     a field is missing or breaks a rule
        ├── PreconditionRequired  428     the revision that is to be replaced is missing
        ├── TooManyRequests       429     the rate limit
        ├── QueryFailed           4xx 5xx the importer refused a query, or could not carry it out
        └── NotReady              503     nothing is stored now; the same request may be sent again

``BrokerUnavailable``, ``StreamFull`` and ``UrlKeysUnusable`` are answered as 503 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

from shared.errors import GexlakeError
from shared.process.redaction import redact

RETRY_AFTER_S: Final = 5
_FORM: Final = "application/x-www-form-urlencoded"
"""The content type that ``curl -d`` sends by default."""
_SOURCES: Final = frozenset({"body", "query", "path", "header"})
"""Where pydantic says that an input came from."""


class Refused(GexlakeError):
    """A request that is answered with an error.

    Args:
        field: the field of the input that is wrong; None when no single one is.
        rule: the rule that it breaks, as one word for programs.
        message: what is wrong and what to do, for the person who sent it; secrets are taken out here.
    """

    status: ClassVar[int]

    def __init__(self, field: str | None, rule: str, message: str) -> None:
        super().__init__(redact(message))
        self.field = field
        self.rule = rule

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {}


class BadRequest(Refused):
    """The body is no JSON object."""

    status = 400


class Unauthorized(Refused):
    """No valid API key was shown."""

    status = 401

    def __init__(self) -> None:
        super().__init__(
            "authorization",
            "api_key",
            "a valid API key is needed: send it as 'Authorization: Bearer <key>' or as 'X-API-Key: <key>'",
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class CrossOrigin(Refused):
    """A web page of an unlisted origin sent the request.

    Args:
        origin: the page's, if the browser sent it.
    """

    status = 403

    def __init__(self, origin: str | None) -> None:
        page = f"the origin {origin[:200]!r}" if origin else "another origin"
        super().__init__(
            "origin",
            "origin",
            f"a web page of {page} may send nothing here: to let the pages of an origin in, and userscripts "
            "on them, add it to GEXLAKE_CORS_ORIGINS",
        )


class ForeignHost(Refused):
    """The request is addressed to a host name that is not this service's.

    Args:
        host: the name; empty when there is not exactly one.
    """

    status = 421

    def __init__(self, host: str) -> None:
        super().__init__(
            "host",
            "host",
            f"{host[:200]!r} is not a host of this service: use localhost or 127.0.0.1, or add the name to "
            "GEXLAKE_ALLOWED_HOSTS",
        )


class NotFound(Refused):
    """What was asked for is not there."""

    status = 404


class TooSlow(Refused):
    """The request did not arrive in time.

    Args:
        part: the part that was awaited: headers or body.
        timeout_s: the time that it has.
    """

    status = 408

    def __init__(self, part: str, timeout_s: float) -> None:
        super().__init__(part, "timeout", f"the {part} of the request did not arrive within {timeout_s:g} s")


class Conflict(Refused):
    """The system is not set up for what is asked, or the job has begun or ended, or the id is another's."""

    status = 409


class PreconditionFailed(Refused):
    """What is to be changed has another revision than the client names.

    Args:
        message: which it has, and what to do.
    """

    status = 412

    def __init__(self, message: str) -> None:
        super().__init__("if-match", "revision", f"if-match: {message}")


class PreconditionRequired(Refused):
    """The request replaces something as a whole, and does not name the revision that it replaces."""

    status = 428

    def __init__(self) -> None:
        super().__init__(
            "if-match", "missing", "if-match: send the ETag of the rule that you read; PATCH needs none"
        )


class TooLarge(Refused):
    """The body is over the limit.

    Args:
        limit: in bytes.
    """

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__("body", "size", f"the body is over the limit of {limit} bytes for this route")


class UnsupportedMediaType(Refused):
    """The body's content type is not taken.

    Args:
        content_type: the one that was sent.
    """

    status = 415

    def __init__(self, content_type: str) -> None:
        hint = "; with curl add -H 'content-type: application/json'" if content_type.lower() == _FORM else ""
        super().__init__(
            "content-type",
            "content_type",
            f"the content type {content_type[:80]!r} is not taken: send application/json or text/plain{hint}",
        )


class Unprocessable(Refused):
    """A field is missing or breaks a rule."""

    status = 422

    @classmethod
    def first_of(cls, problems: Sequence[Any]) -> Self:
        """Return the refusal for the first of pydantic's errors, without repeating the input."""
        problem = problems[0]
        names = [str(part) for part in problem["loc"] if part not in _SOURCES]
        field = ".".join(names) or "body"
        text = problem["msg"].removeprefix("Value error, ")
        return cls(field, problem["type"], f"{field}: {text[:1].lower()}{text[1:]}")


class TooManyRequests(Refused):
    """The client is over its rate limit.

    Args:
        rate: the limit in words.
        retry_after_s: when the next request is let through, at least 1.
    """

    status = 429

    def __init__(self, rate: str, retry_after_s: int) -> None:
        super().__init__(
            None, "rate_limit", f"too many requests: the limit is {rate}; try again in {retry_after_s} s"
        )
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class QueryFailed(Refused):
    """The importer refused a query, or could not carry it out.

    Args:
        status: the importer's code, as in HTTP.
        message: the importer's text.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__("query", "query", message)
        self.status = status  # type: ignore[misc]  # this class alone has one that varies


class NotReady(Refused):
    """Nothing is stored now; the same request may be sent again."""

    status = 503

    def __init__(self, rule: str, message: str, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(None, rule, message)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}
