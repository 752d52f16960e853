# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker: a dockerd of its own for each kind, as --userns-remap is the daemon's option."""

import os
import shutil
import subprocess

from container import FOREVER, Container, call
from daemon import UnixConnection, wait_until
from guest import Cgroup
from lab import REMAPPED


class Dockerd:
    """@options are more of dockerd's."""

    def __init__(self, lab, kind, options=()):
        self.directory = lab.path(f"docker-{kind}")
        os.mkdir(self.directory, 0o755)
        self.socket = self.directory + "/sock"
        self.log = self.directory + "/log"
        self.cgroup = Cgroup(f"/{lab.prefix}-dockerd-{kind}")
        lab.callback(self.close)
        mapping = ["--userns-remap", REMAPPED] if kind == "mapped" else []
        words = ["/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', self.cgroup.procs, "dockerd",
                 "--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec",
                 "-p", f"{self.directory}/pid", "-H", f"unix://{self.socket}",
                 "--bridge=none", "--iptables=false", "--ip6tables=false",
                 "--exec-opt", "native.cgroupdriver=cgroupfs",
                 "--cgroup-parent", f"/{lab.prefix}-docker", *mapping, *options]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, lambda: f"dockerd answers: {open(self.log).read()[-4000:]}", 60)
        with subprocess.Popen(["tar", "-C", lab.roots[0], "-c", "."],
                              stdout=subprocess.PIPE) as tar:
            subprocess.run(self.command("import", "-", "box"), stdin=tar.stdout, check=True,
                           stdout=subprocess.DEVNULL)

    def _answers(self):
        assert self.process.poll() is None, open(self.log).read()[-4000:]
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def command(self, *args):
        # Debian's client, as there may be another one before it in PATH.
        return [shutil.which("docker", path="/usr/bin:/bin"),
                "--config", f"{self.directory}/client", "-H", f"unix://{self.socket}", *args]

    def close(self):
        # At once: it would wait for a containerd that it has told to end.
        self.cgroup.kill()
        self.process.wait(60)
        self.cgroup.remove()


def dockerd(lab, kind):
    """The one of this session."""
    if not hasattr(lab, "dockerds"):
        lab.dockerds = {}
    if kind not in lab.dockerds:
        lab.dockerds[kind] = Dockerd(lab, kind)
    return lab.dockerds[kind]


class Docker(Container):
    WAYS = ("cgroup", "mount", "attach")

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.dockerd = dockerd(self.lab, self.kind)

    def cgroup_path(self):
        return f"/{self.lab.prefix}-docker-{self.name}"

    def call(self, *args):
        return call(self.dockerd.command(*args))

    def start(self):
        options = ["--name", self.id, "--network", "none", "--cgroup-parent", self.cgroup_path(),
                   *self.options]
        for source, target in self.mounts:
            options += ["-v", f"{source}:{target}"]
        self.call("run", "-d", *options, "box", *FOREVER)
        self.pid = int(self.call("inspect", "-f", "{{.State.Pid}}", self.id))

    def stop(self):
        self.call("rm", "-f", self.id)

    def enter(self):
        return self.dockerd.command("exec", "-i", self.id)
