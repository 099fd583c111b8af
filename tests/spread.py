"""Pytest plugin: how the suite is spread over several processes (`-n`), by what tests share."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# What shares an expensive fixture (a control plane, a running portal) stays in one process;
# everything else goes folder by folder.
SHARED = {
    "tests/conformance": "clusters",
    "tests/controlplane": "clusters",
    "tests/flows": "clusters",
    "tests/kube": "clusters",
    "tests/flows/test_portal.py": "portal",
    "tests/browser": "portal",
    "tests/launcher": "portal",
}


class ByWhatIsShared(LoadScopeScheduling):
    """Hands out groups instead of single tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return SHARED.get(file) or SHARED.get(folder, folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWhatIsShared:
    return ByWhatIsShared(config, log)
