# SPDX-License-Identifier: GPL-2.0-or-later
"""bubblewrap, which has no cgroups: as root, and by a plain user, who is root inside."""

import json
import os
import subprocess

from container import SAY_READY, Container
from lab import USER, USER_ID


class Bwrap(Container):
    KINDS = ("privileged", "user")
    HAS_CGROUP = False

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.root = self.lab.root()

    @property
    def root_uid(self):
        return USER_ID if self.kind == "user" else 0

    def start(self):
        info, theirs = os.pipe()
        words = ["bwrap", "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-net",
                 "--hostname", self.name, "--bind", self.root, "/",
                 "--dev", "/dev", "--proc", "/proc", "--die-with-parent", "--as-pid-1",
                 "--info-fd", str(theirs), *self.options]
        for source, target in self.mounts:
            words += ["--bind", source, target]
        if self.kind == "user":
            words[1:1] = ["--unshare-user", "--uid", "0", "--gid", "0"]
            words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *words]
        self.child = subprocess.Popen([*words, *SAY_READY], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, pass_fds=[theirs])
        os.close(theirs)
        with open(info) as file:
            self.pid = json.load(file)["child-pid"]
        self._await_ready(self.child)

    def stop(self):
        self._kill_first(self.child)
