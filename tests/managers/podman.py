# SPDX-License-Identifier: GPL-2.0-or-later
"""Podman with runc, as root and rootless, with storage of its own."""

import os
import subprocess

from container import FOREVER, Container, call
from daemon import kill_and_wait, wait_until
from lab import FIRST_MAPPED_ID, N_MAPPED_IDS, USER, USER_ID


class Podman(Container):
    image = "box"
    KINDS = ("privileged", "mapped", "rootless")
    # A user's podman has a mount namespace that stays, from the first time that it is called.
    SHARED_KINDS = ("rootless",)

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.owner = "rootless" if self.kind == "rootless" else "root"
        self.home = self.lab.path(f"podman-{self.owner}")
        # Podman wants a short name; /run is this session's own.
        self.run_dir = f"/run/{self.lab.prefix}-{self.owner}"
        if not os.path.isdir(self.home):
            self._make_home()

    def _make_home(self):
        if self.kind == "rootless":
            self.lab.callback(self._end_pause)
        owner = USER_ID if self.kind == "rootless" else 0
        for path, mode in ((self.home, 0o755), (self.run_dir, 0o700)):
            os.mkdir(path, mode)
            os.chown(path, owner, owner)
        with subprocess.Popen(["tar", "-C", self.lab.roots[0], "-c", "."],
                              stdout=subprocess.PIPE) as tar:
            done = subprocess.run(self.command("import", "-", "box"), stdin=tar.stdout,
                                  env=self.environment(), cwd="/", capture_output=True, text=True)
            assert done.returncode == 0, done

    def _end_pause(self):
        """The process that keeps a user's namespaces; it would outlive the session."""
        with open(f"{self.run_dir}/libpod/tmp/pause.pid") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline") as words:
            assert words.read().startswith("podman"), pid
        kill_and_wait(pid)

    @property
    def root_uid(self):
        return USER_ID if self.kind == "rootless" else super().root_uid

    def environment(self):
        return super().environment() | {"HOME": self.home, "XDG_RUNTIME_DIR": self.run_dir}

    def command(self, *args):
        words = ["podman", "--root", f"{self.home}/storage", "--runroot", f"{self.run_dir}/storage",
                 "--runtime", "runc", "--cgroup-manager", "cgroupfs",
                 "--events-backend", "none", *args]
        if self.kind == "rootless":
            words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *words]
        return words

    def call(self, *args):
        return call(self.command(*args), env=self.environment(), cwd="/")

    def start(self):
        options = ["--name", self.id, "--network", "none",
                   # Root here may not raise limits.
                   "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", *self.options]
        for source, target in self.mounts:
            options += ["-v", f"{source}:{target}"]
        if self.kind == "mapped":
            options += ["--uidmap", f"0:{FIRST_MAPPED_ID}:{N_MAPPED_IDS}"]
        if self.kind != "rootless" and "--cgroups=disabled" not in self.options:
            options += ["--cgroup-parent", f"/{self.lab.prefix}-podman"]
        self.call("run", "-d", *options, self.image, *FOREVER)
        self.pid = int(self.call("inspect", "-f", "{{.State.Pid}}", self.id))

    def stop(self):
        self.call("stop", "-t", "0", self.id)
        # What podman has do the cleaning up may be at it.
        wait_until(self._remove, "podman rm")

    def _remove(self):
        done = subprocess.run(self.command("rm", "--force", "--ignore", self.id),
                              env=self.environment(), cwd="/", capture_output=True)
        return done.returncode == 0

    def enter(self):
        if (self.kind, self.way) == ("rootless", "attach"):
            # What `podman exec` starts without root stays in the cgroup that podman was called in.
            return super().enter()
        return self.command("exec", "-i", self.id)
