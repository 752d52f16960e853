# SPDX-License-Identifier: GPL-2.0-or-later
"""`devlxdfs hook lxc` as lxc-start calls it: container N is instance N, and starts whatever is wrong."""

import json
import os
import signal
import subprocess

import pytest

import hooked
from daemon import children_of, wait_until
from guest import cgroup2_root
from here import BUILD
from hooked import attached, mounts, serves, state_of
from lab import USER
from lxc import Lxc
from lxd_fixtures import lxd  # noqa: F401 (a fixture)

KINDS = pytest.mark.parametrize("kind", Lxc.KINDS)
DROP_INS = "/usr/share/lxc/config/common.conf.d"


def hook_command(daemon):
    return " ".join([*hooked.command(daemon), "hook lxc"])


@pytest.fixture
def new_lxc(lab):
    """Makes containers with the hook of a daemon: new_lxc(daemon, "web1"); their `id` is the instance."""
    made = []

    def make(daemon, name, kind="privileged", config=(), hook=True):
        lines = [f"lxc.hook.{stage} = {hook_command(daemon)}" for stage in ("start-host", "post-stop")]
        made.append(Lxc(lab, name, kind, options=[*(lines if hook else []), *config]))
        return made[-1]

    yield make
    for container in made:
        container.close()


@KINDS
@pytest.mark.parametrize("version", [0, 1])
def test_served(daemon, journal, new_lxc, kind, version):
    container = new_lxc(daemon, "web1", kind, [f"lxc.hook.version = {version}"])
    daemon.ctl("create", container.id, "-c", "user.role=front")
    before = mounts()
    container.up()
    assert container.cat("config/user.role") == "front"
    assert container.curl("/1.0/config/user.role") == (200, "front")
    owner = container.run(["ls", "-ln", "/dev/lxd/config/user.role"]).stdout.split()[2:4]
    assert owner == ["0", "0"]
    assert state_of(daemon, container.id) == "RUNNING"
    cgroup = cgroup2_root() + container.cgroup_path()
    container.down()
    assert journal.messages() == []
    assert state_of(daemon, container.id) == "STOPPED"
    assert attached(daemon) == [] and mounts() == before and not os.path.exists(cgroup)


def test_restarted_container(daemon, journal, new_lxc):
    container = new_lxc(daemon, "web1")
    daemon.ctl("create", container.id, "-c", "user.role=front")
    for _ in range(10):
        container.up()
        assert container.cat("config/user.role") == "front"
        container.run(["sh", "-c", "echo Ready > /dev/lxd/state"])
        container.down()
    container.up()
    assert container.cat("state") == "Started\n"
    assert journal.messages() == []


@KINDS
def test_no_record(daemon, journal, new_lxc, kind):
    container = new_lxc(daemon, "web1", kind).up()
    assert "No such file" in container.cat("config/user.role")
    message, = journal.messages()
    command = f"devlxdfs create {container.id} --lxc"
    assert message.endswith("; " + command)
    daemon.ctl(*command.split()[1:], "-c", "user.role=late")
    wait_until(lambda: serves(container, "late"), "the tree is there")


@pytest.mark.parametrize("name", ["a+b", "long" * 16], ids=["sign", "long"])
def test_name_of_no_record(daemon, journal, new_lxc, name):
    container = new_lxc(daemon, name).up()
    assert "No such file" in container.cat("config/user.role")
    message, = journal.messages()
    cgroup = f"/lxc.payload.{container.id}"
    assert message.startswith("no instance can have this name")
    assert f'devlxdfs create NAME --cgroup "{cgroup}", devlxdfs attach NAME' in message
    daemon.ctl("create", "other", "--cgroup", cgroup, "-c", "user.role=other")
    daemon.ctl("attach", "other")
    assert container.cat("config/user.role") == "other"


CONFIG = ["lxc.net.1.type = veth", "lxc.net.1.name = lan", "lxc.net.1.hwaddr = 00:16:3e:00:00:05"]


