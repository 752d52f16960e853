# SPDX-License-Identifier: GPL-2.0-or-later
"""`devlxdfs hook oci` as runc calls it for podman and Docker: the operator says which instance a container is, no image does."""

import json
import os
import subprocess

import pytest

import hooked
from daemon import wait_until
from docker import Docker, Dockerd
from here import BUILD
from hooked import attached, mounts, serves, state_of
from lab import REMAPPED
from podman import Podman

KEY = "org.devlxdfs.instance"
KINDS = pytest.mark.parametrize("kind", ["privileged", "mapped"])


class HookedPodman(Podman):
    """With the installed hook, called for this test's daemon."""

    hooks = None

    def command(self, *args):
        words = super().command(*args)
        if self.hooks:
            at = words.index("podman") + 1
            words[at:at] = ["--hooks-dir", self.hooks]
        return words


def write_hooks(daemon, directory):
    """What is installed, but for where the program and its directories are."""
    with open(f"{BUILD}/hostapi/attach/devlxdfs.json") as file:
        hook = json.load(file)
    assert hook["hook"]["path"].endswith("/bin/devlxdfs")
    program, *options = hooked.command(daemon)
    hook["hook"]["path"] = program
    hook["hook"]["args"][1:1] = options
    directory.mkdir()
    (directory / "devlxdfs.json").write_text(json.dumps(hook))
    os.chmod(directory.parent, 0o755)
    return str(directory)


@pytest.fixture
def new_podman(lab, tmp_path):
    """new_podman(daemon, "web1", instance="web1"): the annotation, if any."""
    made = []

    def make(daemon, name, kind="privileged", instance=None, options=()):
        more = ["--annotation", f"{KEY}={instance}"] if instance else []
        container = HookedPodman(lab, name, kind, "attach", [*more, *options])
        hooks = tmp_path / f"hooks-{os.path.basename(os.path.dirname(daemon.log_path))}"
        container.hooks = str(hooks) if hooks.is_dir() else write_hooks(daemon, hooks)
        made.append(container)
        return container

    yield make
    for container in made:
        container.close()


@KINDS
def test_annotation(daemon, journal, new_podman, kind):
    daemon.ctl("create", "web1", "--podman", "-c", "user.role=front")
    container = new_podman(daemon, "web1", kind, "web1")
    before = mounts()
    container.up()
    assert container.cat("config/user.role") == "front"
    assert container.curl("/1.0/config/user.role") == (200, "front")
    owner = container.run(["ls", "-ln", "/dev/lxd/config/user.role"]).stdout.split()[2:4]
    assert owner == ["0", "0"]
    assert state_of(daemon, "web1") == "RUNNING"
    container.down()
    assert journal.messages() == []
    assert state_of(daemon, "web1") == "STOPPED"
    assert attached(daemon) == [] and mounts() == before


def test_no_annotation(daemon, journal, new_podman):
    daemon.ctl("create", "web1", "--podman")
    container = new_podman(daemon, "web1").up()
    assert "No such file" in container.cat("name")
    assert journal.messages() == [] and attached(daemon) == []


@KINDS
def test_no_record(daemon, journal, new_podman, kind):
    container = new_podman(daemon, "web1", kind, "web1").up()
    assert "No such file" in container.cat("name")
    message, = journal.messages()
    assert message.endswith("; devlxdfs create web1 --podman")
    daemon.ctl(*message.rpartition("devlxdfs ")[2].split(), "-c", "user.role=late")
    wait_until(lambda: serves(container, "late"), "the tree is there")


@pytest.mark.parametrize("name", ["a/b", "../web1", "-x"])
def test_no_name(daemon, journal, new_podman, name):
    container = new_podman(daemon, "web1", instance=name).up()
    assert "No such file" in container.cat("name")
    message, = journal.messages()
    assert message.endswith("is not a name of an instance") and attached(daemon) == []


