"""Why a command could not be done; each message is the one line that the user sees.

    CommandFailed
    ├── IntakeUnreachable    nothing answers at intake's address, or not in time
    ├── CertificateRefused   something answers there, with a certificate that is not trusted
    ├── UnusableCertificates GEXLAKE_CA_FILE has no certificates
    ├── UnexpectedAnswer     something answers there, but not gexlake
    ├── RequestRefused       intake said no
    ├── MissingOption        it lacks what an option may say
    ├── NoSuchFile           neither a URL nor a file
    ├── NotAnId              a text that cannot name a job
    ├── UnknownId            no job's id starts with it
    ├── AmbiguousId          the ids of several jobs do
    ├── UnknownRule          no rule, or several, have this name or start of an id
    ├── UnusableCsv          a file with symbols cannot be read
    ├── NoSnapshots          the lake has none of the day that is to be replayed
    ├── HistoryWins          the gexlake that a day is posted to has it from history
    ├── StoresReplays        the gexlake that a day is posted to has no replays for stream readers alone
    └── ResultIncomplete     the result of an export ended before its end

``gexlake.cli.__main__`` prints the message and exits with status 1.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path


class CommandFailed(Exception):
    """Base of the errors of the command line; ``str()`` is the line that the user sees."""


class IntakeUnreachable(CommandFailed):
    """No answer from intake.

    Args:
        url: its address.
        why: the lower library's words.
    """

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"intake does not answer at {url} ({why}): start the system with 'make run' or "
            "'docker compose up', or say where it is: GEXLAKE_PORT or GEXLAKE_URL"
        )
        self.why = why


class CertificateRefused(CommandFailed):
    """The certificate at intake's address is not trusted, or is another host's; or it is no TLS.

    Args:
        url: the address.
        why: what OpenSSL says.
    """

    def __init__(self, url: str, why: ssl.SSLError) -> None:
        if not isinstance(why, ssl.SSLCertVerificationError):
            problem = f"no TLS connection to {url} ({why.reason or why})"
            super().__init__(f"{problem}: is it http, or is GEXLAKE_URL wrong?")
            return
        super().__init__(
            f"the certificate of {url} is not accepted ({why.verify_message}): set GEXLAKE_CA_FILE to the "
            "certificate of the authority that signed it, and use the host that it names in GEXLAKE_URL"
        )


class UnusableCertificates(CommandFailed):
    """The file of GEXLAKE_CA_FILE is not usable.

    Args:
        path: the file.
        why: the lower library's error.
    """

    def __init__(self, path: Path, why: Exception) -> None:
        super().__init__(f"GEXLAKE_CA_FILE has no certificates that can be read: {path} ({why})")


class UnexpectedAnswer(CommandFailed):
    """An answer that gexlake does not give.

    Args:
        source: where it came from.
        what: what is odd about it.
        setting: the setting with its address.
    """

    def __init__(self, source: str, what: str, setting: str = "GEXLAKE_URL") -> None:
        super().__init__(f"{source} does not answer as gexlake does ({what}): is {setting} right?")


class RequestRefused(CommandFailed):
    """Intake refused a request.

    Args:
        status: the HTTP status.
        message: intake's words.
        missing: the field that the request lacks, if that is why.
    """

    def __init__(self, status: int, message: str, missing: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.missing = missing


class MissingOption(CommandFailed):
    """A file's name does not contain what intake needs to know.

    Args:
        name: of the option.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the file's name does not contain the {name}: add --{name}")


class NoSuchFile(CommandFailed):
    """What is to be submitted is neither a URL nor a file.

    Args:
        text: what was given.
        what: what it is.
    """

    def __init__(self, text: str, what: str) -> None:
        super().__init__(f"{text[:200]!r} {what}: give an https:// or file:/// URL, or the path of one file")


class NotAnId(CommandFailed):
    """A text that is no job's id.

    Args:
        text: what was given.
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:80]!r} is neither a job's id nor the start of one: 'gexlake jobs' lists the ids"
        )


class UnknownId(CommandFailed):
    """No job's id has this start.

    Args:
        start: the start.
    """

    def __init__(self, start: str) -> None:
        super().__init__(
            f"no job of the last 30 days has an id that starts with {start}: 'gexlake jobs' lists the newest"
        )


class AmbiguousId(CommandFailed):
    """The ids of several jobs have this start.

    Args:
        start: the start.
        total: how many jobs.
        jobs: the first of them, one a line.
    """

    def __init__(self, start: str, total: int, jobs: Sequence[str]) -> None:
        more = [f"and {total - len(jobs)} more"] if total > len(jobs) else []
        lines = "".join(f"\n  {line}" for line in [*jobs, *more])
        super().__init__(f"{total} jobs have an id that starts with {start}; give more of it:{lines}")


class UnknownRule(CommandFailed):
    """No rule has this name or id, or several do.

    Args:
        text: what was given.
        count: how many do.
    """

    def __init__(self, text: str, count: int) -> None:
        found = f"{count} rules are" if count else "no rule is"
        super().__init__(f"{found} called {text[:80]!r}: 'gexlake rules list' shows names and ids")


class UnknownSource(CommandFailed):
    """No source has this address, host, name or id, or several do.

    Args:
        text: what was given.
        count: how many do.
    """

    def __init__(self, text: str, count: int) -> None:
        found = f"{count} sources are" if count else "no source is"
        super().__init__(f"{found} called {text[:80]!r}: 'gexlake sources list' shows addresses and ids")


class UnusableCsv(CommandFailed):
    """A file with symbols cannot be read.

    Args:
        path: the file.
        why: what is wrong with it.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be read: {why}: its first line names the columns symbol and strategy"
        )


class NoSnapshots(CommandFailed):
    """There is nothing to replay.

    Args:
        part: the day, or the part of it.
    """

    def __init__(self, part: str) -> None:
        super().__init__(f"the lake has no snapshots of {part}: 'gexlake jobs' lists what was imported")


class HistoryWins(CommandFailed):
    """The gexlake that a day is to be posted to has imported it: live rows would change nothing.

    Args:
        url: its address.
        part: the day.
    """

    def __init__(self, url: str, part: str) -> None:
        super().__init__(
            f"the lake of {url} has history of {part}, which live snapshots never replace: give another "
            "gexlake by --to, or --stream-only for its stream readers alone"
        )


class StoresReplays(CommandFailed):
    """The gexlake that a day is to be posted to would store it.

    Args:
        url: its address.
    """

    def __init__(self, url: str) -> None:
        super().__init__(f"the gexlake at {url} does not know stream_only and would store the day: update it")


class ResultIncomplete(CommandFailed):
    """The result of an export ended before its end.

    Args:
        why: the lower library's words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the result ended early and is not complete ({why}): the query failed, took too long, or a "
            "service was stopped; intake's log says which"
        )
