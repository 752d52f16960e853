# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers killed again and again, at any moment, while guests do all they can: none of them notices.

LONG=1 in the environment: 500 workers.
"""

import collections
import contextlib
import json
import os
import random
import re
import stat
import select
import threading
import time

import storm
from daemon import START_SECONDS, kill_and_wait, memory_of, wait_until
from here import HARNESS
from reader import Reader

N_KILLS = 500 if os.environ.get("LONG") == "1" else 40
SERVING_SECONDS = 0.1, 1.0  # until it is killed
STARTING_SECONDS = 0.0, 0.1
WINDOW = 1 << 20  # so that who is slow does not lose events for that
FIXED = {f"user.fixed{i}": "fixed" for i in range(storm.N_KEYS)}
with open(os.path.join(HARNESS, "storm.py")) as source:
    CLIENT = source.read()


class Publisher(threading.Thread):
    """The host: changes the records all the time, as an editor does."""

    def __init__(self, daemon, guests):
        super().__init__()
        self.daemon, self.guests = daemon, guests
        self.n = 0
        self.is_ending = threading.Event()
        self.publish()

    def publish(self):
        self.n += 1
        large = (storm.value_of(self.n, "large") + "\n") * storm.LARGE_COPIES
        for guest in self.guests:
            path = self.daemon.record_path(guest.name)
            with open(path + ".new", "w") as file:
                json.dump({"match": {"cgroup": guest.cgroup.path},
                           "config": {**FIXED, "user.seq": storm.value_of(self.n, "seq"),
                                      "user.large": large}}, file)
            os.rename(path + ".new", path)
        # One that wants a socket of its own comes and goes.
        if self.n % 20 == 0:
            path = self.daemon.record_path("own")
            with open(path + ".new", "w") as file:
                json.dump({"match": {"mount": True}}, file)
            os.rename(path + ".new", path)
        elif self.n % 20 == 10 and self.n > 20:
            os.unlink(self.daemon.record_path("own"))

    def run(self):
        while not self.is_ending.wait(0.04):
            self.publish()

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.is_ending.set()
        self.join()


def check_stream(lines, first, last):
    """Each event begins where the one before it ended; the last ends with what was said last."""
    now = {"user.seq": storm.value_of(first, "seq"), "user.large": None}
    for line in lines:
        event = json.loads(line)
        if event["metadata"].get("action") == "log-started":
            continue
        assert event["type"] == "config", line[:200]
        said = event["metadata"]
        before = now[said["key"]]
        assert before is None or said["old_value"] == before, (before, said["old_value"][:100])
        now[said["key"]] = said["value"]
        number = storm.number_of(said["value"].partition("\n")[0], said["key"].partition(".")[2])
        assert number > storm.number_of(said["old_value"].partition("\n")[0],
                                        said["key"].partition(".")[2])
    assert now["user.seq"] == storm.value_of(last, "seq")


def open_files(pid):
    """What it has open, as often as it has it open. Of processes that it knows there are as many as there are."""
    found = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # that which listed them, or closed since
            found[re.sub(r"[0-9]+", "N", os.readlink(f"/proc/{pid}/fd/{fd}"))] += 1
    del found["anon_inode:[pidfd]"]
    return found


def waits_in(pid, word):
    """Whether its first thread is in the kernel for that."""
    with open(f"/proc/{pid}/wchan") as wchan:
        return word in wchan.read()


def kill_workers(daemon, dice, clients):
    """At random moments of their service, some of those that follow while they start.

    What clients say meanwhile is trouble. Whoever kills only what is starting measures how the keeper restrains itself: a slow build starts for
    longer than a second.
    """
    daemon.may_lose_workers = True
    pipes = [client.stdout for client in clients]
    for _ in range(N_KILLS):
        assert daemon.admin("GET", "/1.0")[0] == 200
        said = select.select(pipes, [], [], dice.uniform(*SERVING_SECONDS))[0]
        assert not said, said[0].readline()
        kill_and_wait(daemon.worker_pid)
        if dice.random() < 0.1:
            time.sleep(dice.uniform(*STARTING_SECONDS))
            kill_and_wait(daemon.worker_pid)


def test_kill_storm(new_daemon, new_guest, tmp_path):
    dice = random.Random(5)
    daemon = new_daemon()
    daemon.settings(event_window_bytes=WINDOW)
    daemon.start()
    guests = [new_guest("web1"), new_guest("web2", mapped=True)]
    publisher = Publisher(daemon, guests)
    for guest in guests:
        wait_until(lambda name=guest.name: os.path.exists(daemon.tree(name)), "the directory")
        guest.attach_tree(daemon)
    streams = [Reader(guest, "exec cat events >/tmp/stream") for guest in guests]
    kill_and_wait(daemon.worker_pid)  # what is counted is a later worker's
    daemon.may_lose_workers = True
    assert daemon.admin("GET", "/1.0")[0] == 200
    wait_until(lambda: waits_in(daemon.worker_pid, "epoll"), "the worker to be all there")
    before = open_files(daemon.keeper_pid), open_files(daemon.worker_pid)
    keeper_memory = memory_of(daemon.keeper_pid)["Pss_Anon"]
    first = publisher.n
    clients = [guest.start_python(CLIENT, guest.name, *storm.ACTIONS) for guest in guests]
    with publisher:
        kill_workers(daemon, dice, clients)
    publisher.publish()
    while publisher.n % 20 != 5:
        publisher.publish()
    wait_until(lambda: os.path.lexists(daemon.tree("own", "sock")), "its socket")
    assert stat.S_ISSOCK(os.lstat(daemon.tree("own", "sock")).st_mode)
    while publisher.n % 20 != 15:
        publisher.publish()
    mark = f"{storm.value_of(publisher.n, 'large')}\\n"
    for guest, client in zip(guests, clients):
        out, _ = client.communicate("end\n", START_SECONDS)
        found = json.loads(out)
        counts = found["counts"]
        print(guest.name, found)
        assert all(counts[name] > N_KILLS / 4 for name in storm.ACTIONS), counts
        # What one of a guest's four readers had open, and the connection that a worker had, when it was killed.
        assert counts["stale"] <= 4 * 1.2 * N_KILLS, counts
        assert counts["cut"] <= 1.2 * N_KILLS + 1, counts
        wait_until(lambda g=guest: mark in g.run(["tail", "-c", "200000", "/tmp/stream"]).stdout,
                   "the last event", START_SECONDS)
    for guest, stream in zip(guests, streams):
        stream.end()
        check_stream(guest.run(["cat", "/tmp/stream"]).stdout.splitlines(), first, publisher.n)
    assert daemon.admin("GET", "/1.0")[0] == 200
    for pid, files in zip((daemon.keeper_pid, daemon.worker_pid), before):
        wait_until(lambda p=pid, f=files: not open_files(p) - f,
                   lambda p=pid, f=files: f"{p} to close {open_files(p) - f}")
    assert memory_of(daemon.keeper_pid)["Pss_Anon"] < keeper_memory + 64 * 1024
    # The last one that died may have been told alone what the kernel forgot; the next one asks.
    kill_and_wait(daemon.worker_pid)
    tree = daemon.admin("GET", "/1.0/status")[1]["tree"]
    assert tree["waiting"] == 0 and tree["stalled"] == 0 and tree["kept_bytes"] == 0, tree
