# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes while no worker runs: who listens hears of it once, in order, from the next one."""

import contextlib
import json
import os
import select
import signal

import pytest

from daemon import NO_WORKERS, children_of, kill_and_wait, name_of
from reader import Reader


@contextlib.contextmanager
def no_worker(daemon):
    """The worker is dead, and its keeper does not start another yet."""
    daemon.may_lose_workers = True
    worker, process = daemon.worker_pid, daemon.process
    os.kill(daemon.keeper_pid, signal.SIGSTOP)
    try:
        kill_and_wait(worker)
        daemon.process = None  # so that no record is loaded
        yield
    finally:
        daemon.process = process
        os.kill(daemon.keeper_pid, signal.SIGCONT)
    assert daemon.admin("GET", "/1.0")[0] == 200


def kept(daemon, name):
    """What is in the log, in short, as the host sees it."""
    fd = os.open(daemon.tree(name, "events"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        lines = os.read(fd, 1 << 20).decode().splitlines()
    finally:
        os.close(fd)
    said = [json.loads(line)["metadata"] for line in lines]
    return [[m["key"], m["old_value"], m["value"]] for m in said if "key" in m]


class World:
    def __init__(self, daemon, guest):
        self.daemon, self.guest = daemon, guest
        self.reader = None
        self.write({"user.a": "1"})
        guest.attach_tree(daemon)

    def write(self, config, **members):
        self.daemon.guest_record(self.guest, config, **members)

    def listen(self):
        """From here on: what it heard of before is read."""
        self.reader = Reader(self.guest, ["cat", "/dev/lxd/events"])
        assert self.reader.events(1)[0]["type"] == "lifecycle"

    def heard(self, **config):
        """What was heard in short, up to a change that is made for this."""
        self.write({**config, "user.end": "1"})
        short = []
        for line in self.reader.until('"user.end","old_value":""')[:-1]:
            said = json.loads(line)["metadata"]
            short.append([said["key"], said["old_value"], said["value"]] if "key" in said
                         else [said["action"], said["name"], said["config"]])
        self.reader.end()
        return short


@pytest.fixture
def world(new_daemon, new_guest):
    made = World(new_daemon().start(), new_guest("web1"))
    made.listen()
    return made


def test_changes_are_heard_once(world):
    """Of several of one key the last, and the next worker does not tell of it again."""
    with no_worker(world.daemon):
        world.write({"user.a": "2", "user.b": "passing"})
        world.write({"user.a": "3", "user.c": "<&>\n\u2028é"})
    with no_worker(world.daemon):
        pass
    with no_worker(world.daemon):
        world.write({"user.a": "4", "user.c": "<&>\n\u2028é", "raw.lxc": "none of its business"})
    world.daemon.kill_worker()
    assert world.heard(**{"user.a": "4", "user.c": "<&>\n\u2028é"}) == [
        ["user.a", "1", "3"], ["user.c", "", "<&>\n\u2028é"], ["user.a", "3", "4"]]


def test_changed_back_is_no_change(world):
    with no_worker(world.daemon):
        world.write({"user.a": "2"})
        world.write({"user.a": "1"})
    assert world.heard(**{"user.a": "1"}) == []


def test_before_and_after(world):
    """Changes on both sides of a death, all in order."""
    world.write({"user.a": "2"})
    with no_worker(world.daemon):
        world.write({"user.a": "3"})
    world.write({"user.a": "4"})
    world.daemon.kill_worker()
    world.write({"user.a": "5"})
    assert world.heard(**{"user.a": "5"}) == [["user.a", str(n), str(n + 1)] for n in range(1, 5)]


def test_devices(world):
    world.write({"user.a": "1"}, devices={"gone": {"type": "disk", "path": "/g"},
                                          "changed": {"type": "disk", "path": "/old"}})
    assert len(world.reader.lines(2)) == 2
    with no_worker(world.daemon):
        world.write({"user.a": "1"}, devices={"new": {"type": "disk", "path": "é\n"},
                                              "changed": {"type": "disk", "path": "/new"}})
    world.daemon.kill_worker()
    world.write({"user.a": "1"})
    assert world.heard(**{"user.a": "1"}) == [
        ["removed", "gone", {"type": "disk", "path": "/g"}],
        ["updated", "changed", {"type": "disk", "path": "/new"}],
        ["added", "new", {"type": "disk", "path": "é\n"}],
        ["removed", "changed", {"type": "disk", "path": "/new"}],
        ["removed", "new", {"type": "disk", "path": "é\n"}]]


def test_removed_and_made_again(world):
    """It is the same guest: of what is different it hears, and of no more."""
    path = world.daemon.record_path("web1")
    with no_worker(world.daemon):
        os.unlink(path)
        world.write({"user.b": "1"})
    assert world.heard(**{"user.b": "1"}) == [["user.a", "1", ""], ["user.b", "", "1"]]


def test_another_guest_of_that_name(world):
    """Between a removal that a worker saw and a new record that none did: nothing of the old one is told."""
    with no_worker(world.daemon):
        os.unlink(world.daemon.record_path("web1"))
    # Who is not told of the removal while there is no record reads on when there is one again.
    world.reader.rest()
    with no_worker(world.daemon):
        world.write({"user.a": "another"})
    world.guest.attach_tree(world.daemon)
    reader = Reader(world.guest, ["cat", "/dev/lxd/events"])
    world.write({"user.a": "changed"})
    lines = reader.until('"changed"')
    assert json.loads(lines[-1])["metadata"]["old_value"] == "another"
    assert [json.loads(line)["type"] for line in lines] == ["lifecycle", "config"]
    reader.end()


def test_appeared_meanwhile(world, new_guest):
    """What is there when a worker first sees it is no event; what changes then is, also without a worker."""
    other = new_guest("web2")
    with no_worker(world.daemon):
        world.daemon.guest_record(other, {"user.n": "1"})
    other.attach_tree(world.daemon)
    reader = Reader(other, ["cat", "/dev/lxd/events"])
    assert reader.events(1)[0]["type"] == "lifecycle"
    with no_worker(world.daemon):
        world.daemon.guest_record(other, {"user.n": "2"})
    assert reader.events(1)[0]["metadata"] == {"key": "user.n", "old_value": "1", "value": "2"}
    reader.end()
    assert world.heard(**{"user.a": "1"}) == []


def test_nobody_listened_before(world):
    """A guest that begins to listen later finds it in what is kept."""
    world.reader.end()
    world.daemon.record("web9", config={"user.n": "1"})
    with no_worker(world.daemon):
        world.daemon.record("web9", config={"user.n": "2"})
    assert kept(world.daemon, "web9") == [["user.n", "1", "2"]]


@pytest.mark.parametrize("first, second", [("false", "true"), ("true", "false"), ("false", "false")])
def test_switched(world, first, second):
    """A guest hears of what was so before and after: not if it might not ask on one side."""
    world.reader.end()
    world.write({"user.a": "1", "security.devlxd": first})
    with no_worker(world.daemon):
        world.write({"user.a": "2", "security.devlxd": second})
    world.write({"user.a": "2"})
    assert kept(world.daemon, "web1") == []
    with no_worker(world.daemon):
        world.write({"user.a": "3", "security.devlxd": "false"})
        world.write({"user.a": "3"})
    assert kept(world.daemon, "web1") == [["user.a", "2", "3"]]


def test_profile_of_many(new_daemon, new_guest):
    n = 50
    daemon = new_daemon().start()
    guest = new_guest("web1")
    daemon.record("all", "profiles", config={"user.all": "1", "user.hidden": "1"})
    for i in range(n):
        daemon.record(f"i{i}", profiles=["all"], config={"user.own": "1"})
    daemon.guest_record(guest, {"user.hidden": "own"}, profiles=["all"])
    guest.attach_tree(daemon)
    reader = Reader(guest, ["cat", "/dev/lxd/events"])
    assert reader.events(1)[0]["type"] == "lifecycle"
    with no_worker(daemon):
        daemon.record("all", "profiles", config={"user.all": "2", "user.hidden": "2"})
    with no_worker(daemon):
        daemon.record("all", "profiles", config={"user.all": "3", "user.hidden": "2"})
    assert [event["metadata"]["value"] for event in reader.events(2)] == ["2", "3"]
    reader.end()
    for i in range(n):
        assert kept(daemon, f"i{i}") == [["user.all", "1", "2"], ["user.hidden", "1", "2"],
                                         ["user.all", "2", "3"]]


def test_another_life_of_the_daemon(world):
    """Nothing is believed of what an earlier keeper's worker published: its log is gone, too."""
    world.reader.end()
    world.guest.run(["umount", "/dev/lxd"], check=False)
    world.daemon.stop()
    world.write({"user.a": "2"})
    world.daemon.start()
    world.guest.attach_tree(world.daemon)
    world.listen()
    assert world.heard(**{"user.a": "2"}) == []


def test_the_next_worker_is_the_only_one(world):
    """Its predecessor's end and that of a thread of it, seen at once, are no end of the new one."""
    for _ in range(3):
        with no_worker(world.daemon):
            pass
    worker = os.pidfd_open(world.daemon.worker_pid)
    assert select.select([worker], [], [], 2)[0] == []  # longer than a held worker is waited for
    os.close(worker)
    workers = [pid for pid in children_of(world.daemon.keeper_pid) if name_of(pid) not in NO_WORKERS]
    assert len(workers) == 1 and "leaving that behind" not in world.daemon.log()


def test_without_a_tree(new_daemon):
    """Nothing outlives the worker: the next one begins anew."""
    daemon = new_daemon(options=["--no-fuse"]).start()
    daemon.record("web1", config={"user.a": "1"})
    with no_worker(daemon):
        daemon.record("web1", config={"user.a": "2"})
    daemon.record("web1", config={"user.a": "3"})
