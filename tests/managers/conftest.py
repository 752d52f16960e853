# SPDX-License-Identifier: GPL-2.0-or-later
"""Real managers for a session of tests, and containers of theirs."""

import pytest

from bwrap import Bwrap
from docker import Docker
from journal import Journal
from lab import Lab
from lxc import Lxc, UserLxc
from nspawn import Nspawn
from podman import Podman

MANAGERS = (Lxc, UserLxc, Podman, Docker, Nspawn, Bwrap)


def kinds(ways=()):
    """
    (manager, kind, way), all there are, or those of these ways. Those of one kind are run by one
    process, which has its manager up.
    """
    for manager in MANAGERS:
        for kind in manager.KINDS:
            name = f"{manager.__name__.lower()}-{kind}"
            for way in (way for way in manager.WAYS if not ways or way in ways):
                yield pytest.param((manager, kind, way), id=f"{name}-{way}",
                                   marks=pytest.mark.xdist_group(name))


def pytest_configure(config):
    if not config.pluginmanager.hasplugin("xdist"):
        config.addinivalue_line("markers", "xdist_group(name): run by one process")


@pytest.fixture(scope="session")
def lab(private_mounts, tmp_path_factory):
    with Lab(str(tmp_path_factory.mktemp("lab"))) as lab:
        yield lab


@pytest.fixture
def journal(lab):
    """What is logged at the journal's socket, in this session's own /run."""
    journal = Journal()
    yield journal
    journal.close()
