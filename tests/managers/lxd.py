# SPDX-License-Identifier: GPL-2.0-or-later
"""A real LXD in a directory of its own, and containers of it, for tests.

It runs in this process's mount namespace, with a pool of plain directories, no network, and one
image: busybox as init, and the host's /usr where a container is given it. LXD's own log is shown
when a command fails.
"""

import json
import os
import shutil
import subprocess
import tarfile
import uuid

from account import let_through
from daemon import wait_until
from here import PYTHON, cannot
from mounting import are_private

START_SECONDS = 60  # a bound, not a wait
PRESEED = """
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
"""
METADATA = "{architecture: x86_64, creation_date: 1, properties: {description: busybox}}"
INITTAB = "::sysinit:/bin/busybox --install -s /bin\n"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "usr")
LINKS = {"bin/sh": "busybox", "sbin/init": "../bin/busybox", "lib": "usr/lib",
         "lib64": "usr/lib64"}
INSIDE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def unique(name="web"):
    """Of all managers on a machine, cgroups of containers with one name get in each other's way."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def make_rootfs(directory):
    """A root file system whose init is busybox, static, and which can run the host's /usr."""
    busybox = shutil.which("busybox") or cannot("needs busybox-static")
    for name in DIRECTORIES:
        os.makedirs(os.path.join(directory, name))
    os.chmod(os.path.join(directory, "tmp"), 0o1777)
    shutil.copy(busybox, os.path.join(directory, "bin/busybox"))
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(directory, name))
    for name, text in ("inittab", INITTAB), ("passwd", PASSWD):
        with open(os.path.join(directory, "etc", name), "w") as file:
            file.write(text)
    return directory


class Lxd:
    """start() to stop(), in @directory."""

    def __init__(self, directory):
        self.directory = directory
        self.dir = os.path.join(directory, "lxd")
        self.socket = os.path.join(self.dir, "devlxd", "sock")  # the one that guests have
        self.log_path = os.path.join(directory, "lxd.log")
        self.containers = []
        os.makedirs(self.dir)
        let_through(directory)  # the roots of containers
        # The client's own files would be in the home directory.
        self.environment = dict(os.environ, LXD_DIR=self.dir, HOME=directory,
                                LXD_CONF=os.path.join(directory, "client"))

    def start(self):
        assert are_private(), "what it mounts would be the machine's"
        for program in "lxd", "lxc":
            if not shutil.which(program):
                cannot(f"needs {program}, of Debian's packages lxd and lxd-client")
        self.process = subprocess.Popen(
            ["lxd", "--group", "root", "--logfile", self.log_path], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._run(["lxd", "waitready", f"--timeout={START_SECONDS}"])
            self._run(["lxd", "init", "--preseed"], input=PRESEED)
            self.lxc("image", "import", self._make_image(), "--alias=busybox")
        except BaseException:
            self.stop()
            raise
        return self

    def _make_image(self):
        path = os.path.join(self.directory, "image.tar.gz")
        rootfs = make_rootfs(os.path.join(self.directory, "rootfs"))
        metadata = os.path.join(self.directory, "metadata.yaml")
        with open(metadata, "w") as file:
            file.write(METADATA)
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            tar.add(metadata, "metadata.yaml")
            tar.add(rootfs, "rootfs")
        return path

    def _run(self, argv, **options):
        done = subprocess.run(argv, text=True, capture_output=True, timeout=START_SECONDS,
                              env=self.environment, **options)
        assert done.returncode == 0, f"{argv}: {done.stderr}\n{self.log()}"
        return done.stdout

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-4000:]

    def lxc(self, *args, input=""):
        """Runs lxc; its standard output."""
        return self._run(["lxc", *args], input=input)

    def query(self, path):
        """The host's own interface, as the operator asks it."""
        return json.loads(self.lxc("query", path))

    def container(self, name=None, **options):
        """One that is made and not yet started; options are Container's."""
        self.containers.append(Container(self, name or unique(), **options))
        return self.containers[-1]

    def delete_containers(self):
        for container in self.containers:
            container.delete()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """All of it is gone afterwards."""
        try:
            self.delete_containers()
        finally:
            self.process.terminate()
            self.process.wait(START_SECONDS)


class Container:
    """A guest as far as tests of guests need one: popen() and run() as in guest.py."""

    def __init__(self, lxd, name, config=None, privileged=False, has_usr=True, project="default"):
        self.lxd = lxd
        self.project = project
        self.name = name
        self.children = []
        self.is_deleted = False
        config = dict(config or {})
        if privileged:
            config["security.privileged"] = "true"
        self.lxc("init", "busybox", name,
                 *(f"--config={key}={value}" for key, value in config.items()))
        if has_usr:
            self.add_device("usr", "disk", source="/usr", path="/usr", readonly="true")

    def command(self, *args):
        return ["lxc", "--project", self.project, *args]

    def lxc(self, *args):
        return self.lxd.lxc(*self.command(*args)[1:])

    def add_device(self, name, kind, **config):
        self.lxc("config", "device", "add", self.name, name, kind,
                 *(f"{key}={value}" for key, value in config.items()))

    def set(self, key, value):
        self.lxc("config", "set", self.name, f"{key}={value}")

    def start(self):
        self.lxc("start", self.name)
        return self

    def stop(self):
        self.lxc("stop", "--force", self.name)

    @property
    def pid(self):
        """Of its init, as the host numbers it."""
        return self.lxd.query(f"/1.0/instances/{self.name}/state?project={self.project}")["pid"]

    @property
    def cgroup(self):
        """Where its init is, below the root of the hierarchy."""
        with open(f"/proc/{self.pid}/cgroup") as lines:
            return next(line[3:].strip() for line in lines if line.startswith("0::"))

    def popen(self, argv, uid=0, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        command = self.command("exec", self.name, "--force-noninteractive",
                               f"--user={uid}", f"--group={uid}",
                               *(f"--env={name}={text}" for name, text in INSIDE.items()))
        self.children.append(subprocess.Popen([*command, "--", *argv], env=self.lxd.environment,
                                              **options))
        return self.children[-1]

    def run(self, argv, input=None, check=True, **options):
        """Runs argv inside, a shell's text by sh; a CompletedProcess."""
        if isinstance(argv, str):
            argv = ["/bin/sh", "-c", argv]
        if input is not None:
            options["stdin"] = subprocess.PIPE
        child = self.popen(argv, **options)
        out, err = child.communicate(input, START_SECONDS)
        self.children.remove(child)
        assert not check or child.returncode == 0, f"{argv} in {self.name}: {out}{err}"
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def python(self, source, input="", **options):
        """Runs Python source inside and returns what it printed, parsed as JSON."""
        return json.loads(self.run([PYTHON, "-c", source], input=input, **options).stdout)

    def _delete(self):
        done = subprocess.run(self.command("delete", "--force", self.name), text=True,
                              capture_output=True, env=self.lxd.environment,
                              timeout=START_SECONDS)
        # One that did not start is still being cleaned up.
        assert done.returncode == 0 or "busy" in done.stderr, done.stderr
        return done.returncode == 0

    def delete(self):
        """May be done by a test, and is done once."""
        if self.is_deleted:
            return
        self.is_deleted = True
        wait_until(self._delete, "the end of the container", START_SECONDS)
        for child in self.children:
            child.wait(START_SECONDS)
            for pipe in child.stdin, child.stdout, child.stderr:
                if pipe:
                    pipe.close()
