# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of events: every reader that people have, exact lines in exact order."""

import json
import os
import re
import select
import signal
import time

import pytest

from daemon import name_of, wait_until
from here import TAKE_OVERS
from reader import Reader
from standing import Standing

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)")


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    with Standing(str(tmp_path_factory.mktemp("events")), mapped=True) as made:
        yield made


class Changes:
    """Sets user.n to one number after another; each is one event."""

    def __init__(self, standing):
        self.standing = standing
        self.n = 0

    def make(self, count=1):
        first = self.n + 1
        for _ in range(count):
            self.n += 1
            self.standing.record({"user.n": str(self.n)})
        return [str(n) for n in range(first, self.n + 1)]


@pytest.fixture(scope="module")
def changes(standing):
    made = Changes(standing)
    made.make(3)
    return made


def values(lines):
    return [event["metadata"].get("value") for event in map(json.loads, lines)
            if event["type"] == "config"]


def size(standing):
    return standing.inside("os.stat('events').st_size")


def kept(standing):
    """What a reader that does not wait gets."""
    return standing.inside("os.read(os.open('events', os.O_RDONLY | os.O_NONBLOCK), 1 << 20)") \
        .decode().splitlines()


# What prints what is kept and then each event at once; what it prints through a pipe is not buffered.
LIVE = {
    "cat": "cat events",
    "cat into a file": "cat events >/tmp/into & tail -n +1 -s 0.05 -F /tmp/into 2>/dev/null",
    "grep": "grep --line-buffered . events",
    "sed": "sed -u -n p events",
    "while read": "while read -r line; do echo \"$line\"; done <events",
    "gawk": "gawk '{ print; fflush() }' events",
    "mawk": "mawk -W interactive '{ print }' events",
    "jq": "jq --unbuffered -c . events",
    "python": "python3 -uc \"for line in open('events'): print(line, end='')\"",
    "python bytes": "python3 -uc \"import os; f = os.open('events', 0)\nwhile True: "
                    "os.write(1, os.read(f, 4096))\"",
    "one byte at a time": "dd if=events bs=1 status=none",
    "busybox while read": "busybox sh -c 'while read -r line; do echo \"$line\"; done <events'",
    "poll": "python3 -uc \"import os, select; f = os.open('events', os.O_NONBLOCK)\n"
            "p = select.poll(); p.register(f, 1)\n"
            "while True: p.poll(); os.write(1, os.read(f, 4096))\"",
    "epoll": "python3 -uc \"import os, select; f = os.open('events', os.O_NONBLOCK)\n"
             "p = select.epoll(); p.register(f, 1)\n"
             "while True: p.poll(); os.write(1, os.read(f, 4096))\"",
}
# These look once a second, or as often as they are told.
TAILS = {
    "tail -f": "tail -s 0.05 -f events",
    "tail -F": "tail -s 0.05 -F events",
    "busybox tail -f": "busybox tail -f events",
}


@pytest.mark.parametrize("command", LIVE.values(), ids=LIVE)
def test_prints_what_is_kept_then_each_event(standing, changes, command):
    before = kept(standing)
    reader = Reader(standing.guest, command)
    assert values(reader.lines(len(before))) == values(before)
    for _ in range(3):
        assert changes.make() == values(reader.lines(1))
    assert changes.make(5) == values(reader.lines(5))
    reader.end()


@pytest.mark.parametrize("command", TAILS.values(), ids=TAILS)
def test_tails(standing, changes, command):
    before = kept(standing)[-10:]
    reader = Reader(standing.guest, command)
    assert values(reader.lines(len(before))) == values(before)
    assert changes.make() == values(reader.lines(1))
    assert changes.make(5) == values(reader.lines(5))
    reader.end()


def test_tail_of_what_comes(standing, changes):
    reader = Reader(standing.guest, "exec tail -s 0.05 -n0 -f events")
    # It is there when it has asked for the end, which it does before it prints anything.
    wait_until(lambda: name_of(reader.pid) == "tail", "tail")
    made = changes.make(40)
    seen = values(reader.until(f'"value":"{made[-1]}"'))
    assert seen == made[-len(seen):]
    reader.end()


@pytest.mark.parametrize("command, wanted", [
    ("head -n1 events", lambda lines: lines[:1]),
    ("busybox head -n1 events", lambda lines: lines[:1]),
    ("tail -n1 events", lambda lines: lines[-1:]),
    ("busybox tail -n1 events", lambda lines: lines[-1:]),
    ("busybox cat events", lambda lines: lines),
    ("sh -c 'read -r line <events; echo \"$line\"'", lambda lines: lines[:1]),
    ("python3 -c \"print(open('events').readline(), end='')\"", lambda lines: lines[:1]),
    ("dd if=events bs=64k count=1 status=none", lambda lines: lines),
    ("timeout 5 grep -m1 config events", lambda lines: [l for l in lines if "config" in l][:1]),
])
def test_ends(standing, changes, command, wanted):
    lines = kept(standing)
    reader = Reader(standing.guest, command)
    assert reader.rest().splitlines() == wanted(lines)
    assert reader.child.returncode == 0


