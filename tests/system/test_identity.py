# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest cannot name itself: attempts to be answered as somebody else, through the real daemon.

Each runs in every profile: with all that this kernel offers, and with newer calls denied, as they
are missing on the kernels that most hosts have.
"""

import os
import signal
import socket
import subprocess

import pytest

from daemon import children_of, wait_until
from guest import Cgroup
from here import BUILD, HARNESS, PYTHON

UNKNOWN = (500, "Process ID not found in container\n")
PROFILES = {
    "newest": [],
    "no PIDFD_GET_INFO": ["PIDFD_GET_INFO"],
    "no SO_PEERPIDFD": ["SO_PEERPIDFD"],
    "neither": ["SO_PEERPIDFD", "PIDFD_GET_INFO"],
}


@pytest.fixture(params=PROFILES)
def profile(request):
    return request.param


@pytest.fixture
def daemon(new_daemon, profile):
    denied = PROFILES[profile]
    wrapper = [f"{BUILD}/tests/system/deny", *denied, "--"] if denied else []
    daemon = new_daemon(wrapper=wrapper).start()
    features = daemon.admin("GET", "/1.0")[1]["features"]
    assert not any(features[call] for call in denied)
    return daemon


@pytest.fixture
def victim(daemon, new_guest):
    return named(daemon, new_guest("victim"))


@pytest.fixture
def attacker(daemon, new_guest):
    return named(daemon, new_guest("attacker"))


def named(daemon, guest):
    daemon.guest_record(guest, {"user.name": guest.name})
    return guest.attach(daemon)


def who(guest, **options):
    """(status, body) of asking for the name, from inside the guest."""
    return guest.curl("/1.0/config/user.name", **options)


def tell(child, word):
    child.stdin.write(word + "\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


def test_forged_title(victim, attacker):
    title = "[lxc monitor] /var/lib/lxc victim"
    forged = attacker.run(["bash", "-c", f"exec -a '{title}' bash -c 'curl -s --unix-socket "
                                         "/dev/lxd/sock x/1.0/config/user.name; :'"])
    assert forged.stdout == "attacker"


def test_child_of_another_guests_process(victim, attacker):
    """The parent is the victim's; the process is in the attacker's cgroup."""
    parent = victim.start_python(
        "import subprocess, sys\n"
        "read = 'read -r _; curl -s --unix-socket /dev/lxd/sock x/1.0/config/user.name; echo'\n"
        "subprocess.run(['bash', '-c', 'echo started; ' + read])")
    assert parent.stdout.readline() == "started\n"
    python = children_of(parent.pid)[0]
    child = children_of(python)[0]
    attacker.cgroup.add(child)
    assert tell(parent, "go") == "attacker"


def test_descriptor_passed_to_another_guest(victim, attacker):
    """A connection stays that of the process that connected, whoever writes to it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        attacker.run([PYTHON, "-c",
                      "import socket, sys; s = socket.socket(socket.AF_UNIX)\n"
                      "s.connect('/dev/lxd/sock')\n"
                      "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'x'],"
                      " [s.fileno()])", str(theirs.fileno())], pass_fds=[theirs.fileno()])
        _, [connected], _, _ = socket.recv_fds(ours, 1, 1)
    done = victim.run([PYTHON, "-c",
                       "import socket, sys; s = socket.socket(fileno=int(sys.argv[1]))\n"
                       "s.sendall(b'GET /1.0/config/user.name HTTP/1.0\\r\\n\\r\\n')\n"
                       "reply = b''\n"
                       "while piece := s.recv(65536): reply += piece\n"
                       "print(reply.decode())", str(connected)], pass_fds=[connected])
    os.close(connected)
    assert "victim" not in done.stdout
    # The connecting process is dead: its own answer, or none.
    assert done.stdout.endswith("attacker\n") or " 500 " in done.stdout


