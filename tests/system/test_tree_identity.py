# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose directory it is: nobody but the instance and the host's root gets anything out of it,
however he came by it.

Each runs with all that this kernel offers and with what older ones lack denied. The guests are
shared: what a test changes in records it changes in its own.
"""

import json
import os
import socket
import subprocess

import pytest

from daemon import Daemon
from guest import Cgroup, Guest
from here import BUILD, PYTHON

KERNELS = ["newest", "6.12", "6.5", "6.1"]
PUBLIC = [{"path": "config/user.public", "mode": "0444"}]
CONFIG = {"user.cached": "cached", "user.public": "public", "user.other": "other"}


class Host:
    """A daemon and its guests. `victim` and `attacker` have the same root: modes part them not."""

    def __init__(self, directory, kernel):
        wrapper = [] if kernel == "newest" else [f"{BUILD}/tests/system/deny", kernel, "--"]
        self.daemon = Daemon(BUILD, directory, wrapper=wrapper)
        self.guests = []

    def start(self):
        self.daemon.start()
        for name, mapped in (("victim", False), ("attacker", False), ("victim-mapped", True),
                             ("attacker-mapped", True)):
            guest = self.guest(name, mapped)
            self.daemon.guest_record(guest, CONFIG, files=PUBLIC)
            guest.attach_tree(self.daemon)
        return self

    def guest(self, name, mapped=False, **options):
        self.guests.append(Guest(BUILD, name, mapped, **options))
        return self.guests[-1]

    def named(self, name):
        return next(guest for guest in self.guests if guest.name == name)

    def close(self):
        for guest in self.guests:
            guest.close()
        print(self.daemon.log())
        self.daemon.stop()


@pytest.fixture(scope="module", params=KERNELS)
def host(request, private_mounts, tmp_path_factory):
    made = Host(str(tmp_path_factory.mktemp(f"kernel-{request.param}")), request.param)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(params=["privileged", "mapped"])
def pair(request, host):
    """(victim, attacker), the victim having looked at some of its files just now."""
    suffix = "-mapped" if request.param == "mapped" else ""
    victim = host.named("victim" + suffix)
    victim.run(["sh", "-c", "echo Started >/dev/lxd/state"])
    assert victim.run(["cat", "/dev/lxd/config/user.cached"]).stdout == "cached"
    assert victim.run(["ls", "/dev/lxd"]).stdout.split()[0] == "config"
    return victim, host.named("attacker" + suffix)


# attempts(): what each attempt on the directory @base (a path, or relative to a descriptor) gave.
ATTEMPTS = r"""
import errno, json, os, sys
def attempt(action):
    try:
        return repr(action())
    except OSError as e:
        return errno.errorcode[e.errno]
def read(path, dir_fd):
    fd = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)
def enter(path, dir_fd):
    here = os.open(".", os.O_PATH)
    try:
        os.chdir(path) if dir_fd is None else os.fchdir(dir_fd)
        return os.listdir(".")
    finally:
        os.fchdir(here)
def attempts(base, dir_fd=None):
    def at(name):
        return os.path.join(base, name)
    def write(flags):
        os.write(os.open(at("state"), flags, dir_fd=dir_fd), b"Ready")
    return {
        "lookup": attempt(lambda: os.stat(at("config/user.other"), dir_fd=dir_fd)),
        "lookup of nothing": attempt(lambda: os.stat(at("config/user.none"), dir_fd=dir_fd)),
        "open": attempt(lambda: read(at("config/user.cached"), dir_fd)),
        "open what all may read": attempt(lambda: read(at("config/user.public"), dir_fd)),
        "open the name": attempt(lambda: read(at("name"), dir_fd)),
        "list": attempt(lambda: os.listdir(os.open(at("."), os.O_RDONLY, dir_fd=dir_fd))),
        "list keys": attempt(lambda: os.listdir(os.open(at("config"), os.O_RDONLY, dir_fd=dir_fd))),
        "enter and list": attempt(lambda: enter(base, dir_fd)),
        "read state": attempt(lambda: read(at("state"), dir_fd)),
        "open state to write": attempt(lambda: os.close(os.open(at("state"), os.O_WRONLY,
                                                                dir_fd=dir_fd))),
        "write state": attempt(lambda: write(os.O_WRONLY)),
        "truncate state": attempt(lambda: write(os.O_WRONLY | os.O_TRUNC)),
    }
"""


def refused(found):
    """Whether nothing was to be had; lookups may find what the owner's own calls left cached."""
    assert found.pop("lookup") != "ENOENT"
    return set(found.values()) == {"EACCES"}


def granted(found):
    """Whether all was to be had."""
    assert found.pop("lookup of nothing") == "ENOENT"
    return found["open"] == "b'cached'" and found["write state"] == "None" and \
        not {"EACCES", "ENOENT"} & set(found.values())


def by_path(guest, path, **options):
    return guest.python(ATTEMPTS + "print(json.dumps(attempts(sys.argv[1])))", path, **options)