def test_wc(standing, changes):
    assert standing.guest.run(["wc", "-c", "/dev/lxd/events"]).stdout.split()[0] == \
        str(size(standing))


def test_the_line_itself(standing):
    standing.record({"user.a": "1"})
    reader = Reader(standing.guest, "tail -s 0.05 -n1 -f events")
    reader.lines(1)
    standing.record({"user.a": '<&>"\\\u2028é\n'},
                    devices={"eth0": {"type": "nic", "network": "<br0>"}})
    config, device = reader.lines(2)
    stamp = TIMESTAMP.search(config).group()
    assert config == ('{"type":"config","timestamp":"%s","metadata":{"key":"user.a","old_value":'
                      '"1","value":"\\u003c\\u0026\\u003e\\"\\\\\\u2028é\\n"}}' % stamp)
    stamp = TIMESTAMP.search(device).group()
    assert device == ('{"type":"device","timestamp":"%s","metadata":{"action":"added","config":'
                      '{"network":"\\u003cbr0\\u003e","type":"nic"},"name":"eth0"}}' % stamp)
    standing.record({}, devices={"eth0": {"type": "nic", "network": "br1"}})
    standing.record({})
    removed, updated, gone = map(json.loads, reader.lines(3))
    assert removed["metadata"]["value"] == "" and removed["metadata"]["key"] == "user.a"
    assert updated["metadata"] == {"action": "updated", "name": "eth0",
                                   "config": {"network": "br1", "type": "nic"}}
    assert gone["metadata"] == {"action": "removed", "name": "eth0",
                                "config": {"network": "br1", "type": "nic"}}
    # What a guest is not given it does not hear of; nor of cloud-init's keys.
    standing.record({"security.nesting": "true", "cloud-init.user-data": "x", "user.z": "1"})
    assert json.loads(reader.lines(1)[0])["metadata"]["key"] == "user.z"
    reader.end()


def test_interrupts_end_a_read_at_once(standing, changes):
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
        # Whoever runs the tests in the background has this one ignored.
        reader = Reader(standing.guest, ["env", "--default-signal=INT", "cat", "/dev/lxd/events"])
        reader.lines(len(kept(standing)))
        start = time.monotonic()
        assert reader.end(number) == -number
        assert time.monotonic() - start < 5
    # And one that is stopped and goes on goes on.
    reader = Reader(standing.guest, ["cat", "/dev/lxd/events"])
    reader.lines(len(kept(standing)))
    for number in signal.SIGSTOP, signal.SIGCONT:
        os.kill(reader.pid, number)
    assert changes.make() == values(reader.lines(1))
    os.kill(reader.pid, signal.SIGTERM)
    # Who entered the guest for it stopped with it.
    wait_until(lambda: reader.child.send_signal(signal.SIGCONT) or reader.child.poll() is not None,
               "its end")


def test_poll_goes_quiet(standing, changes):
    standing.inside.run("import select; log = os.open('events', os.O_RDONLY | os.O_NONBLOCK); "
                        "poll = select.poll(); poll.register(log, select.POLLIN)")
    assert standing.inside("poll.poll(0)") != []
    standing.inside("os.read(log, 1 << 20)")
    assert standing.inside("poll.poll(50)") == []
    assert standing.inside.error("os.read(log, 100)") == "EAGAIN"
    made = changes.make()
    assert [event for _, event in standing.inside("poll.poll(10000)")] == [1]
    assert [event for _, event in standing.inside("poll.poll(10000)")] == [1]
    assert values(standing.inside("os.read(log, 1 << 20)").decode().splitlines()) == made
    assert standing.inside("poll.poll(50)") == []
    # Gone to the end there is nothing, whatever was not read.
    changes.make()
    standing.inside("os.lseek(log, 0, os.SEEK_END)")
    assert standing.inside("poll.poll(0)") == []
    standing.inside("os.close(log)")


