# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain LXC, as root and by a plain user: lxc-start, lxc-attach, lxc-stop."""

import os
import subprocess

from container import FOREVER, Container, call
from guest import PATH
from lab import N_MAPPED_IDS, USER, USER_FIRST_ID, USER_ID


class Lxc(Container):
    WAYS = ("cgroup", "attach")
    lxcpath = "lxc"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.root = self.lab.root(self.root_uid)
        self.directory = self.lab.path(self.lxcpath, self.id)
        os.makedirs(self.directory, exist_ok=True)

    def command(self, name, *args):
        return [f"lxc-{name}", "-P", self.lab.path(self.lxcpath), "-n", self.id, *args]

    def call(self, *args):
        return call(self.command(*args), env=self.environment(), cwd="/")

    def cgroup_path(self):
        return f"/lxc.payload.{self.id}"

    def config_lines(self):
        yield "lxc.include = /usr/share/lxc/config/common.conf"
        if self.root_uid:
            yield "lxc.include = /usr/share/lxc/config/userns.conf"
            yield f"lxc.idmap = u 0 {self.root_uid} {N_MAPPED_IDS}"
            yield f"lxc.idmap = g 0 {self.root_uid} {N_MAPPED_IDS}"
        yield f"lxc.uts.name = {self.name}"
        yield f"lxc.rootfs.path = dir:{self.root}"
        yield "lxc.net.0.type = empty"
        yield f"lxc.init.cmd = /bin/{' '.join(FOREVER)}"
        for source, target in self.mounts:
            yield f"lxc.mount.entry = {source} {target.lstrip('/')} none bind,create=dir 0 0"
        yield from self.options

    def start(self):
        with open(f"{self.directory}/config", "w") as config:
            config.writelines(line + "\n" for line in self.config_lines())
        log = f"{self.directory}/log"
        try:
            self.call("start", "-l", "INFO", "-o", log)
        except AssertionError:
            with open(log) as file:
                print(file.read())
            raise
        self.pid = int(self.call("info", "-p", "-H"))

    def stop(self):
        # It may have ended by itself.
        subprocess.run(self.command("stop", "-k"), env=self.environment(), cwd="/",
                       capture_output=True, timeout=60)
        self.call("wait", "-s", "STOPPED", "-t", "60")

    def enter(self):
        return self.command("attach", "--clear-env", "--set-var", f"PATH={PATH}", "--")


class UserLxc(Lxc):
    """A user's own, who may write to no cgroup here, so it has none."""

    KINDS = ("user",)
    WAYS = ("mount", "attach")
    lxcpath = "lxc-user"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        for path in self.directory, os.path.dirname(self.directory), self._run_dir():
            os.makedirs(path, exist_ok=True)
            os.chown(path, USER_ID, USER_ID)

    @property
    def root_uid(self):
        return USER_FIRST_ID

    def _run_dir(self):
        return f"/run/{self.lab.prefix}-lxc"

    def environment(self):
        return super().environment() | {"HOME": os.path.dirname(self.directory),
                                        "XDG_RUNTIME_DIR": self._run_dir()}

    def command(self, name, *args):
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                *super().command(name, *args)]

    def enter(self):
        # What lxc-attach starts stays in the cgroup that it was called in.
        return Container.enter(self) if self.way == "attach" else super().enter()
