"""``lookalike store``: what earlier runs left for reuse, and whether it is whole."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from lookalike.cli.parsing import Parser, add_root_option
from lookalike.machine.filesystems import results_root
from lookalike.progress import RichProgress
from lookalike.runs.catalog import abandoned_runs, runs_below
from lookalike.runs.paths import HomePaths
from lookalike.schemas import Paths
from lookalike.store import upkeep
from lookalike.store.files import readable_bytes
from lookalike.store.lease import keys_in_use
from lookalike.store.store import Store
from lookalike.sweep.closing import short
from lookalike.terminal.printing import print_table, print_wrapped


def main(arguments: Sequence[str]) -> int:
    """List, verify or prune; 1 when ``verify`` finds damage."""
    options = _parser().parse_args(arguments)
    store = Store(results_root(options.root) / options.store, progress=RichProgress())
    code: int = options.act(store, options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "lookalike store",
        description="What earlier runs left for reuse: embeddings, exact neighbours, indexes.",
    )
    add_root_option(parser)
    parser.add_argument("--store", default=Paths.store, help="paths.store of the runs; default: %(default)s")
    verbs = parser.add_subparsers(required=True, metavar="ls | verify | prune")

    ls = verbs.add_parser("ls", help="list artifacts, newest first")
    ls.add_argument("--kind", help="of this kind only: embeddings, index ...")
    ls.set_defaults(act=_list)

    verify = verbs.add_parser("verify", help="hash every file again; what is damaged is set aside")
    verify.set_defaults(act=_verify)

    prune = verbs.add_parser(
        "prune",
        help="show what can go; --yes removes it",
        description="Leftovers always; artifacts to which all given conditions apply.",
    )
    prune.add_argument(
        "--kind", action="append", dest="kinds", help="artifacts of this kind (may be repeated)"
    )
    prune.add_argument("--unused-days", type=float, help="artifacts that no run used for so long")
    prune.add_argument(
        "--keep",
        action="append",
        help="all artifacts but this key and what it was made from (may be repeated)",
    )
    prune.add_argument(
        "--outdated",
        action="store_true",
        help="embeddings that an older Lookalike made otherwise than this one, and what was made from them",
    )
    prune.add_argument("--yes", action="store_true", help="remove, do not only show")
    prune.set_defaults(act=_prune)
    return parser


def _list(store: Store, options: argparse.Namespace) -> int:
    entries, users = upkeep.entries(store, options.kind), _users(results_root(options.root))
    rows = [
        (
            entry.kind,
            entry.key[:12],
            ", ".join(users.get(entry.key, ())),
            entry.built_at[:16],
            readable_bytes(entry.bytes),
            f"{entry.build_seconds:.1f} s",
            entry.reason,
        )
        for entry in entries
    ]
    print_table(("kind", "key", "dataset, model", "built (UTC)", "size", "took", "because"), rows)
    size = readable_bytes(sum(entry.bytes for entry in entries))
    print(f"{len(entries)} artifacts, {size} in {short(store.root)}")
    return 0


def _users(root: Path) -> dict[str, dict[str, None]]:
    """The key of each artifact -> datasets and models of the runs that used it, by their records."""
    users: dict[str, dict[str, None]] = {}
    for record in (run.record for run in runs_below(*HomePaths(root).results)):
        dataset = str(record.config.get("dataset", {}).get("name", ""))
        names = [name for name in (dataset, str(record.model.get("name", ""))) if name]
        for key in (key for entry in record.stages for key in entry.get("keys", ())):
            users.setdefault(key, {}).update(dict.fromkeys(names))
    return users


def _verify(store: Store, options: argparse.Namespace) -> int:
    checked, damaged = 0, 0
    for finding in upkeep.verify(store):
        checked += 1
        if finding.problem is not None:
            damaged += 1
            print_wrapped(
                f"{finding.kind} {finding.key[:12]}: {finding.problem}; the next run builds it again"
            )
    print(f"{checked} artifacts verified, {damaged} damaged")
    return 1 if damaged else 0


def _prune(store: Store, options: argparse.Namespace) -> int:
    removals = upkeep.prune(
        store,
        options.kinds,
        options.unused_days,
        options.keep,
        dry_run=not options.yes,
        versions=_versions_now() if options.outdated else None,
    )
    runs = list(abandoned_runs(results_root(options.root)))
    removals += runs
    if options.yes:
        for run in runs:
            shutil.rmtree(run.path)
    rows = [
        (removal.what, removal.path.name[:12], readable_bytes(removal.bytes), removal.why)
        for removal in removals
    ]
    if rows:
        print_table(("what", "key", "size", "why"), rows)
    size = readable_bytes(sum(removal.bytes for removal in removals))
    print(f"{'removed' if options.yes else 'can go:'} {len(removals)}, {size}")
    if rows and not options.yes:
        print("nothing was removed; lookalike store prune --yes does it")
    names_artifacts = options.kinds or options.keep or options.outdated or options.unused_days is not None
    if names_artifacts and (in_use := keys_in_use(store.layout.uses)):
        print(f"{len(in_use)} artifacts that running processes use stay")
    return 0


def _versions_now() -> dict[str, int]:
    from lookalike.datasets.duplicates import DUPLICATES_VERSION
    from lookalike.embed.shards import EMBEDDINGS_VERSION, KINDS

    return {**dict.fromkeys(KINDS, EMBEDDINGS_VERSION), "duplicates": DUPLICATES_VERSION}
