# SPDX-License-Identifier: GPL-2.0-or-later
"""What containers of all managers have in common: how tests start them, and look in."""

import contextlib
import os
import signal
import subprocess

from commands import Commands
from guest import PATH, cgroup2_root
from lab import FIRST_MAPPED_ID

FOREVER = ["tail", "-f", "/dev/null"]
SAY_READY = ["sh", "-c", "echo ready; exec tail -f /dev/null"]


def call(argv, status=0, **options):
    """Runs a manager's command, which must exit with status; what it says, errors if it fails."""
    done = subprocess.run(argv, text=True, capture_output=True, timeout=120,
                          stdin=subprocess.DEVNULL, **options)
    assert done.returncode == status, (argv, done.stdout, done.stderr)
    return done.stdout + (done.stderr if status else "")


def cgroup_of(pid):
    """Its path below the root of cgroup2."""
    with open(f"/proc/{pid}/cgroup") as lines:
        return next(line.strip()[3:] for line in lines if line.startswith("0::"))


class Container(Commands):
    """A subclass has start() and stop(), which may be done again, and says how to enter it."""

    KINDS = ("privileged", "mapped")
    SHARED_KINDS = ()  # which need mounts to propagate, as systemd has them do
    WAYS = ("mount", "attach")  # of recognising it; all but attach have a mount when it starts
    HAS_CGROUP = True  # one of its own

    def __init__(self, lab, name, kind="privileged", way=None, options=()):
        self.lab = lab
        self.name = name  # of the instance
        self.id = f"{lab.prefix}-{name}"  # as the manager has it; nobody else's
        self.kind = kind
        self.way = way or self.WAYS[0]
        self.options = list(options)  # more of what the manager is told when it starts it
        self.children = []
        self.mounts = []  # of its next start: (source, target)
        self.is_up = False

    @property
    def root_uid(self):
        """Its root, as the host numbers it."""
        return 0 if self.kind == "privileged" else FIRST_MAPPED_ID

    def record(self):
        """Members of a record by which it is recognised."""
        if self.way == "attach":
            return {}
        if self.way == "cgroup":
            return {"match": {"cgroup": self.cgroup_path()}}
        return {"match": {"mount": True}, "root": {"uid": self.root_uid, "gid": self.root_uid}}

    def up(self):
        self.start()
        self.is_up = True
        return self

    def down(self):
        if self.is_up:
            self.is_up = False
            self.stop()
        for child in self.children:
            child.kill()
            child.wait()
            for pipe in child.stdin, child.stdout, child.stderr:
                if pipe:
                    pipe.close()
        self.children.clear()

    close = down

    def cgroup(self):
        return cgroup_of(self.pid)

    def popen(self, argv, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        options.setdefault("env", self.environment())
        child = subprocess.Popen(self.enter() + list(argv), **options)
        self.children.append(child)
        return child

    def environment(self):
        return {"PATH": PATH, "HOME": self.lab.path("home")}

    def enter(self):
        """The words before a command that is to run in it."""
        # Of all its namespaces, and in its cgroup.
        procs = cgroup2_root() + self.cgroup() + "/cgroup.procs"
        return ["/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', procs,
                "nsenter", "--all", f"--target={self.pid}", "--wdns=/"]

    def cat(self, name):
        """A file of its directory, or what cat says."""
        done = self.run(["cat", f"/dev/lxd/{name}"], check=False)
        return done.stdout if done.returncode == 0 else done.stderr

    def _await_ready(self, child):
        assert child.stdout.readline() == b"ready\n", child.wait()

    def _kill_first(self, child):
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(self.pid, signal.SIGKILL)
        child.wait(60)
        child.stdout.close()
