"""Everything that thinfile raises, as a tree: catch the branch that you can react to.

Every message is one line that names the thing at fault, its value and the rule. The command
line prints that line and exits with code 2.
"""

from __future__ import annotations


class ThinfileError(Exception):
    """Root of the tree. Catch it to catch all that thinfile raises on purpose."""


class ParameterError(ThinfileError, ValueError):
    """A constructor argument or option breaks its rule; the message lists every fault at once."""


class DataError(ThinfileError, ValueError):
    """The rows or columns handed in cannot be used as they are."""


class SchemaError(DataError):
    """A table does not fit its schema: a column is missing, doubled or of another type."""


class ArtifactError(ThinfileError, ValueError):
    """A saved model is damaged, of an unknown format, or cannot be written."""


class TrainingError(ThinfileError, RuntimeError):
    """Training went off (a loss that is not finite, say); the last good weights are kept."""


class MissingPackageError(ThinfileError, ImportError):
    """An optional package is needed; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'thinfile[{extra}]'"
        )


class ThinfileWarning(UserWarning):
    """Something was done that the user should know of, and said once."""
