"""What tells that an image has changed, and what the store knows of its contents.

A fingerprint never says where an image lies, which changes with every mount and move. Beside each embedding
stand its image's fingerprint and the hash of the bytes that were decoded. An image whose fingerprint is
another now, though its id and size are the same, is hashed; where the hash is the one that was kept, it is
given the fingerprint that it had. Keys are made of ids and fingerprints: so all that was made from the images
is found again, embeddings, neighbours and indexes alike.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.datasets.sets import UNREADABLE, ImageSet
from lookalike.errors import DatasetError, StoreError, foreign_parser
from lookalike.progress import SILENT, Progress
from lookalike.store.artifact import Artifact
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_TELLING_MTIME_NS = 315_705_600 * 10**9
"""1980-01-03. Archives, packages and reproducible builds write the times before it, alike to every file."""


def stat_fingerprints(paths: Sequence[str], content_hash: Callable[[int], str]) -> list[str]:
    """Return a text for each file that changes with its size or mtime_ns: ``SIZE-MTIME``, hexadecimal.

    A file whose mtime tells nothing is hashed by its bytes: ``content_hash`` of its row. A file that is gone
    has a fingerprint too: decoding will say so.
    """
    return [_stat_fingerprint(path, row, content_hash) for row, path in enumerate(paths)]


def _stat_fingerprint(path: str, row: int, content_hash: Callable[[int], str]) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return "gone"
    if status.st_mtime_ns < FIRST_TELLING_MTIME_NS:
        return f"{status.st_size:x}-{content_hash(row)}"
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def content_fingerprints(images: ImageSet, progress: Progress) -> list[str]:
    """Return the SHA-256 of each encoded image; what cannot be read has a fingerprint too, see ImageSet."""
    with ThreadPoolExecutor() as pool, progress.bar("reading contents", len(images), "images") as bar:
        fingerprints = []
        for one in pool.map(images.content_hash, range(len(images))):
            fingerprints.append(one)
            bar.advance()
        return fingerprints


ENDS_BYTES = 4096
"""Read at the start and at the end of a file that holds many rows."""


def file_fingerprint(file: Path, size: int | None = None, mtime_ns: int | None = None) -> str:
    """Return a text that stands for a file of many images or vectors, wherever it lies.

    It changes with the file's name, size, mtime_ns, first and last bytes; these tell files apart that are
    alike in all else, as shards are. ``size``, ``mtime_ns``: as they were, where they are known. Raises
    DatasetError when the file cannot be read.
    """
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            size, mtime_ns = size or status.st_size, mtime_ns or status.st_mtime_ns
            digest = hashlib.blake2b(b"%s\0%d\0" % (os.fsencode(file.name), mtime_ns), digest_size=8)
            digest.update(opened.read(ENDS_BYTES))
            opened.seek(max(0, size - ENDS_BYTES))
            digest.update(opened.read(ENDS_BYTES))
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error.strerror}); check its permissions") from error
    return f"{size:x}-{digest.hexdigest()}"


def size_in(fingerprint: str) -> str:
    """Return the size that a fingerprint begins with; empty for one of contents, which has none."""
    return fingerprint.partition("-")[0] if "-" in fingerprint else ""


EMBEDDED_KINDS = ("embeddings", "queries")
"""Artifacts that hold the vectors of a gallery, or of queries."""
METADATA = "metadata.parquet"
"""Of such an artifact: ``id``, ``fingerprint`` and, of images, ``sha256`` of each row."""
LEDGER = "bad.json"
"""Of such an artifact: the images without a vector, see ``lookalike.embed.shards``."""

SAMPLES = 8
"""Images of a shard that are read to see that it is the gallery that it seems to be."""
CONTENT_HASH_LENGTH = 64
CONTENTS_KIND = "contents"
CONTENTS_VERSION = 1
CONTENTS = "contents.parquet"


def content_of(ids: Iterable[str], fingerprints: Iterable[str]) -> str:
    """Return the SHA-256 that stands for these rows in a key."""
    content = hashlib.sha256()
    for identity, fingerprint in zip(ids, fingerprints, strict=True):
        content.update(f"{identity}\0{fingerprint}\0".encode())
    return content.hexdigest()


def settle_fingerprints(images: ImageSet, store: Store, progress: Progress = SILENT) -> ImageSet:
    """Return the images with the fingerprints that the store knows their contents by.

    Where every fingerprint is known, or none of the ids, no more than a few images are read: those that show
    whether another gallery has the same names, sizes and times. Then contents tell them apart. What was
    hashed is remembered in the store, if it can be written.
    """
    if images.open is None or not len(images):
        return images
    ids, fingerprints = list(images.ids), list(images.fingerprints)
    if shards := _embedded_shards(ids, fingerprints, images.shard_size, store):
        same = _are_the_same(images, _kept_hashes(shards), _samples(images))
        return images if same else _fingerprinted_by_contents(images, store, progress)
    recipe = Recipe(
        CONTENTS_KIND,
        CONTENTS_VERSION,
        {"rows": len(ids), "content": content_of(ids, fingerprints)},
        {},
    )
    if remembered := store.find(recipe):
        return replace(images, fingerprints=read_texts(remembered, CONTENTS, ["settled"])[0])
    settled, kept = _settle(images, ids, fingerprints, store, progress)
    if not _are_the_same(images, kept, _samples(images)):
        return _fingerprinted_by_contents(images, store, progress)
    touched = sum(map(str.__ne__, settled, fingerprints))
    if not touched:
        return images
    progress.say(
        f"{touched:,} {'image is' if touched == 1 else 'images are'} as before but for the time of change: "
        "the contents are the same, and what was made from them is reused"
    )

    def remember(draft: Path) -> Mapping[str, Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"id": ids, "fingerprint": fingerprints, "settled": settled})
        pq.write_table(table, draft / CONTENTS)
        return {"touched": touched}

    with suppress(StoreError):  # to forget it costs time and nothing else
        store.obtain(recipe, remember)
    return replace(images, fingerprints=settled)


def _embedded_shards(
    ids: Sequence[str], fingerprints: Sequence[str], shard_size: int, store: Store
) -> list[Artifact] | None:
    """The artifacts that hold just these shards, each one; then hardly a table has to be read."""
    known = {artifact.manifest["parameters"].get("content"): artifact for artifact in _embedded(store)}
    if not known:
        return None
    shards = (slice(start, start + shard_size) for start in range(0, len(ids), shard_size))
    found = [known.get(content_of(ids[shard], fingerprints[shard])) for shard in shards]
    return [artifact for artifact in found if artifact] if None not in found else None


def _samples(images: ImageSet) -> list[int]:
    """Some rows of the first shard and of the last."""
    last = (len(images) - 1) // images.shard_size * images.shard_size
    ends = ((0, min(images.shard_size, len(images))), (last, len(images)))
    return sorted({start + (stop - start) * i // SAMPLES for start, stop in ends for i in range(SAMPLES)})


def _kept_hashes(shards: Sequence[Artifact]) -> dict[str, str]:
    """Id -> content hash, of the first shard and of the last."""
    return {id_: content for shard in (shards[0], shards[-1]) for id_, _, content in known_contents(shard)}


def _are_the_same(images: ImageSet, kept: Mapping[str, str], rows: Iterable[int]) -> bool:
    """Whether images have the contents that were kept of them; what cannot be read is left out of account."""
    for row in rows:
        content = kept.get(images.ids[row])
        if content and images.content_hash(row) not in (content, UNREADABLE):
            return False
    return True


def _fingerprinted_by_contents(images: ImageSet, store: Store, progress: Progress) -> ImageSet:
    progress.warn(
        "images have the names, sizes and times of change of others that were embedded, and other contents; "
        "all are told apart by their contents, as by dataset.fingerprint=content"
    )
    by_contents = replace(images, fingerprints=content_fingerprints(images, progress))
    return settle_fingerprints(by_contents, store, progress)


def _settle(
    images: ImageSet, ids: Sequence[str], fingerprints: Sequence[str], store: Store, progress: Progress
) -> tuple[list[str], dict[str, str]]:
    """The fingerprints, and by id the content hashes kept of some images whose own are known."""
    sampled, kept = {ids[row] for row in _samples(images)}, dict[str, str]()
    unknown = {id_: row for row, id_ in enumerate(ids)}
    candidates: defaultdict[int, dict[str, str]] = defaultdict(dict)
    settled = list(fingerprints)
    for artifact in store.artifacts(CONTENTS_KIND):
        for id_, fingerprint, earlier in zip(
            *read_texts(artifact, CONTENTS, ["id", "fingerprint", "settled"]), strict=True
        ):
            if id_ in unknown and fingerprint == fingerprints[unknown[id_]]:
                settled[unknown.pop(id_)] = earlier
    for artifact in _embedded(store):
        if not unknown:
            break
        for id_, fingerprint, content in known_contents(artifact):
            if (row := unknown.get(id_)) is None:
                continue
            if fingerprint == fingerprints[row]:
                del unknown[id_]
                if id_ in sampled:
                    kept[id_] = content
            elif content and _can_be_equal(fingerprint, fingerprints[row]):
                candidates[row][fingerprint] = content
    rows = [row for row in unknown.values() if row in candidates]
    if not rows:
        return settled, kept

    def content_of_row(row: int) -> str:
        is_content = len(fingerprints[row]) == CONTENT_HASH_LENGTH  # dataset.fingerprint=content
        return fingerprints[row] if is_content else images.content_hash(row)

    with ThreadPoolExecutor() as pool, progress.bar("comparing contents", len(rows), "images") as bar:
        for row, content in zip(rows, pool.map(content_of_row, rows), strict=True):
            same = [fingerprint for fingerprint, known in candidates[row].items() if known == content]
            settled[row] = same[-1] if same else settled[row]  # the oldest
            bar.advance()
    return settled, kept


def _can_be_equal(fingerprint: str, other: str) -> bool:
    """Whether images with these fingerprints may have the same contents: the size is not another."""
    sizes = {size_in(fingerprint), size_in(other)} - {""}
    return len(sizes) < 2


def _embedded(store: Store) -> Iterator[Artifact]:
    return chain.from_iterable(map(store.artifacts, EMBEDDED_KINDS))


def known_contents(artifact: Artifact) -> Iterator[tuple[str, str, str]]:
    """Yield id, fingerprint and content hash of all images of an artifact, those without a vector last.

    Nothing of artifacts that hold no images, that an older version made, or that have just been removed.
    """
    yield from zip(*read_texts(artifact, METADATA, ["id", "fingerprint", "sha256"]), strict=True)
    yield from read_bad_contents(artifact)


def read_bad_contents(artifact: Artifact) -> Iterator[tuple[str, str, str]]:
    """Yield id, fingerprint and content hash of an artifact's images without a vector."""
    try:
        for entry in json.loads((artifact.path / LEDGER).read_bytes()):
            _, id_, _, _, fingerprint, content = entry
            yield id_, fingerprint, content
    except (OSError, ValueError, TypeError):  # an older version's
        return


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a table of ours, or these columns of it.

    ``pyarrow.parquet.read_table`` would do, and imports pandas: a quarter of a second of a reused run.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        table: pa.Table = file.read(None if columns is None else list(columns))
        return table


def read_texts(artifact: Artifact, name: str, columns: Sequence[str]) -> list[list[str]]:
    """Columns of one of an artifact's tables; empty when it does not have them all."""
    import pyarrow.parquet as pq

    try:
        with foreign_parser(f"{artifact.path / name} is not a parquet file", "run lookalike store verify"):
            if set(columns) <= set(pq.read_schema(artifact.path / name).names):
                table = read_parquet(artifact.path / name, columns)
                return [table.column(column).to_pylist() for column in columns]
    except DatasetError:  # the reader of the table itself says so
        pass
    return [[] for _ in columns]
