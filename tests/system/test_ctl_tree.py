# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's command and the tree: which are used, what is wrong with one, and who holds things up."""

import json

from daemon import wait_until
from holder import hold

LONG = "user." + "/" * 100  # as a file name, longer than 255 bytes


def summary(daemon, name):
    return daemon.admin("GET", f"/1.0/instances/{name}")[1]


def config_set(daemon, *args):
    """Standard error of a successful change."""
    done = daemon.ctl("config", "set", *args, status=None)
    assert done.returncode == 0, done
    return done.stderr


def test_warns_of_a_guest_that_holds_its_directory(daemon, new_guest):
    guest = new_guest("web1")
    daemon.ctl("create", "web1", "--cgroup", guest.cgroup.path, "-c", "user.role=frontend")
    guest.attach_tree(daemon)
    assert guest.run(["ls", "/dev/lxd"]).stdout
    assert config_set(daemon, "web1", "user.role=backend") == ""
    holder = hold(guest, "/dev/lxd")
    words = "devlxdfs: web1: its guest holds its directory, so it may still list what was there before; " \
        "new opens see the change\n"
    assert config_set(daemon, "web1", "security.devlxd.socket=false") == words
    assert daemon.ctl("status").count("stalled: 1") == 1
    holder.stdin.close()
    wait_until(lambda: config_set(daemon, "web1", "user.x=1") == "", "the guest to let go")


def test_which_trees_are_in_use(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    daemon.record("idle")
    daemon.ctl("list")
    listed = ["list", "-f", "csv", "-c", "nd"]
    assert daemon.ctl(*listed) == "idle,no\nweb1,no\n"
    with open(daemon.tree("web1", "config", "user.role")) as file:  # by the host: not its guest
        assert file.read() == "frontend"
    assert daemon.ctl(*listed) == "idle,no\nweb1,no\n"
    guest.attach_tree(daemon)
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    assert daemon.ctl(*listed) == "idle,no\nweb1,yes\n"
    assert "| TREE |" in daemon.ctl("list").splitlines()[1]
    tree = summary(daemon, "web1")["tree"]
    assert tree["in_use"] is True and tree["requests"] > 0 and tree["unnamed"] == 0
    assert "in_use: true" in daemon.ctl("info", "web1")


def test_without_a_tree(new_daemon):
    daemon = new_daemon(options=["--no-fuse"]).start()
    daemon.record("web1")
    assert daemon.ctl("list", "-f", "csv", "-c", "nd") == "web1,\n"
    assert summary(daemon, "web1")["tree"] is None
    assert json.loads(daemon.ctl("status", "-f", "json"))["tree"] is None
    assert "devlxdfs_tree_" not in daemon.ctl("metrics")


def test_what_has_no_file_is_counted_though_nobody_looks(daemon):
    daemon.record("web1", config={LONG: "1", "user.a": "1"})
    daemon.record("web2", config={LONG: "1"}, devices={"d": {"type": "disk", "/" * 90: "x"}})
    status = json.loads(daemon.ctl("status", "-f", "json"))["tree"]
    assert status["unnamed"] == 3 and status["indexes"] == 0
    assert [summary(daemon, name)["tree"]["unnamed"] for name in ("web1", "web2")] == [1, 2]


def test_metrics(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach_tree(daemon).run(["cat", "/dev/lxd/config/user.role"])
    lines = daemon.ctl("metrics").splitlines()
    values = {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}
    assert values["devlxdfs_tree_requests_total"] > 0 and values["devlxdfs_tree_nodes"] > 0
    assert values["devlxdfs_tree_stalled"] == 0
