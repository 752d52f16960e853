# SPDX-License-Identifier: GPL-2.0-or-later
"""Random edits, made in every way there is: replayed from the events on top of the first state, they give the last."""

import contextlib
import http.client
import itertools
import json
import os
import random
import threading

import pytest

from daemon import wait_until
from reader import Reader

N_EDITS = 120
N_KILLED = 5  # at first the next worker comes at once, then later and later
KEYS = [f"user.k{i}" for i in range(8)] + ["user.<&>", "cloud-init.user-data", "security.nesting"]
DEVICES = ["d1", "d2", "d3"]
VALUES = ["", "1", "2", "a value", "<&>\"\\\n\t\u2028é", "x" * 3000]


class Records:
    """What the record and its profile are to say, and ways to have them say it."""

    def __init__(self, daemon, guest, dice):
        self.daemon, self.guest, self.dice = daemon, guest, dice
        self.own = {"config": {}, "devices": {}}
        self.profile = {"config": {}, "devices": {}}

    def change(self, layer):
        """One to three random changes of a layer."""
        for _ in range(self.dice.randint(1, 3)):
            if self.dice.random() < 0.6:
                key = self.dice.choice(KEYS)
                layer["config"][key] = self.dice.choice(VALUES)
                if self.dice.random() < 0.3:
                    del layer["config"][key]
            else:
                name = self.dice.choice(DEVICES)
                layer["devices"][name] = {"type": "disk", "path": self.dice.choice("abc")}
                if self.dice.random() < 0.3:
                    del layer["devices"][name]

    def members(self):
        return {"profiles": ["all"], "match": {"cgroup": self.guest.cgroup.path}, **self.own}

    def load(self):
        self.daemon.record(self.guest.name, **self.members())

    def load_profile(self):
        self.daemon.record("all", "profiles", **self.profile)

    def replace_file(self):
        """As an editor, git or Ansible does: the daemon notices by itself, sooner or later."""
        path = self.daemon.record_path(self.guest.name)
        if self.dice.random() < 0.5:
            os.unlink(path)
        with open(path, "w") as file:
            json.dump(self.members(), file)

    def rename_file(self):
        """The same, with nothing halfway that a worker which starts just then could find."""
        path = self.daemon.record_path(self.guest.name)
        with open(path + ".new", "w") as file:
            json.dump(self.members(), file)
        os.rename(path + ".new", path)

    def edit(self):
        how = self.dice.random()
        self.change(self.profile if how < 0.3 else self.own)
        (self.load_profile if how < 0.3 else self.load if how < 0.7 else self.replace_file)()


def replay(state, lines):
    for event in map(json.loads, lines):
        assert event["type"] in ("config", "device"), event
        said = event["metadata"]
        if event["type"] == "config":
            assert state["config"].get(said["key"], "") == said["old_value"], event
            state["config"][said["key"]] = said["value"]
            if said["value"] == "":
                del state["config"][said["key"]]
        elif said["action"] == "removed":
            assert state["devices"].pop(said["name"]) == said["config"], event
        else:
            assert (said["name"] in state["devices"]) == (said["action"] == "updated"), event
            state["devices"][said["name"]] = said["config"]
    return state


def seen(guest):
    """The state as the guest reads it in its files."""
    return guest.python("""
import json, os
os.chdir("/dev/lxd")
def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
print(json.dumps({"config": {key: read("config/" + key) for key in os.listdir("config")
                             if key.startswith("user.")},
                  "devices": json.loads(read("devices.json"))}))
""")


@pytest.mark.parametrize("seed", range(3))
def test_events_replayed(new_daemon, new_guest, seed):
    daemon = new_daemon().start()
    guest = new_guest("web1")
    records = Records(daemon, guest, random.Random(seed))
    records.load_profile()
    records.load()
    guest.attach_tree(daemon)
    for _ in range(5):
        records.change(records.own)
    records.load()
    # What the log holds is older than this line, which is the first that is replayed from.
    first = seen(guest)
    live = Reader(guest, ["cat", "/dev/lxd/events"])
    records.own["config"]["user.begin"] = "1"
    records.load()
    live.until('"user.begin"')
    first["config"]["user.begin"] = "1"
    lines = []
    for i in range(N_EDITS):
        records.edit()
        if i % 20 == 19:
            records.own["config"]["user.mark"] = str(i)
            records.load()
            lines += live.until(f'"value":"{i}"')
    records.own["config"]["user.end"] = "1"
    records.load()
    lines += live.until('"user.end"')
    assert replay(first, lines) == seen(guest)
    live.end()


class Killer(threading.Thread):
    """Kills one worker after another, each some time after it serves, until it is told to stop."""

    def __init__(self, daemon, dice):
        super().__init__()
        self.daemon, self.dice = daemon, dice
        self.is_over = threading.Event()
        self.n_killed = 0
        daemon.may_lose_workers = True

    def run(self):
        while not self.is_over.wait(self.dice.random() * 0.2):
            self.daemon.kill_worker()
            self.n_killed += 1
            wait_until(lambda: self.daemon.admin("GET", "/1.0")[0] == 200, "the next worker")


def admin_despite_deaths(daemon):
    """A request whose worker dies is made again, of the next one."""
    ask = daemon.admin

    def admin(*args):
        for _ in range(100):
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                return ask(*args)
        raise AssertionError("no worker lives long enough to answer")

    return admin


@pytest.mark.parametrize("seed", range(3))
def test_events_replayed_while_workers_die(new_daemon, new_guest, seed):
    """Changes come from wherever they are when a worker is killed: each is heard once, or as a part of the next."""
    daemon = new_daemon().start()
    daemon.admin = admin_despite_deaths(daemon)
    guest = new_guest("web1")
    dice = random.Random(1000 + seed)
    records = Records(daemon, guest, dice)
    records.load_profile()
    records.load()
    guest.attach_tree(daemon)
    first = seen(guest)
    live = Reader(guest, ["cat", "/dev/lxd/events"])
    assert live.events(1)[0]["type"] == "lifecycle"
    killer = Killer(daemon, random.Random(seed))
    killer.start()
    lines = []
    for i in itertools.count():
        if i >= N_EDITS and killer.n_killed >= N_KILLED:
            break
        is_of_profile = dice.random() < 0.3
        records.change(records.profile if is_of_profile else records.own)
        (records.load_profile if is_of_profile else
         records.load if dice.random() < 0.6 else records.rename_file)()
        if i % 20 == 19:
            records.own["config"]["user.mark"] = str(i)
            records.load()
            lines += live.until(f'"value":"{i}"')
    killer.is_over.set()
    killer.join()
    records.own["config"]["user.end"] = "1"
    records.load()
    lines += live.until('"user.end"')
    assert replay(first, lines) == seen(guest)
    live.end()
