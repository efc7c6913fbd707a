"""``lookalike run --help``: what can be composed, as found on the search path."""

from __future__ import annotations

from lookalike.config.composing import shipped_configs
from lookalike.terminal.printing import print_terms, print_wrapped

GROUPS = ("dataset", "model", "queries", "index", "search", "tracking", "experiment")
EXAMPLES = (
    ("lookalike run", "the defaults"),
    ("lookalike run dataset=folder dataset.root=~/Pictures", ""),
    ("lookalike run -m index=flat,ivf_flat,hnsw search=ladder", ""),
    ("lookalike run experiment=index_family", "every index family, one front each"),
)
OPTIONS = (
    ("-m, --multirun", "sweep over commas: index.nlist=64,256; a list is for one job: search.nprobe=[1,8]"),
    ("--quiet", "say nothing but warnings, and in the end the folder of the results"),
    ("--json", "end with one JSON object instead of the table; with --quiet, nothing before it"),
    ("--cfg job", "show what is composed instead of running it; with --resolve, interpolations filled in"),
    ("--info", "search path, defaults tree and plugins"),
    ("--config-dir DIR", "a folder with your own configs: DIR/dataset/mine.yaml is dataset=mine"),
    ("hydra/launcher=NAME", "where the jobs of a sweep run"),
    ("--hydra-help", "Hydra's own options"),
)


def print_run_help() -> None:
    """Print the help text, with the choices of every group."""
    with shipped_configs() as loader:
        choices = {group: ", ".join(sorted(loader.get_group_options(group))) for group in GROUPS}
    print("usage: lookalike run [GROUP=CHOICE ...] [KEY=VALUE ...] [-m] [--cfg job]\n")
    print_wrapped("Choose one of each group (yours join these from conf/ here, or from --config-dir):\n")
    for terms in (choices.items(), EXAMPLES, OPTIONS):
        print_terms(terms)
        print()
    print_wrapped("`lookalike -sc install=bash` prints the shell completion")
