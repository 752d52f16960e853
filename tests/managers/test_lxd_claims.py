# SPDX-License-Identifier: GPL-2.0-or-later
"""Two managers with a container of one name each: whose is the cgroup that a record expects?

LXC and LXD both call it lxc.payload.NAME, and the second one finds that taken.
"""

import json

import pytest

from daemon import wait_until
from lxc import Lxc
from lxd import unique
from lxd_fixtures import lxd  # noqa: F401 (a fixture)

pytestmark = pytest.mark.xdist_group("lxd-claims")


@pytest.fixture
def both(daemon, lab, lxd):  # noqa: F811
    """(of LXD, of LXC): containers of one name that do not run yet; the record is for LXD's."""
    of_lxc = Lxc(lab, unique(), way="cgroup")
    name = of_lxc.id
    daemon.record(name, config={"user.role": "frontend"}, match={"cgroup": f"/lxc.payload.{name}"})
    of_lxd = lxd.container(name)
    of_lxd.add_device("files", "disk", source=daemon.tree(name), path="/dev/lxd-files")
    of_lxc.mounts.append((daemon.tree(name), "/dev/lxd"))
    yield of_lxd, of_lxc
    of_lxc.close()
    of_lxd.delete()


def whose(daemon, pid):
    return json.loads(daemon.ctl("whois", str(pid), "--format=json"))


def start(both, order):
    steps = [both[0].start, both[1].up]
    for step in steps if order == "lxd first" else reversed(steps):
        step()


def test_binding_of_an_earlier_run(daemon, both):
    """Both come back, in each other's cgroups: attach goes by the match, not by the last run."""
    of_lxd, of_lxc = both
    start(both, "lxc first")
    daemon.ctl("attach", of_lxd.name, "--pid", str(of_lxd.pid), "--path", "/dev/lxd-files")
    places = of_lxd.cgroup, of_lxc.cgroup()
    of_lxc.down()
    of_lxd.stop()
    start(both, "lxd first")
    assert (of_lxc.cgroup(), of_lxd.cgroup) == places
    daemon.ctl("attach", of_lxd.name, "--path", "/dev/lxd-files")
    assert whose(daemon, of_lxd.pid)["instance"] == of_lxd.name
    assert whose(daemon, of_lxc.pid)["outcome"] == "unknown"


@pytest.mark.parametrize("order", ["lxd first", "lxc first"])
def test_bound(daemon, both, order):
    """Once LXD's is bound it is itself, wherever it is, and LXC's is nobody."""
    of_lxd, of_lxc = both
    start(both, order)
    expected = f"/lxc.payload.{of_lxd.name}"
    assert (of_lxd.cgroup == expected) is (order == "lxd first")
    daemon.ctl("attach", of_lxd.name, "--pid", str(of_lxd.pid), "--path", "/dev/lxd-files")
    assert of_lxd.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"
    assert of_lxc.run(["ls", "/dev/lxd/config"], check=False).returncode != 0
    assert "frontend" not in of_lxc.cat("config/user.role")
    assert whose(daemon, of_lxd.pid)["instance"] == of_lxd.name
    assert whose(daemon, of_lxc.pid)["outcome"] == "unknown"
    if order == "lxc first":
        said = daemon.ctl("whois", str(of_lxc.pid))
        assert "by its match, which does not count while it is bound to another cgroup" in said
    # The other one may have a record of its own, which is not in conflict with this one's guess.
    other = unique("other")
    daemon.record(other, config={"user.role": "backend"}, match={"cgroup": of_lxc.cgroup()})
    assert whose(daemon, of_lxc.pid)["instance"] == other
    assert {row["state"] for row in json.loads(daemon.ctl("list", "-f", "json"))} == {"RUNNING"}
    said = daemon.ctl("check", of_lxd.name)
    assert f"ok: it is bound to the cgroup {of_lxd.cgroup}\n" in said
    assert f"of the container {of_lxd.name} of LXD or Incus in {of_lxd.lxd.dir}\n" in said


def test_guess_can_be_wrong(daemon, lab, both):
    """Without a binding the record takes who has the path, and check says whose that is."""
    of_lxd, of_lxc = both
    start(both, "lxc first")
    assert whose(daemon, of_lxc.pid)["instance"] == of_lxd.name
    assert whose(daemon, of_lxd.pid)["outcome"] == "unknown"
    said = daemon.ctl("check", of_lxd.name)
    assert f"of the container {of_lxc.id} of LXC in {lab.path('lxc')}\n" in said
    # When that has ended and LXD's is started again it is right.
    of_lxc.down()
    of_lxd.stop()
    wait_until(lambda: "STOPPED" in daemon.ctl("list"), "the end of the guest")
    of_lxd.start()
    assert whose(daemon, of_lxd.pid)["instance"] == of_lxd.name


def test_conflict(daemon, both):
    """Two records that match one cgroup: neither wins, and each command says who holds what."""
    of_lxd, _ = both
    name, other = of_lxd.name, unique("other")
    start(both, "lxd first")
    assert of_lxd.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"
    daemon.record(other, config={"user.role": "backend"}, match={"cgroup": of_lxd.cgroup})
    denied = of_lxd.run("cat /dev/lxd-files/config/user.role", check=False)
    assert denied.returncode != 0 and denied.stdout == ""
    states = {row["name"]: row["state"] for row in json.loads(daemon.ctl("list", "-f", "json"))}
    assert states == {name: "CONFLICT", other: "CONFLICT"}
    for one, rival in (name, other), (other, name):
        said = daemon.ctl("check", one, status=1).stdout
        assert f"FAIL: {rival} claims the cgroup {of_lxd.cgroup} too, by its match" in said
    said = daemon.ctl("whois", str(of_lxd.pid))
    assert f"{name}, by its match" in said and f"{other}, by its match" in said
    assert "It is no instance" in said and whose(daemon, of_lxd.pid)["outcome"] == "conflict"
    # Whose it is stands against a guess, and a guess against it.
    daemon.ctl("attach", name, "--pid", str(of_lxd.pid), "--path", "/dev/lxd-files")
    assert whose(daemon, of_lxd.pid)["outcome"] == "conflict"
    daemon.record(other, config={"user.role": "backend"})
    assert of_lxd.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"
