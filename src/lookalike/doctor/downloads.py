"""Model weights: where the hub's cache is, what lies there, and whether downloading is forbidden."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lookalike.doctor.finding import Finding, note, ok

TOPIC = "models"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
YES = ("1", "on", "yes", "true")


def hub_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where huggingface_hub keeps what it downloads."""
    if told := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(told).expanduser()
    caches = Path(environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(environ.get("HF_HOME", caches / "huggingface")).expanduser() / "hub"


def examine(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """The cache and the offline variables; no network is used."""
    cache = hub_cache(environ)
    try:
        names = sorted(path.name for path in cache.iterdir() if path.name.startswith("models--"))
    except OSError:
        names = []
    models = [name.removeprefix("models--").replace("--", "/") for name in names]
    yield ok(TOPIC, f"hub cache {cache}: {', '.join(models) or 'empty'}")
    offline = [name for name in OFFLINE if environ.get(name, "").lower() in YES]
    if offline:
        yield note(
            TOPIC,
            f"{', '.join(offline)} set: nothing is downloaded here",
            "fetch models where there is a network: lookalike fetch model=siglip_base",
        )
