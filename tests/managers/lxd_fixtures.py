# SPDX-License-Identifier: GPL-2.0-or-later
"""An LXD for all tests of a file, and what examples/lxd does, for tests to import."""

import os
import subprocess

import pytest

from here import HARNESS
from lxd import Lxd

GIVE = os.path.join(HARNESS, "..", "..", "examples", "lxd", "give.sh")


@pytest.fixture(scope="module")
def lxd(tmp_path_factory):
    with Lxd(str(tmp_path_factory.mktemp("lxd"))) as lxd:
        yield lxd


@pytest.fixture
def give(daemon, lxd, tmp_path):
    """give(container, *options): what the example does; its output."""
    command = tmp_path / "bin" / "devlxdfs"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {" ".join(daemon.ctl_command())} "$@"\n')
    command.chmod(0o755)
    environment = dict(lxd.environment, RUN=daemon.dirs["run"],
                       PATH=f"{command.parent}:{os.environ['PATH']}")

    def do(container, *options):
        done = subprocess.run([GIVE, *options, container.name], env=environment, text=True,
                              capture_output=True)
        assert done.returncode == 0, done
        return done.stdout

    return do