@KINDS
@pytest.mark.parametrize("running", [True, False], ids=["daemon", "no-daemon"])
def test_made_record(new_daemon, journal, new_lxc, kind, running):
    daemon = new_daemon()
    daemon.settings(create_lxc_records=1)
    if running:
        daemon.start()
    container = new_lxc(daemon, "web1", kind, CONFIG).up()
    assert journal.messages()[0].startswith("made a record of it from /")
    if not running:
        daemon.start()
        wait_until(lambda: container.cat("name") == container.id + "\n", "the tree is there")
    record = json.loads(daemon.ctl("export", container.id))
    assert record["match"] == {"cgroup": f"/lxc.payload.{container.id}"}
    assert record["hostname"] == "web1"
    assert record["devices"] == {"eth1": {"type": "nic", "nictype": "p2p", "name": "lan",
                                          "hwaddr": "00:16:3e:00:00:05"}}
    assert "local-hostname: web1" in container.cat("meta-data")
    # From then on it is the operator's.
    daemon.ctl("config", "set", container.id, "user.role=kept")
    container.down()
    container.up()
    assert container.cat("config/user.role") == "kept"
    assert not any("made" in message for message in journal.messages())


@KINDS
def test_daemon_comes_later(new_daemon, journal, new_lxc, kind):
    daemon = new_daemon()
    container = new_lxc(daemon, "web1", kind)
    daemon.ctl("create", container.id, "-c", "user.role=front", status=3)
    container.up()
    assert "No such file" in container.cat("config/user.role")
    message, = journal.messages()
    assert message == f"no daemon at {daemon.admin_sock}, the container gets its /dev/lxd when " \
        "there is one; start devlxdfsd"
    daemon.start()
    wait_until(lambda: serves(container, "front"), "the tree is there")
    assert container.curl("/1.0/config/user.role") == (200, "front")


@KINDS
def test_incus(new_daemon, journal, new_lxc, kind):
    daemon = new_daemon()
    daemon.settings(offer_dev_incus=1)
    daemon.start()
    container = new_lxc(daemon, "web1", kind)
    daemon.ctl("create", container.id, "-c", "user.role=front")
    container.up()
    for place in "/dev/lxd", "/dev/incus":
        assert container.run(["cat", f"{place}/config/user.role"]).stdout == "front"
    assert journal.messages() == []


@KINDS
def test_daemon_restarted(daemon, new_lxc, kind):
    container = new_lxc(daemon, "web1", kind)
    daemon.ctl("create", container.id, "-c", "user.role=front")
    container.up()
    daemon.stop()
    daemon.start()
    wait_until(lambda: serves(container, "front"), "the tree is there again")
    container.down()
    assert attached(daemon) == []


