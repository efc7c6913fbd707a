"""Files and folders for others, which appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import UserError
from lookalike.store.files import says_disk_full

TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


def check_free(target: Path) -> None:
    """Raise UserError unless ``target`` is nothing yet, or an empty folder."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise UserError(_taken(target))


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A place beside ``target`` for what the block makes, a file or a folder; it takes that name at the end.

    When the block does not end well, nothing stays. Raises UserError when the target is taken meanwhile,
    or cannot be written.
    """
    draft = target.parent / f".{target.name}.{os.getpid()}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        check_free(target)
        draft.rename(target)
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in TAKEN:
            raise UserError(_taken(target)) from error
        if not isinstance(error, OSError) and not says_disk_full(error):
            raise
        reason = os.strerror(errno.ENOSPC) if says_disk_full(error) else getattr(error, "strerror", None)
        raise UserError(
            f"{target} cannot be written ({reason or error}); name a folder on another disk"
        ) from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _taken(target: Path) -> str:
    what = "is not empty" if target.is_dir() else "is there already"
    return f"{target} {what}; name a new {'folder' if target.is_dir() else 'one'}"
