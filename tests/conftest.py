# SPDX-License-Identifier: GPL-2.0-or-later
"""What system and client tests share: a daemon and guests, each gone when its test ends."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness"))

import account  # noqa: E402
from daemon import Daemon  # noqa: E402
from guest import Guest, cgroup2_root  # noqa: E402
from here import BUILD, cannot  # noqa: E402
from mounting import make_private  # noqa: E402
from standing import Standing  # noqa: E402


def pytest_configure(config):
    # pytest's own place is closed to other accounts again whenever another run starts.
    if not config.option.basetemp:
        config.option.basetemp = os.path.join(tempfile.mkdtemp(prefix="devlxdfs-test-"), "base")
        config.add_cleanup(lambda: shutil.rmtree(os.path.dirname(config.option.basetemp), True))


@pytest.fixture(scope="session", autouse=True)
def private_mounts(tmp_path_factory):
    if os.getuid() != 0:
        cannot("needs root for namespaces and cgroups")
    try:
        make_private()
    except OSError as error:
        cannot(f"needs a mount namespace: {error}")
    root = cgroup2_root()
    if not root or not os.access(root, os.W_OK):
        cannot("needs a writable cgroup2 hierarchy")
    account.put_over(str(tmp_path_factory.mktemp("account")))


@pytest.fixture
def put_over(tmp_path):
    """Has a file say something else, for this test and nobody else's processes: put_over(path, text)."""
    done = []

    def put(path, text):
        source = tmp_path / f"over{len(done)}"
        source.write_text(text)
        subprocess.run(["mount", "--bind", str(source), path], check=True)
        done.append(path)

    yield put
    for path in reversed(done):
        subprocess.run(["umount", path], check=True)


@pytest.fixture
def fuse_sysctl(put_over):
    """fuse_sysctl(name, text): what fs.fuse.NAME says. The kernel itself does not heed it."""
    def put(name, text):
        path = f"/proc/sys/fs/fuse/{name}"
        if not os.path.exists(path):
            cannot(f"this kernel has no fs.fuse.{name}")
        put_over(path, text)

    return put


@pytest.fixture
def build():
    return BUILD


@pytest.fixture
def new_daemon(tmp_path):
    """Makes daemons that are not started yet; stops them and looks through their logs."""
    made = []

    def make(**options):
        directory = tmp_path / f"daemon{len(made)}"
        directory.mkdir()
        made.append(Daemon(BUILD, str(directory), **options))
        return made[-1]

    yield make
    for daemon in made:
        if os.path.exists(daemon.log_path):
            print(daemon.log())
        daemon.stop()


@pytest.fixture
def daemon(new_daemon):
    return new_daemon().start()


@pytest.fixture
def new_guest():
    """Makes guests: new_guest("web1", mapped=True); more options are Guest's."""
    made = []

    def make(name, mapped=False, **options):
        made.append(Guest(BUILD, name, mapped, **options))
        return made[-1]

    yield make
    for guest in made:
        guest.close()


@pytest.fixture(params=["privileged", "mapped"])
def guest(request, daemon, new_guest):
    """A guest with a record and the socket, in both kinds of user namespace."""
    guest = new_guest("web1", mapped=request.param == "mapped")
    daemon.guest_record(guest, {"user.role": "frontend"})
    return guest.attach(daemon)


@pytest.fixture(params=["privileged", "mapped"])
def tree_guest(request, daemon, new_guest):
    """A guest with a record and its directory at /dev/lxd, in both kinds of user namespace."""
    guest = new_guest("web1", mapped=request.param == "mapped")
    daemon.guest_record(guest, {"user.role": "frontend"})
    return guest.attach_tree(daemon)


@pytest.fixture(scope="module", params=["privileged", "mapped"])
def standing(request, tmp_path_factory):
    """The same as tree_guest for all tests of a file, with ways to ask many questions."""
    directory = str(tmp_path_factory.mktemp("standing"))
    with Standing(directory, mapped=request.param == "mapped") as standing:
        yield standing