@pytest.fixture
def stopped_daemon(daemon):
    """It listens, and answers nothing until the test is done."""
    pids = [daemon.keeper_pid, *children_of(daemon.keeper_pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


def test_daemon_hangs(daemon, journal, new_lxc, stopped_daemon):
    """The hook ends in time, and leaves nobody behind who waits."""
    container = new_lxc(daemon, "web1").up()
    message, = journal.messages()
    assert message.startswith("gave up after 15 seconds")
    running = subprocess.run(["pgrep", "-f", f"devlxdfs.*{daemon.dirs['run']}.*hook lxc"])
    assert running.returncode == 1


def called_by_hand(daemon, type_, tmp_path):
    """A hook that waits for the daemon, to have it load the record that it has made."""
    daemon.settings(create_lxc_records=1)
    config = tmp_path / "config"
    config.write_text("lxc.uts.name = web1\n")
    return subprocess.Popen(
        hook_command(daemon).split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=dict(
            os.environ, LXC_NAME="web1", LXC_HOOK_TYPE=type_, LXC_PID="1",
            LXC_CONFIG_FILE=str(config)))


def test_hook_dies(daemon, journal, stopped_daemon, tmp_path):
    hook = called_by_hand(daemon, "start-host", tmp_path)
    wait_until(lambda: children_of(hook.pid), "it works")
    wait_until(lambda: len(journal.messages()) == 1, "it has made the record")
    os.kill(children_of(hook.pid)[0], signal.SIGKILL)
    assert hook.communicate(timeout=60) == ("", None) and hook.returncode == 0
    message, = journal.messages()
    assert message.startswith("ended by signal 9, the container goes on without it")


def test_journal_hangs(daemon, journal, stopped_daemon, tmp_path):
    """Nobody reads what is sent there, and its queue is full: what there is to say is said on standard error."""
    with journal.full():
        hook = called_by_hand(daemon, "start-host", tmp_path)
        said = hook.communicate(timeout=60)[0]
    assert hook.returncode == 0
    assert said.startswith("warning devlxdfs: gave up after 15 seconds")


@pytest.fixture
def drop_in(daemon, tmp_path):
    """What is installed, for this daemon, where every container's configuration is looked for."""
    with open(f"{BUILD}/hostapi/attach/10-devlxdfs.conf") as file:
        text = file.read()
    installed = next(line.split(" = ")[1] for line in text.splitlines() if "start-host" in line)
    assert installed.endswith("/bin/devlxdfs hook lxc")
    directory = tmp_path / "drop-ins"
    directory.mkdir()
    (directory / "10-devlxdfs.conf").write_text(text.replace(installed, hook_command(daemon)))
    subprocess.run(["mount", "--bind", directory, DROP_INS], check=True)
    yield
    subprocess.run(["umount", DROP_INS], check=True)


def test_drop_in(daemon, journal, new_lxc, drop_in):
    """A container whose configuration says nothing of us."""
    container = new_lxc(daemon, "web1", hook=False)
    daemon.ctl("create", container.id, "-c", "user.role=front")
    container.up()
    assert container.cat("config/user.role") == "front"
    assert journal.messages() == []
    container.down()
    assert attached(daemon) == []


def test_of_lxd(daemon, journal, drop_in, lxd):  # noqa: F811
    """LXD reads the drop-in, too, and its containers may have the names of ours. They keep LXD's own socket."""
    container = lxd.container()
    daemon.ctl("create", container.name, "-c", "user.role=secret")
    container.start()
    assert container.run(["ls", "/dev/lxd"]).stdout == "sock\n"
    assert journal.messages() == [] and attached(daemon) == []
    container.stop()
    assert journal.messages() == []


def test_another_one_stops(daemon, journal, new_lxc):
    """A second container of that name is not it, and takes nothing away when it stops."""
    container = new_lxc(daemon, "web1")
    daemon.ctl("create", container.id, "-c", "user.role=front")
    container.up()
    environment = dict(os.environ, LXC_NAME=container.id, LXC_HOOK_TYPE="post-stop", LXC_PID="1")
    subprocess.run(hook_command(daemon).split(), env=environment, check=True)
    assert container.cat("config/user.role") == "front"
    assert attached(daemon) == [container.id]


@pytest.mark.parametrize("wrapper", [
    ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"],
    ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "unshare", "--map-root-user"],
], ids=["user", "root-of-its-own"])
def test_not_root(daemon, journal, wrapper):
    environment = dict(os.environ, LXC_NAME="web1", LXC_HOOK_TYPE="start-host", LXC_PID="1")
    done = subprocess.run([*wrapper, *hook_command(daemon).split()], env=environment, text=True,
                          capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    message, = journal.messages()
    assert message == "only root can attach, and the container was started by another user; " \
        "as root: devlxdfs attach web1 --pid 1"


@pytest.mark.parametrize("arguments, variables", [
    ([], {}),
    (["--nonsense", "-x"], {}),
    (["web1", "lxc", "pre-start"], {}),
    ([], {"LXC_HOOK_TYPE": "start-host"}),
    ([], {"LXC_HOOK_TYPE": "start-host", "LXC_NAME": "web1"}),
    ([], {"LXC_HOOK_TYPE": "start-host", "LXC_NAME": "web1", "LXC_PID": "x"}),
    ([], {"LXC_HOOK_TYPE": "start-host", "LXC_NAME": "web1", "LXC_PID": "4194305"}),
    ([], {"LXC_HOOK_TYPE": "start-host", "LXC_NAME": "", "LXC_PID": "1"}),
], ids=str)
def test_called_wrongly(daemon, journal, arguments, variables):
    done = subprocess.run([*hook_command(daemon).split(), *arguments], text=True,
                          capture_output=True, env={"PATH": os.environ["PATH"], **variables})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(journal.messages()) == 1 and attached(daemon) == []
