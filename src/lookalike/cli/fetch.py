"""``lookalike fetch``: download a model's weights, so that runs need no network."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.cli.parsing import Parser
from lookalike.config.composing import compose
from lookalike.embed.models import open_model
from lookalike.progress import RichProgress


def main(arguments: Sequence[str]) -> int:
    """Compose the model that the overrides choose, and fetch what is missing of it."""
    parser = Parser(
        "lookalike fetch", description="Download a model's weights, so that later runs need no network."
    )
    parser.add_argument("overrides", nargs="*", help="as for `lookalike run`: model=siglip_base")
    parser.add_argument("--config-dir", help="a folder with your own configs")
    options = parser.parse_args(arguments)
    open_model(compose(options.overrides, options.config_dir).model).fetch(RichProgress())
    return 0
