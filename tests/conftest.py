"""What all tests start from, and which of them are left out because nothing answers them."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

from tests.services import SERVICES, how_to_have

NOT_TRIED = pytest.StashKey[list[str]]()

# Started in the background they may have been told to ignore Ctrl-C, which the programs they start inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests of a service that is not here; under CI=true they run, and fail."""
    found = Counter(mark for item in items for mark in {mark.name for mark in item.iter_markers()})
    config.stash[NOT_TRIED] = []
    for service in SERVICES:
        if os.environ.get("CI") == "true" or not found[service.marker] or not (how := how_to_have(service)):
            continue
        config.stash[NOT_TRIED].append(f"{found[service.marker]} with {service.name} ({how})")
        for item in items:
            if item.get_closest_marker(service.marker):
                item.add_marker(pytest.mark.skip(reason=f"needs {service.name}"))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """After all others, so that it is the last line."""
    if not_tried := config.stash.get(NOT_TRIED, []):
        config.get_terminal_writer().line(f"Tests not tried: {'; '.join(not_tried)}.", yellow=True)
