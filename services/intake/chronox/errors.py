"""Why a run does not go on.

GexlakeError
├── PhaseFailed   a phase has an error: the run ends with it
└── RunLost       the run was ended or taken over by another: this intake leaves it
"""

from __future__ import annotations

from shared.errors import GexlakeError


class PhaseFailed(GexlakeError):
    """A phase of a run failed; the text is for the symbol's ``error_message``."""


class RunLost(GexlakeError):
    """The run is not this intake's any more."""