def test_process_id_is_reused(daemon, profile, victim, attacker):
    """The attacker connects and ends while nobody accepts; the victim gets its process id."""
    worker = os.pidfd_open(daemon.worker_pid)
    signal.pidfd_send_signal(worker, signal.SIGSTOP)
    try:
        ours, theirs = socket.socketpair()
        sender = attacker.start_python(
            "import os, socket, sys\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "s.connect('/dev/lxd/sock')\n"
            "s.sendall(b'GET /1.0/config/user.name HTTP/1.0\\r\\n\\r\\n')\n"
            "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'x'], [s.fileno()])\n"
            "sys.stdin.read()", theirs.fileno(), pass_fds=[theirs.fileno()])
        _, [connected], _, _ = socket.recv_fds(ours, 1, 1)
        ours.close()
        theirs.close()
        pid = children_of(sender.pid)[0]
        sender.communicate()
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the process to be gone")
        heir = subprocess.Popen([PYTHON, os.path.join(HARNESS, "process_with_pid.py"), str(pid),
                                 victim.cgroup.dir],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert heir.stdout.readline() == "there\n"
    finally:
        signal.pidfd_send_signal(worker, signal.SIGCONT)
        os.close(worker)
    reply = b""
    with socket.socket(fileno=connected) as connection:
        while piece := connection.recv(65536):
            reply += piece
    heir.communicate()
    if "SO_PEERPIDFD" in PROFILES[profile]:
        # The window before pidfd_open(): it cannot be closed here, and docs/security.md says so.
        assert reply.endswith((b"victim", UNKNOWN[1].encode()))
    else:
        assert reply.endswith((b"attacker", UNKNOWN[1].encode())), reply


def test_nested_cgroup_named_like_another(victim, attacker):
    nested = Cgroup(attacker.cgroup.path + victim.cgroup.path)
    assert who(attacker, cgroup=nested) == (200, "attacker")


def test_cgroup_whose_name_begins_like_another(victim, attacker):
    sibling = Cgroup(victim.cgroup.path + "x")
    try:
        assert who(attacker, cgroup=sibling) == UNKNOWN
    finally:
        sibling.remove()


def test_nested_namespaces(daemon, attacker, new_guest):
    """Root of a user namespace inside is what it is outside of it: the guest's root, or not."""
    mapped = named(daemon, new_guest("mapped", mapped=True))
    ask = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "curl", "-s",
           "--unix-socket", "/dev/lxd/sock", "x/1.0/config/user.name"]
    for guest in attacker, mapped:
        assert guest.run(ask).stdout == guest.name
        assert guest.run(ask, uid=1000).stdout == "Access denied for non-root user\n"


def test_nested_pid_namespace(attacker):
    ask = ["unshare", "--pid", "--fork", "--mount-proc", "curl", "-s",
           "--unix-socket", "/dev/lxd/sock", "x/1.0/config/user.name"]
    assert attacker.run(ask).stdout == "attacker"


def test_not_root_in_the_guest(daemon, attacker, new_guest):
    mapped = named(daemon, new_guest("mapped", mapped=True))
    for guest in attacker, mapped:
        assert who(guest, uid=1000) == (401, "Access denied for non-root user\n")


def test_host_process_in_the_guests_mount_namespace(victim):
    done = subprocess.run(["nsenter", f"--target={victim.pid}", "--mount", "curl", "-s",
                           "--unix-socket", "/dev/lxd/sock", "x/1.0"],
                          capture_output=True, text=True)
    assert done.stdout == UNKNOWN[1]


def test_host_root_in_a_mapped_guest(daemon, new_guest):
    """Uid 0 of the host is not the root of a guest whose ids are mapped, even in its cgroup."""
    mapped = named(daemon, new_guest("mapped", mapped=True))
    done = subprocess.run(["curl", "-s", "--unix-socket", daemon.sock, "x/1.0"],
                          preexec_fn=mapped.cgroup.add, capture_output=True, text=True)
    assert done.stdout == "Access denied for non-root user\n"


def test_a_connection_ends_with_its_claim(daemon, attacker):
    """Decided once per connection, and asked again when records change: 403 afterwards."""
    child = attacker.start_python(r"""
import http.client, socket, sys
c = http.client.HTTPConnection("x")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect("/dev/lxd/sock")
for line in sys.stdin:
    c.request("GET", "/1.0/config/user.name")
    reply = c.getresponse()
    print(reply.status, reply.read().decode().strip(), flush=True)
""")
    assert tell(child, "?") == "200 attacker"
    daemon.record("attacker", config={"user.name": "attacker"}, match={"cgroup": "/elsewhere"})
    assert tell(child, "?") == "403 Forbidden"


def test_whois_agrees(daemon, victim):
    assert daemon.admin("GET", f"/1.0/whois/{victim.pid}")[1]["instance"] == "victim"