def test_the_host_polls_many(new_daemon):
    """Who has the files of several instances open hears of each of them."""
    daemon = new_daemon().start()
    names = [f"web{i}" for i in range(5)]
    daemon.record("all", "profiles", config={"user.n": "0"})
    for name in names:
        daemon.record(name, profiles=["all"])
    files = {os.open(daemon.tree(name, "events"), os.O_RDONLY | os.O_NONBLOCK): name
             for name in names}
    with select.epoll() as epoll:
        for fd in files:
            epoll.register(fd, select.EPOLLIN)
            os.read(fd, 4096)
        assert epoll.poll(0.05) == []
        daemon.record("all", "profiles", config={"user.n": "1"})
        heard = set()
        while len(heard) < len(files):
            ready = epoll.poll(20)
            assert ready, f"only {heard} have heard"
            for fd, _ in ready:
                assert values(os.read(fd, 4096).decode().splitlines()) == ["1"]
                heard.add(files[fd])
    for fd in files:
        os.close(fd)


def test_past_the_window(standing, changes):
    """Who keeps up misses nothing; who does not is told how much, and goes on; new ones begin later."""
    slow = Reader(standing.guest, ["sh", "-c", "exec 3</dev/lxd/events; read -r line <&3; "
                                               "echo \"$line\"; read -r go; exec cat <&3"],
                  stdin=-1)
    half = Reader(standing.guest, ["sh", "-c", "exec 3</dev/lxd/events; dd bs=1 count=30 "
                                               "status=none <&3; echo; read -r go; exec cat <&3"],
                  stdin=-1)
    first = slow.lines(1)
    half.lines(1)
    live = Reader(standing.guest, ["cat", "/dev/lxd/events"])
    follows = Reader(standing.guest, "exec tail -s 0.05 -n1 -F events")
    follows.lines(1)
    kept_at_first = live.lines(len(kept(standing)))
    n = len(kept_at_first)
    before = standing.inside("os.stat('events').st_ino")
    big = "x" * 4000
    lines, followed = [], []
    for i in range(60):
        standing.record({"user.big": f"{i}{big}"})
        lines += live.until(f'"value":"{i}{big}"')
        followed += follows.until(f'"value":"{i}{big}"')
    made = changes.make()[0]
    lines += live.until(f'"value":"{made}"')
    told = [v for v in values(lines) if v.endswith(big)]
    assert told == [f"{i}{big}" for i in range(60)]
    assert standing.inside("os.stat('events').st_ino") == before
    assert size(standing) <= 65536
    assert values(kept(standing))[-1] == made
    # One line was read of n + 62 (each change is one, but the last, which takes user.big away, too).
    total = n + len(lines)
    for reader, has_read in (slow, 1), (half, 0):
        reader.child.stdin.write(b"go\n")
        reader.child.stdin.flush()
        rest = reader.until(f'"value":"{made}"')
        if has_read == 0:
            # What it had begun ends here.
            assert rest[0] == ""
            rest = rest[1:]
        lost = json.loads(rest[0])
        assert lost == {"type": "lost", "metadata": {"events": total - has_read - (len(rest) - 1)}}
        assert [json.loads(line) for line in rest[1:]] == \
            [json.loads(line) for line in lines[-(len(rest) - 1):]]
    assert json.loads(first[0])["type"] in ("lifecycle", "config")
    for reader in slow, half, live:
        reader.end()
    # Who follows the name follows its first file, and prints no line twice.
    assert values(followed + follows.until(f'"value":"{made}"')) == values(lines)
    follows.end()


def test_a_large_value_is_left_out(standing):
    standing.record({})
    for config in {"user.large": "s" * 200000}, {}:
        standing.record(config)
        last = json.loads(kept(standing)[-1])
        assert last["metadata"] == {"key": "user.large", "truncated": True}


def test_nobody_writes(standing):
    for flags in "os.O_WRONLY", "os.O_RDWR", "os.O_RDONLY | os.O_TRUNC":
        assert standing.inside.error(f"os.open('events', {flags})") == "EROFS"
    assert standing.user.error("os.open('events', os.O_RDONLY)") == "EACCES"
    standing.record({}, files=[{"path": "events", "mode": "0444"}])
    assert standing.user.error("os.close(os.open('events', os.O_RDONLY))") is None


def test_opened_ten_thousand_times(standing, changes):
    """There is an end to it, for that guest only; what is closed is free again."""
    standing.inside.run("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))\n"
                        "many = []\n"
                        "try:\n"
                        "    while len(many) < 10000: many.append(os.open('events', os.O_RDONLY))\n"
                        "    failure = None\n"
                        "except OSError as e: failure = e.errno")
    assert standing.inside("len(many)") >= 4000
    assert standing.inside("failure") == 23  # ENFILE
    assert standing.inside.error("os.open('events', os.O_RDONLY)") == "ENFILE"
    made = changes.make()
    assert made[0] in values(standing.inside("os.read(many[100], 1 << 20)").decode().splitlines())
    standing.inside.run("for fd in many: os.close(fd)")
    wait_until(lambda: standing.inside.error("os.close(os.open('events', os.O_RDONLY))") is None,
               "the closed ones are free")


