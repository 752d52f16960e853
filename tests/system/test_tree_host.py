# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree as the host's own processes see it: root reads all and writes nothing, others see nothing."""

import ast
import os
import subprocess
import sys

import pytest

NOBODY = 65534
FILES = ["config/user.role", "config/user.open", "devices/eth0/type", "devices.json", "meta-data",
         "name", "type", "location", "state"]

# Tries expressions in the directory it was started in, as another user; prints what came of each.
AS_NOBODY = r"""
import errno, os, socket, sys
os.setgroups([])
os.setresgid(*3 * [int(sys.argv[1])])
os.setresuid(*3 * [int(sys.argv[1])])
answers = []
for expression in sys.argv[2:]:
    try:
        answers.append(("is", eval(expression)))
    except OSError as e:
        answers.append(("error", errno.errorcode[e.errno]))
print(answers)
"""


def as_nobody(directory, *expressions):
    """What a process gets that has no other right than to be in @directory."""
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, str(NOBODY), *expressions], cwd=directory,
                          capture_output=True, text=True, check=True)
    return [answer for _, answer in ast.literal_eval(done.stdout)]


def error_of(action):
    with pytest.raises(OSError) as raised:
        action()
    return os.strerror(raised.value.errno)


def read(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.fixture
def web1(standing):
    standing.record({"user.role": "frontend", "user.open": "for all"},
                    devices={"eth0": {"type": "nic"}},
                    files=[{"path": "config/user.open", "mode": "0666"}])
    return standing


def test_root_lists_the_instances(web1):
    web1.daemon.record("web2", config={"user.role": "none of a guest's"})
    assert sorted(os.listdir(web1.daemon.tree())) == ["web1", "web2"]
    assert read(web1.daemon.tree("web2", "config", "user.role")) == b"none of a guest's"
    os.unlink(web1.daemon.record_path("web2"))
    web1.daemon.admin("POST", "/1.0/instances/web2/load")
    assert not os.path.exists(web1.daemon.tree("web2", "config", "user.role"))


def test_root_reads_what_the_guest_reads(web1):
    for name in FILES:
        assert read(web1.host(name)) == web1.inside(f"read({name!r})"), name
    for name in "", "config", "devices", "devices/eth0":
        assert sorted(os.listdir(web1.host(name))) == sorted(
            web1.inside(f"os.listdir({name or '.'!r})")), name


def test_root_writes_nothing(web1):
    """Not even state, which is the guest's to say."""
    for action in (lambda: os.open(web1.host("state"), os.O_WRONLY),
                   lambda: os.open(web1.host("state"), os.O_RDWR)):
        assert error_of(action) == "Permission denied"
    for action in (lambda: os.open(web1.host("name"), os.O_WRONLY),
                   lambda: os.unlink(web1.host("name")),
                   lambda: os.mkdir(web1.host("new")),
                   lambda: os.chmod(web1.host("name"), 0o666),
                   lambda: os.mkdir(web1.daemon.tree("new")),
                   lambda: os.rmdir(web1.daemon.tree("web1")),
                   lambda: os.rename(web1.daemon.tree("web1"), web1.daemon.tree("web3")),
                   lambda: os.chmod(web1.daemon.tree(), 0o777),
                   lambda: os.mknod(web1.daemon.tree(".devlxdfs"), 0o140666),
                   lambda: os.unlink(web1.daemon.tree(".sock"))):
        assert error_of(action) in ("Read-only file system", "Permission denied",
                                    "No such file or directory"), action
    assert web1.inside("read('state')") == b"Started\n"
    assert web1.inside("ask('/1.0')")[0] == 200


def test_others_list_nothing(web1):
    """Names of instances can be entered, as managers without rights have to, and no more."""
    assert os.stat(web1.daemon.tree()).st_mode & 0o7777 == 0o711
    assert as_nobody(web1.daemon.tree(), "os.listdir('.')", "os.listdir('web1')",
                     "os.listdir('web1/config')", "os.listdir('nothing')") == [
                         "EACCES", "EACCES", "EACCES", "ENOENT"]


def test_others_read_no_file(web1):
    """Not what a mode allows, whether or not the kernel remembers it because the guest has just read it."""
    web1.daemon.record("cold", files=[{"path": "*", "mode": "0444"}])
    assert as_nobody(web1.daemon.tree(), "open('cold/name')", "open('cold/meta-data')",
                     "os.stat('cold/name')", "os.listdir('cold')") == ["EACCES"] * 4
    for name in FILES:
        assert read(web1.host(name)) == web1.inside(f"read({name!r})")
    answers = as_nobody(web1.daemon.tree(), *(f"open('web1/{name}').read()" for name in FILES))
    assert answers == ["EACCES"] * len(FILES)
    answers = as_nobody(web1.host("config"), "open('user.open').read()", "os.listdir('.')",
                        "open('../name').read()", "open('user.open', 'w')")
    assert answers[:3] == ["EACCES"] * 3 and answers[3] in ("EACCES", "EROFS")


def test_others_ask_the_socket_nothing(web1):
    """They do not find it, or are told on it that they are nobody, as on the socket in RUN."""
    answer, = as_nobody(web1.daemon.tree(), "(lambda s: (s.connect('web1/sock'), s.sendall("
                        "b'GET /1.0/config HTTP/1.0\\r\\n\\r\\n'), s.recv(9999))[2])"
                        "(socket.socket(socket.AF_UNIX))")
    assert answer == "EACCES" or answer.startswith(b"HTTP/1.0 500 ") or answer.startswith(
        b"HTTP/1.1 500 ")


def test_a_guest_reads_no_other_guests_files(web1, new_guest):
    """Its root, with another's directory in its hands and the kernel's memory warm."""
    other = new_guest("web2")
    web1.daemon.guest_record(other, {"user.role": "other"})
    other.attach_tree(web1.daemon)
    other.mount(web1.host(), "/dev/theirs")
    for name in FILES:
        web1.inside(f"read({name!r})")
        done = other.run(["cat", f"/dev/theirs/{name}"], check=False)
        assert (done.returncode, done.stdout) == (1, "") and "Permission denied" in done.stderr
    for command in ["ls", "/dev/theirs"], ["ls", "/dev/theirs/config"], \
            ["sh", "-c", "echo Ready >/dev/theirs/state"]:
        done = other.run(command, check=False)
        assert done.returncode != 0 and "Permission denied" in done.stderr
    assert other.run(["cat", "/dev/lxd/config/user.role"]).stdout == "other"
    assert web1.inside("read('state')") == b"Started\n"
