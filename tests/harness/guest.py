# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests for tests: real processes in namespaces and a cgroup of their own.

Nothing outside is touched: the guest has its own /dev and /tmp, its cgroup has a name nobody else
uses, and close() ends it through that cgroup. When this process dies the guest sees the end of its
input and ends too.
"""

import json
import os
import select
import subprocess
import time
import uuid

from commands import Commands
from here import HARNESS, PYTHON
from mounting import mount_into

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_MAPPED_ID = 100000
# /proc is still the host's: the shell tells its pid there, then waits for its uid map and cgroup.
FIRST_WORDS = '''read -r pid _ </proc/self/stat; echo "$pid"; read -r _
exec setpriv --reuid 0 --regid 0 --clear-groups /bin/sh -c "$GUEST_INIT"'''


def cgroup2_root():
    """Where the cgroup2 hierarchy is mounted, or None; its place differs between hosts."""
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            fields, _, tail = line.partition(" - ")
            if tail.split()[0] == "cgroup2" and fields.split()[3] == "/":
                return fields.split()[4]
    return None


class Cgroup:
    """A cgroup that is made here and removed, with all that is in it, by remove()."""

    def __init__(self, path):
        self.path = path  # below the root of the hierarchy, as records have it
        self.dir = cgroup2_root() + path
        self.procs = os.path.join(self.dir, "cgroup.procs")
        os.makedirs(self.dir, exist_ok=True)

    def add(self, pid=0):
        """Moves a process here, the calling one by default."""
        with open(self.procs, "w") as procs:
            procs.write(str(pid))

    def pids(self):
        with open(self.procs) as procs:
            return [int(line) for line in procs]

    def kill(self):
        with open(os.path.join(self.dir, "cgroup.kill"), "w") as kill:
            kill.write("1")
        with open(os.path.join(self.dir, "cgroup.events")) as events:
            poller = select.poll()
            poller.register(events, select.POLLPRI)
            deadline = time.monotonic() + 20
            while "populated 1" in events.read():
                poller.poll(1000)
                events.seek(0)
                assert time.monotonic() < deadline, f"{self.dir} does not empty"

    def remove(self):
        self.kill()
        for directory, _, _ in os.walk(self.dir, topdown=False):
            os.rmdir(directory)


class Guest(Commands):
    """@cgroup_path is for one that comes back where another was, @first_id for other ids."""

    def __init__(self, build, name="guest", mapped=False, cgroup_path=None,
                 first_id=FIRST_MAPPED_ID):
        self.name = name
        self.mapped = mapped
        self.root_uid = first_id if mapped else 0
        self.children = []
        self.is_closed = False
        self.cgroup = Cgroup(cgroup_path or f"/devlxdfs-test-{uuid.uuid4().hex[:12]}")
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--fork"]
        if mapped:
            namespaces += ["--user", "--keep-caps"]
        with open(os.path.join(HARNESS, "guest-init.sh")) as script:
            environment = {"PATH": PATH, "GUEST_NAME": name, "GUEST_INIT": script.read()}
        self.init = subprocess.Popen(["unshare", *namespaces, "/bin/sh", "-c", FIRST_WORDS],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     env=environment, text=True)
        self.pid = int(self.init.stdout.readline())
        if mapped:
            for kind in "uid", "gid":
                with open(f"/proc/{self.pid}/{kind}_map", "w") as id_map:
                    id_map.write(f"0 {first_id} 65536")
        self.cgroup.add(self.pid)
        self.init.stdin.write("go\n")
        self.init.stdin.flush()
        line = self.init.stdout.readline().strip()
        if line != "ready":
            self.close()
            raise RuntimeError(f"guest {name} does not start: '{line}'")
        self.mount(build, "/dev/build")

    def mount(self, source, target):
        """Bind-mounts the host's source at target in the guest."""
        mount_into(self.pid, source, target)

    def attach(self, daemon):
        """Puts the daemon's socket at /dev/lxd/sock, as a manager does."""
        self.mount(daemon.sock, "/dev/lxd/sock")
        return self

    def attach_tree(self, daemon, name=None):
        """Puts its directory of the tree (or that of @name) at /dev/lxd; it must have a record."""
        self.mount(daemon.tree(name or self.name), "/dev/lxd")
        return self

    def popen(self, argv, uid=0, cgroup=None, **options):
        """Starts argv inside, as root or as uid (ids of the guest)."""
        # By a shell: preexec_fn would copy this whole process first.
        command = ["/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', (cgroup or self.cgroup).procs,
                   "nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--pid", "--wdns=/"]
        if self.mapped:
            command.append("--user")
        if uid:
            command += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        options.setdefault("env", {"PATH": PATH, "LC_ALL": "C.UTF-8"})
        child = subprocess.Popen(command + argv, **options)
        self.children.append(child)
        return child

    def python(self, source, *args, **options):
        """Runs Python source inside and returns what it printed, parsed as JSON."""
        done = self.run([PYTHON, "-", *map(str, args)], input=source, **options)
        return json.loads(done.stdout)

    def run_python_with(self, fd, source, **options):
        """python() with a descriptor of ours under the same number, which is its argument."""
        done = self.run([PYTHON, "-c", source, str(fd)], pass_fds=[fd], **options)
        return json.loads(done.stdout)

    def start_python(self, source, *args, **options):
        """The same in the background: a Popen whose stdout and stdin are pipes."""
        return self.popen([PYTHON, "-c", source, *map(str, args)], stdin=subprocess.PIPE,
                          stderr=None, **options)

    def close(self):
        """Ends it. May be done by a test, and is done once."""
        if self.is_closed:
            return
        self.is_closed = True
        self.init.kill()  # first: it would complain of its child's end
        self.cgroup.kill()
        for child in [self.init, *self.children]:
            child.wait()
            for pipe in child.stdin, child.stdout, child.stderr:
                if pipe:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
        self.cgroup.remove()
