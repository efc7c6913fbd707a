"""One home for all tests of the browser apps that need runs."""

from __future__ import annotations

import pytest

from tests.ui.worlds import Home, make_home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two runs over the same pictures."""
    return make_home(tmp_path_factory.mktemp("ui"))
