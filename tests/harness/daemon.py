# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon under test: the real one, in directories of its own, and ways to talk to it."""

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import time

from account import let_through
from mounting import are_private

SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")
HELPER_NAME = "devlxdfs-helper"
POKER_NAME = "devlxdfs-poker"
ATTACHER_NAME = "devlxdfs-attach"
NO_WORKERS = (HELPER_NAME, POKER_NAME, ATTACHER_NAME)  # the keeper's other children
START_SECONDS = 60  # a bound, not a wait: sanitizers are slow


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("lxd", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)
        self.sock.settimeout(self.timeout)  # with one, connect(2) would not wait in the queue


def children_of(pid):
    """Process ids whose parent is pid, but for those that have ended and are not reaped yet."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                state, parent = stat.read().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read().strip()
    except FileNotFoundError:
        return None


def memory_of(pid):
    """{"Rss": bytes, "Pss": bytes, ...}"""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        for line in lines:
            fields = line.split()
            if fields[-1] == "kB":
                sizes[fields[0].rstrip(":")] = int(fields[1]) * 1024
    return sizes


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memfd_of(pid, name="devlxdfs"):
    """The path by which its memory file of that name may be opened."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        if os.readlink(path).startswith(f"/memfd:{name} "):
            return path
    raise AssertionError(f"{pid} has no memory file")


def kill_and_wait(pid):
    """Kills it with -9 and waits for its end."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], START_SECONDS)[0], f"{pid} does not end"
    finally:
        os.close(pidfd)


class Daemon:
    """start() to stop(). @wrapper is a command that runs devlxdfsd, such as `deny`; @program another devlxdfsd."""

    def __init__(self, build, directory, wrapper=(), options=(), program=None):
        self.build = build
        self.program = program or f"{build}/fsd/devlxdfsd"
        self.wrapper = list(wrapper)
        self.options = list(options)
        self.dirs = {kind: os.path.join(directory, kind) for kind in ("conf", "state", "run")}
        self.sock = os.path.join(self.dirs["run"], "sock")
        self.admin_sock = os.path.join(self.dirs["run"], "admin.sock")
        self.log_path = os.path.join(directory, "log")
        self.process = None
        self.may_lose_workers = False  # set by tests that kill or starve one
        let_through(directory)
        for kind in "instances", "profiles":
            os.makedirs(os.path.join(self.dirs["conf"], kind))

    # --- the processes

    def _dir_options(self):
        return [word for kind, path in self.dirs.items() for word in (f"--{kind}-dir", path)]

    def spawn(self, **popen_options):
        """Starts it without waiting; (process, descriptor that becomes readable when ready)."""
        assert are_private(), "what it mounts would be the machine's"
        ready, theirs = os.pipe()
        environment = dict(os.environ, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
        with open(self.log_path, "a") as log:
            process = subprocess.Popen(
                [*self.wrapper, self.program, *self._dir_options(),
                 "--ready-fd", str(theirs), *self.options],
                pass_fds=[theirs], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, **popen_options)
        os.close(theirs)
        return process, ready

    def start(self, **popen_options):
        self.process, ready = self.spawn(**popen_options)
        try:
            assert select.select([ready], [], [], START_SECONDS)[0], "not ready:\n" + self.log()
            assert os.read(ready, 2) == b"\n", "does not start:\n" + self.log()
        finally:
            os.close(ready)
        return self

    def stop(self):
        """Ends it as a service manager does; it must leave cleanly."""
        if not self.process:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            raise AssertionError("does not stop:\n" + self.log()) from None
        self.check_log()
        assert status == 0, f"exit status {status}:\n" + self.log()

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def check_log(self):
        """No report of a sanitizer, no death that no test asked for."""
        log = self.log()
        for word in SANITIZER_WORDS:
            assert word not in log, log[log.index(word):][:4000]
        assert self.may_lose_workers or \
            not re.search("the worker (was killed|exited|has been silent)", log), log

    @property
    def keeper_pid(self):
        # A wrapper execs, so the process is the keeper in any case.
        return self.process.pid

    @property
    def worker_pid(self):
        return self._child(lambda name: name not in NO_WORKERS)

    @property
    def helper_pid(self):
        return self._child(lambda name: name == HELPER_NAME)

    @property
    def poker_pid(self):
        return self._child(lambda name: name == POKER_NAME)

    def _child(self, is_wanted):
        """The one there is; after one has died the next may take a moment."""
        found = []

        def find():
            found[:] = [pid for pid in children_of(self.process.pid) if is_wanted(name_of(pid))]
            return len(found) == 1

        wait_until(find, "the keeper's child")
        return found[0]

    def kill_worker(self):
        """As a crash does; returns once it is gone."""
        self.may_lose_workers = True
        kill_and_wait(self.worker_pid)

    def tree(self, *names):
        """A path in the tree as the host sees it."""
        return os.path.join(self.dirs["run"], "tree", *names)

    # --- records

    def record_path(self, name, kind="instances"):
        return os.path.join(self.dirs["conf"], kind, f"{name}.json")

    def record(self, name, kind="instances", **members):
        """Writes an operator's record and, when the daemon runs, has it loaded now."""
        path = self.record_path(name, kind)
        with open(path + ".new", "w") as file:
            json.dump(members, file)
        os.rename(path + ".new", path)
        if self.process:
            status, answer = self.admin("POST", f"/1.0/{kind}/{name}/load")
            assert status == 200, answer

    def guest_record(self, guest, config=None, **members):
        """A record that recognises the guest by its cgroup."""
        self.record(guest.name, config=config or {}, match={"cgroup": guest.cgroup.path}, **members)

    def settings(self, **members):
        with open(os.path.join(self.dirs["conf"], "devlxdfsd.conf"), "w") as file:
            json.dump(members, file)

    # --- talking to it

    def admin(self, method, path, body=None):
        """(status, decoded reply) of the admin socket."""
        connection = UnixConnection(self.admin_sock)
        connection.request(method, path, body=None if body is None else json.dumps(body))
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        is_json = reply.headers.get_content_type() == "application/json"
        return reply.status, json.loads(text) if is_json else text

    def ctl_command(self):
        """The words that run devlxdfs for this daemon."""
        return [f"{self.build}/hostapi/ctl/devlxdfs", *self._dir_options()]

    def ctl_popen(self, *args):
        """Starts devlxdfs."""
        return subprocess.Popen([*self.ctl_command(), *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ctl(self, *args, input=None, status=0):
        """Runs devlxdfs; its standard output. It must exit with status (None: any)."""
        done = subprocess.run(
            [*self.ctl_command(), *args],
            input=input, text=True, capture_output=True, timeout=START_SECONDS)
        assert status is None or done.returncode == status, (args, done)
        return done.stdout if status == 0 else done


def wait_until(condition, what, seconds=20):
    """Yields the processor until condition() holds: for what no descriptor tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, \
            f"{what() if callable(what) else what}: not within {seconds} s"
        select.select([], [], [], 0.001)
