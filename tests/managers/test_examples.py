# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of docs/managers.md are run as they are, with a daemon where they expect it."""

import os
import subprocess

import pytest

from daemon import Daemon
from docker import Docker
from here import BUILD, HARNESS
from podman import Podman

EXAMPLES = os.path.join(HARNESS, "..", "..", "examples")
STORAGE_CONF = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/storage"\nrunroot = "{1}/storage"\n'
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""


class Host:
    """The machine as the examples expect it: /run is this session's own."""

    def __init__(self, lab, directory):
        self.lab = lab
        self.name = f"{lab.prefix}-example"  # nobody else's
        self.daemon = Daemon(BUILD, directory)
        self.daemon.dirs["run"] = "/run/devlxdfs"
        self.daemon.admin_sock = "/run/devlxdfs/admin.sock"
        self.environment = dict(os.environ, PATH=f"{directory}:{os.environ['PATH']}")
        command = os.path.join(directory, "devlxdfs")
        with open(command, "w") as script:
            words = [f"{BUILD}/hostapi/ctl/devlxdfs", *self.daemon._dir_options()]
            script.write(f"#!/bin/sh\nexec {' '.join(words)} \"$@\"\n")
        os.chmod(command, 0o755)
        self.daemon.start()

    def run(self, *argv):
        done = subprocess.run(argv, env=self.environment, cwd="/", text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=120)
        assert done.returncode == 0, done
        return done.stdout

    def example(self, directory, thing):
        return self.run("/bin/sh", os.path.join(EXAMPLES, directory, "start.sh"), self.name, thing)


@pytest.fixture
def host(lab, tmp_path):
    host = Host(lab, str(tmp_path))
    yield host
    print(host.daemon.log())
    host.daemon.stop()


def listed(host):
    return host.run("devlxdfs", "list", "-f", "csv")


def test_lxc(lab, host):
    try:
        assert host.example("lxc", lab.root()) == "frontend"
        assert "RUNNING" in listed(host)
    finally:
        host.run("lxc-stop", "-k", "-n", host.name)


@pytest.mark.xdist_group("podman-privileged")
def test_podman(lab, host, tmp_path):
    podman = Podman(lab, host.name)  # has the image
    for name, text in (("storage", STORAGE_CONF.format(podman.home, podman.run_dir)),
                       ("containers", CONTAINERS_CONF)):
        (tmp_path / f"{name}.conf").write_text(text)
    host.environment |= {"CONTAINERS_CONF": str(tmp_path / "containers.conf"),
                         "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf")}
    try:
        assert host.example("podman", "box") == "frontend"
    finally:
        podman.id = host.name
        podman.stop()


@pytest.mark.xdist_group("docker-privileged")
def test_docker(lab, host, tmp_path):
    docker = Docker(lab, host.name)
    (tmp_path / "docker").write_text(f'#!/bin/sh\nexec {" ".join(docker.dockerd.command())} "$@"\n')
    (tmp_path / "docker").chmod(0o755)
    try:
        assert host.example("docker", "box") == "frontend"
        assert "RUNNING" in listed(host)
    finally:
        docker.id = host.name
        docker.stop()


def test_nspawn(lab, host):
    assert host.example("nspawn", lab.root()) == "frontend"


def test_bwrap(lab, host):
    assert host.example("bwrap", lab.root()) == "frontend"
