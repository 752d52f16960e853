# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain LXC, as root: lxc-start, lxc-attach, lxc-stop."""

import os
import subprocess

from container import FOREVER, Container, call
from guest import PATH
from lab import FIRST_MAPPED_ID, N_MAPPED_IDS


class Lxc(Container):
    WAYS = ("cgroup", "attach")

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.root = self.lab.root(self.root_uid)
        os.makedirs(self.lab.path("lxc", self.id), exist_ok=True)

    def command(self, name, *args):
        return [f"lxc-{name}", "-P", self.lab.path("lxc"), "-n", self.id, *args]

    def cgroup_path(self):
        return f"/lxc.payload.{self.id}"

    def config_lines(self):
        yield "lxc.include = /usr/share/lxc/config/common.conf"
        if self.kind == "mapped":
            yield "lxc.include = /usr/share/lxc/config/userns.conf"
            yield f"lxc.idmap = u 0 {FIRST_MAPPED_ID} {N_MAPPED_IDS}"
            yield f"lxc.idmap = g 0 {FIRST_MAPPED_ID} {N_MAPPED_IDS}"
        yield f"lxc.uts.name = {self.name}"
        yield f"lxc.rootfs.path = dir:{self.root}"
        yield "lxc.net.0.type = empty"
        yield f"lxc.init.cmd = /bin/{' '.join(FOREVER)}"
        for source, target in self.mounts:
            yield f"lxc.mount.entry = {source} {target.lstrip('/')} none bind,create=dir 0 0"
        yield from self.options

    def start(self):
        with open(self.lab.path("lxc", self.id, "config"), "w") as config:
            config.writelines(line + "\n" for line in self.config_lines())
        log = self.lab.path("lxc", self.id, "log")
        try:
            call(self.command("start", "-l", "INFO", "-o", log))
        except AssertionError:
            with open(log) as file:
                print(file.read())
            raise
        self.pid = int(call(self.command("info", "-p", "-H")))

    def stop(self):
        # It may have ended by itself.
        subprocess.run(self.command("stop", "-k"), capture_output=True, timeout=60)
        call(self.command("wait", "-s", "STOPPED", "-t", "60"))

    def enter(self):
        return self.command("attach", "--clear-env", "--set-var", f"PATH={PATH}", "--")
