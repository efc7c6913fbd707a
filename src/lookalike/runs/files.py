"""Files of results: written so that a reader sees them whole, and JSON of ours read with its types."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from lookalike.errors import OtherVersionError, UserError
from lookalike.store.files import atomic_write, read_json


@contextmanager
def writing_results(folder: Path) -> Iterator[None]:
    """Create ``folder``; errors of the system while something is written there become a UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"results cannot be written to {folder} ({error.strerror or error}); "
            "free some space there, or set paths.root to a folder on another disk"
        ) from error


@contextmanager
def result_file(path: Path) -> Iterator[Path]:
    """Yield a draft of ``path`` as :func:`~lookalike.store.files.atomic_write` does; create its folder.

    Raises :class:`UserError` as :func:`writing_results` does.
    """
    with writing_results(path.parent), atomic_write(path) as draft:
        yield draft


def load_own_json(
    file: Path, format_: int, *, kind: str, cure: str, absent: str, instead: str
) -> dict[str, Any]:
    """The object in a JSON file that a version of Lookalike wrote, without its ``format``.

    Raises :class:`UserError`: ``absent`` when there is no such file; with ``cure`` when it cannot be read or
    is no ``kind``; with ``instead``, besides using that version, when its format is another.
    """
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise UserError(absent) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); make it readable") from None
    except ValueError as fault:
        reason = "" if isinstance(fault, json.JSONDecodeError | UnicodeError) else f" of ours: {fault}"
        raise UserError(f"{file} is not JSON{reason}; {cure}") from None
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a file name of raw bytes, which no report could write
        content = json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))
    found = content.pop("format", None) if isinstance(content, dict) else None
    if type(found) is not int:
        raise UserError(f"{file} is not {kind}; {cure}")
    if found != format_:
        raise OtherVersionError(
            f"{file} was written by another version of Lookalike, in format {found} (this one reads format "
            f"{format_}); use that version, or {instead}"
        )
    return dict(content)


def read_as(kind: Any, value: Any, where: str) -> Any:
    """Return ``value``, as JSON gave it, as a ``kind``: a dataclass, a container or a plain type.

    Raises ``TypeError`` or ``ValueError`` that says where the two do not fit; ``where`` is what the value
    is called there.
    """
    if kind is Any or (value is None and isinstance(kind, UnionType) and type(None) in get_args(kind)):
        return value
    if isinstance(kind, UnionType):
        kinds = [each for each in get_args(kind) if each is not type(None)]
        return read_as(next((each for each in kinds if type(value) is each), kinds[0]), value, where)
    plain: Any = get_origin(kind) or kind
    if isinstance(plain, type) and is_dataclass(plain):
        return _read_object(plain, value, where)
    fits = type(value) is plain or (plain is float and type(value) is int)
    if not fits or (type(value) is int and abs(value) >= 2**63):
        raise TypeError(f"{where} is not a {plain.__name__}")
    return _read_items(plain, get_args(kind), value, where)


def _read_object(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where} is not an object")
    hints = get_type_hints(kind)
    if unknown := value.keys() - hints.keys():
        raise TypeError(f"{where}.{min(unknown)} is unknown")
    return kind(**{name: read_as(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def _read_items(plain: Any, kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The items of a list or object, whose type is the last of ``kinds``; other values as they are."""
    if plain is list and kinds:
        return [read_as(kinds[-1], each, f"{where}[{i}]") for i, each in enumerate(value)]
    if plain is dict and kinds:
        return {key: read_as(kinds[-1], each, f"{where}.{key}") for key, each in value.items()}
    return value


_ABSENT = object()


def as_plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it: numpy scalars become numbers, keys strings, and NaN is left out."""
    kept = _keep(value)
    return None if kept is _ABSENT else kept


def _keep(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {str(key): _keep(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not _ABSENT}
    if isinstance(value, list | tuple):
        items = [_keep(item) for item in value]
        return _ABSENT if _ABSENT in items else items
    if isinstance(value, float) and not math.isfinite(value):
        return _ABSENT
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return _keep(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a record cannot hold a {type(value).__name__}: {value!r}")


def identity_of(path: Path) -> tuple[int, int, int]:
    """Return what tells a file from every other one that lies, or lay, at its place."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold off others that would replace the file at ``path``; yields whether it is there and the same.

    Where the file system has no locks nothing is held off.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        yield False
        return
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            same = os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            same = False
        yield same
    finally:
        os.close(descriptor)
