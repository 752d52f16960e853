# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest sees and does, in containers that have a mount, or are attached later."""

import json

import pytest

from conftest import kinds
from pair import Pair
from reader import Reader


@pytest.fixture(scope="module", params=kinds())
def pair(request, lab):
    with Pair(lab, *request.param) as pair:
        yield pair


def test_key(pair):
    assert pair.one.cat("config/user.role") == "role of web1"
    assert pair.two.cat("config/user.role") == "role of web2"


def test_socket(pair):
    assert pair.one.curl("/1.0/config/user.role") == (200, "role of web1")
    assert pair.two.curl("/1.0/config/user.role") == (200, "role of web2")
    assert pair.one.curl("/1.0/config/user.nothing")[0] == 404


def test_names(pair):
    """It finds its own things and not that there are others."""
    assert pair.one.run(["ls", "/dev/lxd/config"]).stdout == "user.role\n"
    assert pair.one.cat("name") == "web1\n"


def test_owner(pair):
    """Files are root's, as the guest numbers it, and nobody else's."""
    mode, _, uid, gid = pair.one.run(["ls", "-ln", "/dev/lxd/config/user.role"]).stdout.split()[:4]
    assert (mode, uid, gid) == ("-r--------", "0", "0")


def test_events(pair):
    reader = Reader(pair.one, "tail -f events")
    pair.daemon.ctl("config", "set", "web1", "user.colour=blue")
    event = json.loads(reader.until("user.colour")[-1])
    assert event["metadata"]["value"] == "blue"
    pair.daemon.ctl("config", "unset", "web1", "user.colour")


def test_ready(pair):
    assert not pair.listed("web1")["ready"]
    pair.one.run(["sh", "-c", "echo Ready > /dev/lxd/state"])
    assert pair.listed("web1")["ready"] and not pair.listed("web2")["ready"]
    assert pair.one.cat("state") == "Ready\n"
    pair.one.run(["sh", "-c", "echo Started > /dev/lxd/state"])
    assert not pair.listed("web1")["ready"]


def test_other(pair):
    """It has the other's directory, which is no use to it, unless who has it is who is meant."""
    found = pair.one.run(["cat", "/dev/other/config/user.role"], check=False)
    if pair.way == "mount":
        assert found.stdout == "role of web2"
    else:
        assert found.returncode != 0 and "Permission denied" in found.stderr
    written = pair.one.run(["sh", "-c", "echo Ready > /dev/other/state"], check=False)
    assert pair.listed("web2")["ready"] == (pair.way == "mount") == (written.returncode == 0)


def test_worker_killed(pair):
    pair.daemon.kill_worker()
    assert pair.one.cat("config/user.role") == "role of web1"
    assert pair.one.curl("/1.0/config/user.role") == (200, "role of web1")


def test_restart(pair):
    """Ready is of one run, where a run can be told from the next one."""
    pair.one.run(["sh", "-c", "echo Ready > /dev/lxd/state"])
    pair.one.down()
    pair.up(pair.one)
    assert pair.one.cat("config/user.role") == "role of web1"
    assert pair.one.cat("state") == ("Ready\n" if pair.way == "mount" else "Started\n")
    assert pair.one.curl("/1.0/config/user.role") == (200, "role of web1")