def by_host(argv, source, *args, **options):
    """Runs Python source on the host behind the command argv; what it printed."""
    done = subprocess.run([*argv, PYTHON, "-", *map(str, args)], input=source, text=True,
                          capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def state_of(guest):
    return guest.run(["cat", "/dev/lxd/state"]).stdout


def opened_by(guest, path, flags):
    """A descriptor that a process of the guest opened and sent here with SCM_RIGHTS."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guest.run([PYTHON, "-c",
                   "import os, socket, sys\n"
                   "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'x'],\n"
                   "                [os.open(sys.argv[2], int(sys.argv[3]))])",
                   str(theirs.fileno()), path, str(flags)], pass_fds=[theirs.fileno()])
        return socket.recv_fds(ours, 1, 1)[1][0]


def test_mounted_into_another_guest(host, pair):
    victim, attacker = pair
    attacker.mount(host.daemon.tree(victim.name), "/tmp/theirs")
    assert refused(by_path(attacker, "/tmp/theirs"))
    assert state_of(victim) == "Started\n"
    # What the owner has just looked at is in the kernel's caches, and no more to be had.
    assert victim.run(["cat", "/dev/lxd/config/user.other"]).stdout == "other"
    assert refused(by_path(attacker, "/tmp/theirs"))
    assert refused(by_path(attacker, "/tmp/theirs", uid=1000))


def test_another_guests_root(host, pair):
    """By /proc/PID/root, from a process that sees the victim's, and by the host's own path."""
    victim, attacker = pair
    source = ATTEMPTS + "print(json.dumps(attempts(sys.argv[1])))"
    for path in f"/proc/{victim.pid}/root/dev/lxd", host.daemon.tree(victim.name):
        assert refused(by_host([], source, path, preexec_fn=attacker.cgroup.add))
        assert granted(by_host([], source, path, preexec_fn=victim.cgroup.add))


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH], ids=["read", "path"])
def test_directory_descriptor(pair, flags):
    """Passed by the victim, inherited by the attacker: nothing can be opened by it."""
    victim, attacker = pair
    fd = opened_by(victim, "/dev/lxd", flags | os.O_DIRECTORY)
    source = ATTEMPTS + """
fd = int(sys.argv[1])
print(json.dumps([attempts("", fd), attempts(f"/proc/self/fd/{fd}")]))
"""
    for found in attacker.run_python_with(fd, source):
        assert refused(found)
    for found in victim.run_python_with(fd, source):
        assert granted(found)
    os.close(fd)


def test_file_descriptors(pair):
    """A file that is open is what it is; but who writes the state must be the instance itself."""
    victim, attacker = pair
    key = opened_by(victim, "/dev/lxd/config/user.cached", os.O_RDONLY)
    assert attacker.run_python_with(key, ATTEMPTS + """
fd = int(sys.argv[1])
again = attempt(lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDONLY))
print(json.dumps([os.pread(fd, 100, 0).decode(), again]))
""") == ["cached", "EACCES"]
    state = opened_by(victim, "/dev/lxd/state", os.O_RDWR)
    write = ATTEMPTS + 'print(json.dumps(attempt(lambda: os.write(int(sys.argv[1]), b"Ready"))))'
    assert attacker.run_python_with(state, write) == "EACCES"
    assert state_of(victim) == "Started\n"
    assert victim.run_python_with(state, write) == "5"
    assert state_of(victim) == "Ready\n"
    os.close(key)
    os.close(state)


def test_any_thread(host, pair):
    """Also one whose process's first thread has ended."""
    victim, _ = pair
    assert victim.python(r"""
import ctypes, json, os, threading
def has_ended():
    with open(f"/proc/self/task/{os.getpid()}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"
def look():
    while not has_ended():
        os.sched_yield()
    with open("/dev/lxd/config/user.cached") as file:
        print(json.dumps([file.read(), sorted(os.listdir("/dev/lxd/config"))]), flush=True)
    os._exit(0)
threading.Thread(target=look).start()
ctypes.CDLL(None).syscall(60, 0)  # SYS_exit: of this thread alone
""") == ["cached", sorted(CONFIG)]


def test_nested_cgroups(pair):
    victim, attacker = pair
    nested = Cgroup(victim.cgroup.path + "/a/b" + attacker.cgroup.path)
    assert granted(by_path(victim, "/dev/lxd", cgroup=nested))
    sibling = Cgroup(victim.cgroup.path + "x")
    try:
        assert refused(by_path(victim, "/dev/lxd", cgroup=sibling))
    finally:
        sibling.remove()