@KINDS
def test_daemon_comes_later(new_daemon, journal, new_podman, kind):
    daemon = new_daemon()
    daemon.ctl("create", "web1", "--podman", "-c", "user.role=front", status=3)
    container = new_podman(daemon, "web1", kind, "web1").up()
    assert "No such file" in container.cat("name")
    message, = journal.messages()
    assert message.startswith(f"no daemon at {daemon.admin_sock}")
    daemon.start()
    wait_until(lambda: serves(container, "front"), "the tree is there")
    daemon.stop()
    daemon.start()
    wait_until(lambda: serves(container, "front"), "the tree is there again")


def test_rootless(daemon, journal, new_podman):
    daemon.ctl("create", "web1", "--podman")
    container = new_podman(daemon, "web1", "rootless", "web1").up()
    assert "No such file" in container.cat("name")
    message, = journal.messages()
    assert message == "only root can attach, and the container was started by another user; " \
        f"as root: devlxdfs attach web1 --pid {container.pid}"


@pytest.fixture
def image(lab, new_podman, tmp_path):
    """Makes images whose manifest names an instance: image(daemon, "web1")."""
    def make(daemon, instance):
        (tmp_path / "Containerfile").write_text("FROM box\n")
        new_podman(daemon, "builder").call("build", "-q", "--format", "oci", "--annotation",
                                           f"{KEY}={instance}", "-t", "names-one", str(tmp_path))
        return "names-one"

    return make


@KINDS
def test_image_names_victim(daemon, journal, new_podman, image, kind):
    daemon.ctl("create", "web1", "--podman", "-c", "user.role=secret")
    victim = new_podman(daemon, "web1", kind, "web1").up()
    evil = new_podman(daemon, "evil", kind)
    evil.image = image(daemon, "web1")
    evil.up()
    # podman has it say so.
    annotations = json.loads(evil.call("inspect", "-f", "{{json .Config.Annotations}}", evil.id))
    assert annotations[KEY] == "web1"
    assert "No such file" in evil.cat("config/user.role")
    entry, = journal.take()
    assert entry["DEVLXDFS_INSTANCE"] == "web1" and "MESSAGE_ID" in entry
    assert entry["MESSAGE"].startswith("not attached to a container: its image has the annotation")
    # Nor does it take anything away.
    evil.down()
    assert victim.cat("config/user.role") == "secret"
    assert attached(daemon) == ["web1"] and journal.take() == []


def test_image_names_nobody_yet(daemon, journal, new_podman, image):
    """Without the victim running there is nobody in its way but the hook."""
    daemon.ctl("create", "web1", "--podman", "-c", "user.role=secret")
    evil = new_podman(daemon, "evil")
    evil.image = image(daemon, "web1")
    evil.up()
    assert "No such file" in evil.cat("config/user.role")
    assert evil.curl("/1.0/config/user.role")[0] == 0
    assert len(journal.messages()) == 1 and attached(daemon) == []
    assert state_of(daemon, "web1") == "STOPPED"


@KINDS
def test_mounted_directory(daemon, journal, new_podman, image, kind):
    """Who mounts it is the operator, whatever the image; the hook binds the cgroup."""
    daemon.ctl("create", "web1", "--podman", "-c", "user.role=front")
    container = new_podman(daemon, "web1", kind)
    container.image = image(daemon, "web1")
    container.mounts.append((daemon.tree("web1"), "/dev/lxd"))
    container.up()
    assert container.cat("config/user.role") == "front"
    assert container.curl("/1.0/config/user.role") == (200, "front")
    assert attached(daemon) == ["web1"] and journal.messages() == []
    # Another daemon's tree is another one, and the old one in the way.
    daemon.stop()
    daemon.start()
    wait_until(lambda: serves(container, "front"), "the tree is there again")
    container.down()
    assert attached(daemon) == []


def test_two_of_one_instance(daemon, journal, new_podman):
    daemon.ctl("create", "web1", "--podman", "-c", "user.role=front")
    one = new_podman(daemon, "one", instance="web1").up()
    two = new_podman(daemon, "two", instance="web1").up()
    assert "No such file" in two.cat("name")
    message, = journal.messages()
    assert "another guest that runs" in message
    two.down()
    assert one.cat("config/user.role") == "front"
    one.down()
    assert attached(daemon) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\0", '{"status": "creating", "pid": 1}',
                                  '{"status": "creating", "pid": 1, "bundle": "/nowhere"}',
                                  "[" * 100000, "x" * (5 << 20)], ids=range(9))
