"""Everything Lookalike raises on purpose.

LookalikeError
└── UserError                 the user can mend it: one sentence of cause and cure, exit code 2
    ├── ConfigError           the composed experiment is impossible (carries all faults at once)
    ├── DatasetError          images, labels, captions or ready vectors are not as described
    │   └── ImageError        one image cannot be decoded: goes to the bad-image ledger
    ├── ModelError            weights missing, hash wrong, no text tower ...
    ├── QueryError            the query protocol and the dataset do not fit
    ├── IndexingError         FAISS refuses the factory string, the training set or the file
    ├── StoreError            the store cannot be read or written
    ├── TrackingError         the tracking backend cannot be reached
    └── OtherVersionError     a file of ours is of a format that this version does not read
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class LookalikeError(Exception):
    """Base of all errors that Lookalike raises on purpose."""


UNPRINTED = re.compile("[\\0-\\t\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
"""What would move a terminal's cursor, turn its text around, or cannot be encoded; line breaks may stay."""


def printable(text: str) -> str:
    """Return ``text`` with what a terminal would act upon spelled out: files put anything into a message."""
    return UNPRINTED.sub(lambda sign: ascii(sign[0])[1:-1], text)


class UserError(LookalikeError):
    """Something the user can mend; the message says what happened and what to do instead."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class ConfigError(UserError):
    """The composed experiment is impossible; ``faults`` holds every reason, each with its cure."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[str, ...]]]:
        return (type(self), (self.faults,))


class DatasetError(UserError):
    """Images, labels, captions or ready vectors are not as the dataset config says."""


class ImageError(DatasetError):
    """One image cannot be decoded; the run goes on without it and keeps the reason."""


class ModelError(UserError):
    """The model cannot be had, is not what its config says, or cannot do what is asked."""


class QueryError(UserError):
    """The query protocol asks for something that the dataset or model does not have."""


class IndexingError(UserError):
    """FAISS cannot build, read or search the index as configured."""


class StoreError(UserError):
    """The artifact store cannot be read or written."""


class TrackingError(UserError):
    """The tracking backend cannot be reached or refuses what is logged."""


class OtherVersionError(UserError):
    """A file is sound, and another version of Lookalike wrote it: nothing may be done in its place."""


LONGEST_REASON = 240
"""Characters of a parser's own words: some repeat half of the file."""


@contextmanager
def foreign_parser(what: str, cure: str, kind: type[UserError] = DatasetError) -> Iterator[None]:
    """Raise ``kind``, "``what`` (reason); ``cure``", for whatever code that is not ours raises on a file.

    Stand it around the call of the parser and as little else as can be: damaged files make parsers raise
    nearly anything, so everything that is an ``Exception`` is taken for the file's fault, and so is a panic
    of a parser in Rust. Errors of our own, Ctrl-C and exits pass. ``what`` names the file: ``a.npy is no
    readable .npy array``. Where the operating system refused (permissions, a bad disk) the cure is another,
    and so is the reason where memory ran out.
    """
    try:
        yield
    except LookalikeError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, OSError) and error.errno and error.strerror:
            cure = "see that it is there, that you may read it and that its disk is well"
        raise kind(f"{what} ({parser_reason(error)}); {cure}") from error


def parser_reason(error: BaseException) -> str:
    """Return the first line of what a parser said, short and printable whatever a file put into it."""
    if isinstance(error, MemoryError):
        return "reading it takes more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    else:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        if not reason:
            reason = type(error).__name__
        elif not isinstance(error, ValueError | OSError | RuntimeError):
            reason = f"{type(error).__name__}: {reason}"  # of a KeyError the words alone say nothing
    short = printable(reason[:LONGEST_REASON])
    return short + "…" if len(reason) > LONGEST_REASON else short