def test_threaded_cgroup(host):
    """A thread is where its own cgroup is."""
    victim = host.named("victim")
    domain = Cgroup(victim.cgroup.path + "/domain")
    threaded = Cgroup(domain.path + "/threaded")
    with open(os.path.join(threaded.dir, "cgroup.type"), "w") as kind:
        kind.write("threaded")
    child = victim.start_python(r"""
import sys, threading
def look():
    print(threading.get_native_id(), flush=True)
    sys.stdin.readline()
    print(open("/dev/lxd/config/user.cached").read(), flush=True)
thread = threading.Thread(target=look)
thread.start()
thread.join()
""", cgroup=domain)
    child.stdout.readline()  # in its own numbers
    tids = [int(tid) for pid in domain.pids() for tid in os.listdir(f"/proc/{pid}/task")
            if int(tid) != pid]
    with open(os.path.join(threaded.dir, "cgroup.threads"), "w") as threads:
        threads.write(str(tids[-1]))
    out, _ = child.communicate("\n")
    assert out == "cached\n"


def test_nested_namespaces(pair):
    for victim in pair:
        for options in ("--pid", "--user --map-root-user --pid",
                        "--user --map-root-user --pid --mount --mount-proc"):
            done = victim.run(["unshare", "--fork", *options.split(),
                               "cat", "/dev/lxd/config/user.cached"])
            assert done.stdout == "cached"


def test_not_root_in_the_guest(pair):
    """Modes decide, for whoever is of the guest."""
    for victim in pair:
        assert victim.run(["cat", "/dev/lxd/config/user.public"], uid=1000).stdout == "public"
        done = victim.run(["cat", "/dev/lxd/config/user.cached"], uid=1000, check=False)
        assert done.returncode == 1 and "Permission denied" in done.stderr


def test_the_hosts_root(host, pair):
    """In the guest's mount namespace, or on the host: it reads, and writes nothing."""
    victim, _ = pair
    source = ATTEMPTS + "print(json.dumps(attempts(sys.argv[1])))"
    for argv, path in ((["nsenter", f"--target={victim.pid}", "--mount"], "/dev/lxd"),
                       ([], host.daemon.tree(victim.name))):
        found = by_host(argv, source, path)
        assert found["open"] == "b'cached'" and found["read state"] == "b'Started\\n'"
        assert found["lookup of nothing"] == "ENOENT" and "config" in found["enter and list"]
        assert found["open state to write"] == found["write state"] == "EACCES"
        assert found["truncate state"] == "EACCES"
    assert state_of(victim) == "Started\n"


def test_root_of_a_pid_namespace_that_is_no_guests(host, pair):
    """A privileged container that nobody registered is not the host, whatever its uid is."""
    victim, _ = pair
    stranger = host.guest("stranger")
    stranger.mount(host.daemon.tree(victim.name), "/tmp/theirs")
    assert refused(by_path(stranger, "/tmp/theirs"))
    source = ATTEMPTS + "print(json.dumps(attempts(sys.argv[1])))"
    assert refused(by_host(["unshare", "--pid", "--fork"], source, host.daemon.tree(victim.name)))
    stranger.close()


def test_others_of_the_host(host, pair):
    victim, _ = pair
    found = by_host(["nsenter", f"--target={victim.pid}", "--mount", "setpriv", "--reuid=65534",
                     "--regid=65534", "--clear-groups"],
                    ATTEMPTS + "print(json.dumps(attempts(sys.argv[1])))", "/dev/lxd")
    assert refused(found)


def test_two_claim_one_cgroup(host):
    """Neither is believed, until one of them withdraws."""
    daemon = host.daemon
    torn = host.guest("torn")
    daemon.guest_record(torn, CONFIG)
    torn.attach_tree(daemon)
    assert granted(by_path(torn, "/dev/lxd"))
    daemon.record("torn2", config=CONFIG, match={"cgroup": torn.cgroup.path})
    torn.mount(daemon.tree("torn2"), "/tmp/torn2")
    for path in "/dev/lxd", "/tmp/torn2":
        assert refused(by_path(torn, path))
    daemon.record("torn2", config=CONFIG)
    assert granted(by_path(torn, "/dev/lxd"))
    assert refused(by_path(torn, "/tmp/torn2"))
    torn.close()


@pytest.mark.parametrize("mapped", [False, True], ids=["privileged", "mapped"])
def test_bound_by_a_hook(host, mapped):
    """The record says nothing of a cgroup; who is meant is told by the admin socket."""
    daemon = host.daemon
    bound = host.guest("bound", mapped)
    daemon.record("bound", config=CONFIG)
    bound.attach_tree(daemon)
    assert refused(by_path(bound, "/dev/lxd"))
    for _ in range(2):
        assert daemon.admin("POST", "/1.0/instances/bound/bind", {"pid": bound.pid})[0] == 200
        assert bound.run(["cat", "/dev/lxd/config/user.cached"]).stdout == "cached"
        assert bound.run(["stat", "-c%u %g", "/dev/lxd/config/user.cached"]).stdout == "0 0\n"
        assert daemon.admin("DELETE", "/1.0/instances/bound/bind")[0] == 200
        assert refused(by_path(bound, "/dev/lxd"))
    bound.close()
