"""What earlier runs embedded of the same rows: copied, recognised, compared to say why more is made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lookalike.datasets.fingerprints import METADATA, read_bad_contents, read_parquet, read_texts, size_in
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet
from lookalike.embed.shards import EMBEDDINGS_VERSION, KINDS, VECTORS, Copies, files_of, shaping
from lookalike.machine.environment import cores, cpu_model
from lookalike.store.artifact import Artifact
from lookalike.store.recipe import Recipe, explain
from lookalike.store.store import Store

OUTDATED = "made by Lookalike "
"""How the reason for making again begins where an older Lookalike had made it."""
MADE_BY = {1: "0.1.0"}
"""Which Lookalike made embeddings of an older version."""
RELATIVES = 200
"""Artifacts, newest first, that are compared with what has to be made."""


def find_copies(store: Store, model_recipe: Mapping[str, Any], inputs: ImageSet | TextSet) -> list[Copies]:
    """What need not be embedded again, at most one source for each row."""
    wanted = {pair: row for row, pair in enumerate(zip(inputs.ids, inputs.fingerprints, strict=True))}
    found = []
    for artifact in _made_by(store, model_recipe):
        if not wanted:
            break
        table = read_parquet(artifact.file(METADATA))
        pairs = zip(table["id"].to_pylist(), table["fingerprint"].to_pylist(), strict=True)
        matches = [(wanted.pop(pair), there) for there, pair in enumerate(pairs) if pair in wanted]
        if matches:
            rows, there = zip(*matches, strict=True)
            hashes = table["sha256"].take(list(there)).to_pylist() if "sha256" in table.column_names else ()
            found.append(Copies(rows, artifact.file(VECTORS), there, hashes))
    return found


def explain_rows(
    store: Store,
    stage: Recipe,
    model_recipe: Mapping[str, Any],
    shard: ImageSet | TextSet | VectorSet,
    whole: ImageSet | TextSet | VectorSet,
) -> str:
    """Why ``shard`` of the set ``whole`` has to be made: what changed, came or went since it was made last.

    Else what another model or setting made of it, or an older Lookalike; other galleries are not compared.
    """
    artifacts = list(islice(store.artifacts(stage.kind), RELATIVES))
    current = [artifact for artifact in artifacts if artifact.manifest["version"] == EMBEDDINGS_VERSION]
    mine = [artifact for artifact in current if _is_of(artifact, model_recipe)]
    if isinstance(shard, VectorSet) or isinstance(whole, VectorSet):
        if changed := _changed_files(shard, mine) if isinstance(shard, VectorSet) else None:
            return f"{changed} changed"
    elif change := _changed_rows(shard, whole, mine):
        return change
    for artifact in artifacts:
        version = artifact.manifest["version"]
        if version != EMBEDDINGS_VERSION and _is_of(artifact, model_recipe) and _is_alike(artifact, shard):
            again = "checked again" if isinstance(shard, VectorSet) else "embedded again"
            return f"{OUTDATED}{MADE_BY.get(version, 'of another version')}: {again}, once"
    rows = {name: stage.parameters[name] for name in ("rows", "content")}
    return explain(
        stage,
        (
            {**artifact.manifest, "parameters": {**artifact.manifest["parameters"], **rows}}
            for artifact in current
            if not _is_of(artifact, model_recipe) and _is_alike(artifact, shard)
        ),
    )


def _is_alike(artifact: Artifact, shard: ImageSet | TextSet | VectorSet) -> bool:
    """Whether it is of the same gallery, by the names of files of vectors or of half of the rows."""
    if isinstance(shard, VectorSet) and (files := artifact.facts.get("files")):
        return not {file["name"] for file in files}.isdisjoint(file["name"] for file in files_of(shard))
    rows = _known_rows(artifact)
    return 2 * sum(id_ in rows for id_ in shard.ids) >= min(len(rows), len(shard)) > 0


def _changed_rows(
    shard: ImageSet | TextSet, whole: ImageSet | TextSet, artifacts: Sequence[Artifact]
) -> str | None:
    """``1 image changed, 2 added``: compared with the artifact that has most ids in common, the newest such.

    Of a set of several shards with all artifacts: its rows move from one to another.
    """
    wanted = set(whole.ids)
    tables = [prints for artifact in artifacts if (prints := _known_rows(artifact))]
    nearest = max(tables, key=lambda prints: len(prints.keys() & wanted), default={})
    shared = nearest.keys() & wanted
    if 2 * len(shared) < min(len(nearest), len(wanted)) or not shared:
        return None  # another gallery with a few of the names
    known: defaultdict[str, set[str]] = defaultdict(set)
    for prints in [nearest] if len(whole) <= whole.shard_size else tables:
        for id_, fingerprint in prints.items():
            known[id_].add(fingerprint)
    rows = list(zip(shard.ids, shard.fingerprints, strict=True))
    counts = {
        "changed": sum(id_ in known and fingerprint not in known[id_] for id_, fingerprint in rows),
        "added": sum(id_ not in known for id_, _ in rows),
        "removed": len(nearest.keys() - wanted),
    }
    if counts["changed"] == len(rows) and all(id_.isdecimal() for id_, _ in rows):
        return None  # row numbers name nothing: another gallery
    noun = "text" if isinstance(shard, TextSet) else "image"
    parts = [f"{count:,} {verb}" for verb, count in counts.items() if count]
    if not parts:
        return f"other {noun}s, or in another order"
    first, *others = parts
    count, verb = first.split(" ")
    return ", ".join([f"{count} {noun}{'' if count == '1' else 's'} {verb}", *others])


def _changed_files(vectors: VectorSet, artifacts: Iterable[Artifact]) -> str | None:
    """Names of files that an artifact was made from when their contents were others."""
    mine = {file["name"]: file["fingerprint"] for file in files_of(vectors)}
    for artifact in artifacts:
        earlier = {file["name"]: file["fingerprint"] for file in artifact.facts.get("files", ())}
        if changed := [name for name in mine if earlier.get(name, mine[name]) != mine[name]]:
            return ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
    return None


def settle_files(vectors: VectorSet, store: Store) -> VectorSet:
    """Return the set with the fingerprints that the store knows its files' contents by.

    A file with the name and size of a known one and another time of change is hashed; where the hash is the
    one that was kept, it is given the fingerprint that it had. See :func:`settle_fingerprints` for images.
    """
    known = [
        file
        for artifact in chain.from_iterable(map(store.artifacts, KINDS))
        for file in artifact.facts.get("files", ())
    ]
    prints = {file["fingerprint"] for file in known}
    settled = list(vectors.file_fingerprints)
    for array, (file, fingerprint) in enumerate(zip(vectors.files, settled, strict=True)):
        same = [
            other
            for other in known
            if fingerprint not in prints
            and other["name"] == Path(file).name
            and size_in(other["fingerprint"]) == size_in(fingerprint)
        ]
        if same and Path(file).is_file():
            content = store.file_hash(Path(file))
            settled[array] = next(
                (other["fingerprint"] for other in reversed(same) if other["sha256"] == content), fingerprint
            )
    return replace(vectors, file_fingerprints=settled)


def find_batch_size(store: Store, model_recipe: Mapping[str, Any], device: str) -> int | None:
    """The batch size probed for an earlier shard of the recipe, on a machine and device like this."""
    here = (cpu_model(), cores(), device)
    for artifact in _made_by(store, model_recipe):
        machine, facts = artifact.manifest["machine"], artifact.facts
        if facts.get("batch_size_probed") and (machine["cpu"], machine["cores"], facts["device"]) == here:
            return int(facts["batch_size"])
    return None


def _made_by(store: Store, model_recipe: Mapping[str, Any]) -> Iterator[Artifact]:
    """Shards of galleries and queries that this recipe made, whatever their rows; the newest first."""
    for artifact in chain.from_iterable(map(store.usable, KINDS)):
        if _is_of(artifact, model_recipe) and artifact.manifest["version"] == EMBEDDINGS_VERSION:
            yield artifact


def _is_of(artifact: Artifact, model_recipe: Mapping[str, Any]) -> bool:
    """Whether the recipe made it, whatever its rows."""
    parameters = artifact.manifest["parameters"]
    rows = {name: parameters.get(name) for name in ("rows", "content")}
    return bool(parameters == {**shaping(model_recipe), **rows})


def _known_rows(artifact: Artifact) -> dict[str, str]:
    """Id -> fingerprint of an artifact's rows, of those without a vector as well."""
    rows = dict(zip(*read_texts(artifact, METADATA, ["id", "fingerprint"]), strict=True))
    return rows | {id_: fingerprint for id_, fingerprint, _ in read_bad_contents(artifact)}
