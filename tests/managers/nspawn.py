# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd-nspawn without systemd: --keep-unit, in a cgroup that is made as a unit's would be, or in none."""

import subprocess

from container import SAY_READY, Container
from daemon import children_of, wait_until
from guest import Cgroup
from lab import FIRST_MAPPED_ID, N_MAPPED_IDS


class Nspawn(Container):
    WAYS = ("cgroup", "mount")

    def __init__(self, lab, name, kind="privileged", options=(), in_unit=True):
        super().__init__(lab, name, kind)
        self.options = list(options)
        self.root = lab.root(self.root_uid)
        self.unit = Cgroup(f"/{self.id}.service") if in_unit else None

    def record(self, way):
        # In a unit, nspawn itself is in supervisor/, the guest in payload/.
        return {"match": {"cgroup": f"{self.unit.path}/payload"}} if way == "cgroup" \
            else super().record(way)

    def start(self):
        procs = self.unit.procs if self.unit else "/dev/null"
        words = ["/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', procs, "systemd-nspawn", "--quiet",
                 "--register=no", "--keep-unit", "--as-pid2", "--console=pipe", "--private-network",
                 "-D", self.root, "-M", self.name, *self.options]
        if self.kind == "mapped":
            words += [f"--private-users={FIRST_MAPPED_ID}:{N_MAPPED_IDS}"]
        for source, target in self.mounts:
            words += [f"--bind={source}:{target}"]
        self.child = subprocess.Popen([*words, *SAY_READY], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE)
        self._await_ready(self.child)
        # The first process in there is nspawn's own; the guest's is what it started.
        wait_until(lambda: len(children_of(self.child.pid)) == 1, "one child")
        self.pid = children_of(self.child.pid)[0]

    def stop(self):
        self._kill_first(self.child)

    def close(self):
        super().close()
        if self.unit:
            self.unit.remove()