def test_called_wrongly(daemon, journal, text):
    done = subprocess.run([*hooked.command(daemon), "hook", "oci", "--nonsense"], input=text,
                          text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    message, = journal.messages()
    assert message.startswith("a container has no /dev/lxd: cannot read")


# --- Docker, by way of the runtime


class HookedDocker(Docker):
    """With the runtime of this test's daemon, in a dockerd that knows it."""

    def __init__(self, dockerd, lab, name):
        lab.dockerds = getattr(lab, "dockerds", {}) | {"hooked": dockerd}
        super().__init__(lab, name, "hooked", "attach", ["--runtime", "devlxdfs"])


@pytest.fixture
def new_docker(lab, tmp_path):
    """new_docker(daemon, "mapped", "web1", ...): containers of one dockerd."""
    made = []

    def make(daemon, kind, *names):
        conf = tmp_path / "docker.json"
        program, *dirs = hooked.command(daemon)
        conf.write_text(json.dumps({"runtimes": {"devlxdfs": {
            "path": program, "runtimeArgs": [*dirs, "oci-runtime"]}}}))
        mapping = ["--userns-remap", REMAPPED] if kind[0] == "m" else []
        # A short name, as there are sockets in its directory.
        dockerd = Dockerd(lab, f"h{kind[0]}{kind[-1]}", ["--config-file", str(conf), *mapping])
        made.extend(HookedDocker(dockerd, lab, name) for name in names)
        return made

    yield make
    for container in made:
        container.close()


@KINDS
def test_docker(daemon, journal, new_docker, kind):
    daemon.ctl("create", "web1", "--docker", "-c", "user.role=front")
    container, other = new_docker(daemon, kind, "web1", "other")
    container.mounts.append((daemon.tree("web1"), "/dev/lxd"))
    container.options += ["--ulimit", "core=-1"]  # a number that is not of 63 bits
    container.up()
    other.up()
    assert journal.messages() == []
    assert container.cat("config/user.role") == "front"
    assert container.curl("/1.0/config/user.role") == (200, "front")
    assert attached(daemon) == ["web1"] and state_of(daemon, "web1") == "RUNNING"
    assert "No such file" in other.cat("name")
    daemon.stop()
    daemon.start()
    wait_until(lambda: serves(container, "front"), "the tree is there again")
    container.down()
    assert attached(daemon) == [] and state_of(daemon, "web1") == "STOPPED"
    container.up()
    assert container.cat("config/user.role") == "front"
    assert journal.messages() == []


def runtime(daemon, *args, **options):
    return subprocess.run([*hooked.command(daemon), "oci-runtime", *args], text=True,
                          capture_output=True, **options)


@pytest.mark.parametrize("args", [["--version"], ["list"], ["--root", "create", "list"], ["nonsense"],
                                  ["create"], ["create", "--bundle", "/nowhere", "x"], []], ids=str)
def test_real_runtime_is_run(daemon, tmp_path, args):
    """With the same arguments, and its answer."""
    ours = runtime(daemon, *args, cwd=tmp_path)
    theirs = subprocess.run(["runc", *args], text=True, capture_output=True, cwd=tmp_path)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.stderr.endswith(theirs.stderr.partition(" ")[2])


def test_other_runtime(daemon):
    assert runtime(daemon, "--runtime", "/bin/echo", "a", "--help", "-x").stdout == "a --help -x\n"
    assert runtime(daemon, "--runtime=/bin/echo", "--runtime", "b").stdout == "--runtime b\n"
    done = runtime(daemon, "--runtime", "/nowhere", "create")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == 'devlxdfs: oci-runtime: cannot start the runtime ' \
        '"/nowhere": No such file or directory; say where it is: --runtime PATH'