def test_reads_that_wait_are_bounded(new_daemon, new_guest):
    daemon = new_daemon()
    daemon.settings(max_event_readers=2)
    daemon.start()
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.n": "0"})
    guest.attach_tree(daemon)
    readers = [Reader(guest, ["cat", "/dev/lxd/events"]) for _ in range(2)]
    for reader in readers:
        reader.lines(1)
    wait_until(lambda: daemon.admin("GET", "/1.0/status")[1]["tree"]["waiting"] == 2, "both wait")
    third = Reader(guest, ["cat", "/dev/lxd/events"])
    third.rest()
    assert third.child.returncode == 1
    readers[0].end(signal.SIGKILL)
    wait_until(lambda: daemon.admin("GET", "/1.0/status")[1]["tree"]["waiting"] == 1, "one waits")
    daemon.guest_record(guest, {"user.n": "1"})
    assert values(readers[1].lines(1)) == ["1"]


@pytest.mark.parametrize("how", ["off", "deleted"])
def test_what_is_taken_away_ends(new_daemon, new_guest, how):
    daemon = new_daemon().start()
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.n": "0"})
    guest.attach_tree(daemon)
    daemon.guest_record(guest, {"user.n": "secret"})
    reader = Reader(guest, ["cat", "/dev/lxd/events"])
    keeps = Reader(guest, ["sh", "-c", "exec 3</dev/lxd/events; read -r line <&3; echo in; "
                                       "read -r go; exec cat <&3"], stdin=-1)
    assert keeps.lines(1) == ["in"]
    assert values(reader.lines(2)) == ["secret"]
    if how == "off":
        daemon.guest_record(guest, {"security.devlxd": "false", "user.n": "hidden"})
    else:
        os.unlink(daemon.record_path("web1"))
    assert reader.rest() == ""
    assert reader.child.returncode == 1 and b"Permission denied" in reader.error()
    daemon.guest_record(guest, {"user.n": "2"})
    daemon.guest_record(guest, {"user.n": "3"})
    keeps.child.stdin.write(b"go\n")
    keeps.child.stdin.flush()
    lines = keeps.until('"value":"3"')
    assert "hidden" not in "".join(lines)
    # Another instance of the same name has another's history.
    assert (how == "off") == ("secret" in "".join(lines))
    assert how == "off" or json.loads(lines[0])["type"] == "lost"
    keeps.end()


@TAKE_OVERS
def test_a_new_worker_goes_on(new_daemon, new_guest, options):
    daemon = new_daemon(options=options).start()
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.n": "0"})
    guest.attach_tree(daemon)
    readers = [Reader(guest, ["cat", "/dev/lxd/events"]),
               Reader(guest, "tail -s 0.05 -n +1 -f events | cat"),
               Reader(guest, LIVE["one byte at a time"])]
    seen = [[] for _ in readers]
    n = 0
    for _ in range(4):
        for _ in range(3):
            n += 1
            daemon.guest_record(guest, {"user.n": str(n)})
        for reader, got in zip(readers, seen):
            if "tail" not in reader.child.args[-1]:
                got += values(reader.until(f'"value":"{n}"'))
        daemon.kill_worker()
        wait_until(lambda: daemon.admin("GET", "/1.0")[0] == 200, "the next worker")
    for reader, got in zip(readers, seen):
        if "tail" not in reader.child.args[-1]:
            assert got == [str(i) for i in range(1, n + 1)]
        reader.end()


def test_a_storm_in_one_guest(new_daemon, new_guest):
    """Another's events come meanwhile, and nothing is lost to who reads."""
    daemon = new_daemon().start()
    guests = [new_guest(name) for name in ("web1", "web2")]
    for guest in guests:
        daemon.guest_record(guest, {"user.n": "0"})
        guest.attach_tree(daemon)
    noisy = [Reader(guests[0], ["cat", "/dev/lxd/events"]) for _ in range(50)]
    silent = Reader(guests[0], ["sh", "-c", "exec 3</dev/lxd/events; sleep 1000"])
    quiet = Reader(guests[1], ["cat", "/dev/lxd/events"])
    quiet.lines(1)
    for i in range(1, 201):
        daemon.guest_record(guests[0], {"user.n": str(i)})
        if i % 50 == 0:
            daemon.guest_record(guests[1], {"user.n": str(i)})
            assert values(quiet.lines(1)) == [str(i)]
    for reader in noisy:
        assert values(reader.until('"value":"200"')) == [str(i) for i in range(1, 201)]
        reader.end()
    silent.end()
    quiet.end()
