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
    └── TrackingError         the tracking backend cannot be reached
"""

from __future__ import annotations

from collections.abc import Sequence


class LookalikeError(Exception):
    """Base of all errors that Lookalike raises on purpose."""


class UserError(LookalikeError):
    """Something the user can mend; the message says what happened and what to do instead."""


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
