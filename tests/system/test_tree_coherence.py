# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host changes, a guest sees: at once, whole, and never what was there before."""

import json
import os
import threading

import pytest

from daemon import wait_until
from here import IS_INSTRUMENTED

CHANGES = 20000 if os.environ.get("LONG") == "1" else 1000 if IS_INSTRUMENTED else 4000


def change(daemon, guest, config, **members):
    """Has the change loaded; when this returns the guest's kernel has been told."""
    daemon.guest_record(guest, config, **members)


def read(guest, path):
    """(status, output) of cat."""
    done = guest.run(["cat", f"/dev/lxd/{path}"], check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("before, after", [("aaaa", "bbbb"), ("short", "longer " * 2000),
                                           ("longer " * 2000, "short")],
                         ids=["same length", "longer", "shorter"])
def test_changed_value(daemon, tree_guest, before, after):
    """stat, cat and ls all see the new one, whichever was asked before."""
    guest = tree_guest
    change(daemon, guest, {"user.x": before})
    for value in before, after, before:
        change(daemon, guest, {"user.x": value})
        assert guest.run(["stat", "-c%s", "/dev/lxd/config/user.x"]).stdout == f"{len(value)}\n"
        assert read(guest, "config/user.x") == (0, value)
        assert guest.run(["wc", "-c", "/dev/lxd/config/user.x"]).stdout.split()[0] == str(len(value))


def test_added_and_removed_key(daemon, tree_guest):
    guest = tree_guest
    listing = ["ls", "/dev/lxd/config"]
    for _ in range(3):
        change(daemon, guest, {"user.role": "frontend"})
        assert guest.run(listing).stdout == "user.role\n"
        assert read(guest, "config/user.new")[0] == 1
        change(daemon, guest, {"user.role": "frontend", "user.new": "1"})
        assert guest.run(["test", "-e", "/dev/lxd/config/user.new"], check=False).returncode == 0
        assert guest.run(listing).stdout == "user.new\nuser.role\n"
        assert read(guest, "config/user.new") == (0, "1")
        change(daemon, guest, {"user.role": "frontend"})
        assert guest.run(["test", "-e", "/dev/lxd/config/user.new"], check=False).returncode == 1
        done = guest.run(["cat", "/dev/lxd/config/user.new"], check=False)
        assert done.returncode == 1 and "No such file" in done.stderr


def test_everything_at_once_in_one_process(daemon, tree_guest):
    """A process that stays, with a descriptor, a directory and a working directory open."""
    guest = tree_guest
    change(daemon, guest, {"user.a": "old"})
    child = guest.start_python(r"""
import json, os, sys
os.chdir("/dev/lxd/config")
held = os.open("user.a", os.O_RDONLY)
directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
def look():
    found = {"held": os.pread(held, 99, 0).decode(), "size": os.fstat(held).st_size,
             "list": sorted(os.listdir(directory)), "cwd": sorted(os.listdir("."))}
    for name in "user.a", "user.b":
        try:
            found[name] = open(name).read()
            found["stat " + name] = os.stat(name).st_size
        except OSError as e:
            found[name] = e.strerror
    return found
for line in sys.stdin:
    print(json.dumps(look()), flush=True)
""")

    def look():
        child.stdin.write("\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    gone = "No such file or directory"
    assert look() == {"held": "old", "size": 3, "list": ["user.a"], "cwd": ["user.a"],
                      "user.a": "old", "stat user.a": 3, "user.b": gone}
    change(daemon, guest, {"user.a": "newer", "user.b": "b"})
    assert look() == {"held": "old", "size": 3, "list": ["user.a", "user.b"],
                      "cwd": ["user.a", "user.b"], "user.a": "newer", "stat user.a": 5,
                      "user.b": "b", "stat user.b": 1}
    change(daemon, guest, {"user.b": "b"})
    assert look() == {"held": "old", "size": 3, "list": ["user.b"], "cwd": ["user.b"],
                      "user.a": gone, "user.b": "b", "stat user.b": 1}
    change(daemon, guest, {"user.b": "b", "security.devlxd": "false"})
    hidden = look()
    assert hidden["list"] == [] and hidden["cwd"] == [] and hidden["held"] == "old", hidden
    assert hidden["user.a"] == hidden["user.b"] == gone
    change(daemon, guest, {"user.b": "c"})
    assert look()["user.b"] == "c"
    child.communicate()


READER = r"""
import json, os, sys, threading
path, stop = sys.argv[1], threading.Event()
counts = {"reads": 0, "stale": 0, "torn": 0, "backwards": 0, "errors": []}
lock = threading.Lock()

def check(data, last):
    # NUMBER:NUMBER:...: as often as fits, so that any mixture of two values shows.
    number = data.partition(":")[0]
    whole = number.isdigit() and data == (number + ":") * (len(data) // (len(number) + 1))
    with lock:
        counts["reads"] += 1
        counts["torn"] += not whole
        if whole and int(number) < last:
            counts["backwards"] += 1
    return int(number) if whole else last

def read(how):
    last = 0
    while not stop.is_set():
        try:
            last = check(how(), last)
        except OSError as e:
            with lock:
                counts["errors"].append(e.strerror)

def by_file():
    with open(path) as file:
        return file.read()

def by_descriptor():
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 1000):
            parts.append(part)
        return b"".join(parts).decode()
    finally:
        os.close(fd)

threads = [threading.Thread(target=read, args=(how,)) for how in (by_file, by_descriptor, by_file)]
for thread in threads:
    thread.start()
print("go", flush=True)
for line in sys.stdin:
    # What the host has been told is in force is what a new open sees.
    print(by_file().partition(":")[0], os.stat(path).st_size, flush=True)
stop.set()
for thread in threads:
    thread.join()
print(json.dumps(counts))
"""


def numbered(i):
    text = f"{i}:"
    return text * max(1, (10, 100, 1000, 5000, 10000)[i % 5] // len(text))


def test_many_changes_under_readers(daemon, new_guest):
    """No stale and no torn read, over values of 10 to 10,000 bytes."""
    guest = new_guest("web1")
    change(daemon, guest, {"user.x": numbered(1)})
    guest.attach_tree(daemon)
    child = guest.start_python(READER, "/dev/lxd/config/user.x")
    assert child.stdout.readline() == "go\n"
    for i in range(2, CHANGES + 2):
        change(daemon, guest, {"user.x": numbered(i)})
        if i % 10 == 0:
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == f"{i} {len(numbered(i))}\n"
    out, _ = child.communicate()
    counts = json.loads(out)
    assert counts["reads"] > CHANGES / 10
    assert counts["torn"] == counts["backwards"] == 0 and counts["errors"] == [], counts
