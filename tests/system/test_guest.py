# SPDX-License-Identifier: GPL-2.0-or-later
"""End to end: what a guest reads, that it is only its own, and that Ready reaches the host."""

import json
import os
import stat

from daemon import wait_until


def test_a_guest_reads_its_record(guest, daemon):
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    assert stat.S_ISSOCK(os.lstat(daemon.sock).st_mode)
    assert stat.S_IMODE(os.lstat(daemon.sock).st_mode) == 0o666


def test_each_sees_only_its_own(daemon, new_guest):
    guests = [new_guest("web1"), new_guest("web2", mapped=True), new_guest("web3")]
    for guest in guests:
        daemon.guest_record(guest, {"user.name": guest.name, f"user.only.{guest.name}": "x"})
        guest.attach(daemon)
    for guest in guests:
        assert guest.curl("/1.0/config/user.name") == (200, guest.name)
        assert json.loads(guest.curl("/1.0/config")[1]) == [
            "/1.0/config/user.name", f"/1.0/config/user.only.{guest.name}"]
        for other in guests:
            expected = 200 if other is guest else 404
            assert guest.curl(f"/1.0/config/user.only.{other.name}")[0] == expected
        assert f"local-hostname: {guest.name}\n" in guest.curl("/1.0/meta-data")[1]


def test_unknown_guest_gets_500(daemon, new_guest):
    stranger = new_guest("stranger").attach(daemon)
    assert stranger.curl("/1.0") == (500, "Process ID not found in container\n")


def test_off_means_off(guest, daemon):
    daemon.guest_record(guest, {"security.devlxd": "false", "user.role": "x"})
    for path in "/", "/1.0", "/1.0/config", "/1.0/config/user.role", "/1.0/meta-data", \
                "/1.0/devices", "/1.0/ubuntu-pro":
        assert guest.curl(path) == (403, "Forbidden\n"), path
    daemon.guest_record(guest, {"user.role": "y"})
    assert guest.curl("/1.0/config/user.role") == (200, "y")


ASK_AGAIN = """
import http.client, socket
c = http.client.HTTPConnection("lxd")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect("/dev/lxd/sock")
while True:
    c.request("GET", "/1.0/config/user.role")
    reply = c.getresponse()
    print(reply.status, reply.read().decode().strip(), flush=True)
    input()
"""


def test_a_socket_that_is_off(guest, daemon):
    """As security.devlxd=false for all that is asked there, also on a connection kept from before."""
    kept = guest.start_python(ASK_AGAIN)
    assert kept.stdout.readline() == "200 frontend\n"
    daemon.guest_record(guest, {"security.devlxd.socket": "false",
                                "security.devlxd.images": "true", "user.role": "x"})
    for path in "/", "/1.0", "/1.0/config", "/1.0/config/user.role", "/1.0/devices":
        assert guest.curl(path) == (403, "Forbidden\n"), path
    assert guest.curl("/1.0/images/abc/export")[0] == 403
    kept.stdin.write("\n")
    kept.stdin.flush()
    assert kept.stdout.readline() == "403 Forbidden\n"
    daemon.guest_record(guest, {"user.role": "y"})
    assert guest.curl("/1.0/config/user.role") == (200, "y")
    kept.stdin.write("\n")
    kept.stdin.flush()
    assert kept.stdout.readline() == "200 y\n"


def test_profiles_then_the_instance(guest, daemon):
    daemon.record("a", kind="profiles", config={"user.x": "a", "user.y": "a", "user.z": "a"})
    daemon.record("b", kind="profiles", config={"user.y": "b", "user.z": "b"})
    daemon.guest_record(guest, {"user.z": "own"}, profiles=["a", "b"])
    assert [guest.curl(f"/1.0/config/user.{key}")[1] for key in "xyz"] == ["a", "b", "own"]
    daemon.record("b", kind="profiles", config={"user.y": "new"})
    assert [guest.curl(f"/1.0/config/user.{key}")[1] for key in "xyz"] == ["a", "new", "own"]


def test_values_are_exact_bytes(guest, daemon):
    for value in "é", "%h %s %n", " \n\t ", "no newline", "line\n", "\u0000nul", "x" * (1 << 20):
        daemon.guest_record(guest, {"user.v": value})
        done = guest.run(["curl", "-sf", "--unix-socket", "/dev/lxd/sock", "x/1.0/config/user.v"],
                         text=False)
        assert done.stdout == value.encode()


def ready(daemon, name):
    return daemon.admin("GET", f"/1.0/instances/{name}")[1]["ready"]


def say(guest, state):
    assert guest.curl("/1.0", "-X", "PATCH", "-d", json.dumps({"state": state})) == (200, "")


def test_ready_belongs_to_one_boot(guest, daemon, new_guest):
    """It outlives the daemon, and ends with the guest."""
    assert ready(daemon, guest.name) is False
    say(guest, "Ready")
    assert ready(daemon, guest.name) is True
    say(guest, "Started")
    assert ready(daemon, guest.name) is False
    say(guest, "Ready")
    daemon.stop()
    daemon.start()
    guest.attach(daemon)
    assert json.loads(guest.curl("/1.0")[1])["state"] == "Ready"
    again = new_guest(guest.name, mapped=guest.mapped)
    daemon.guest_record(again)
    again.attach(daemon)
    assert json.loads(again.curl("/1.0")[1])["state"] == "Started"


def test_gone_record_is_believed(guest, daemon):
    """The daemon waits a second for it to come back; then the guest is nobody's."""
    os.unlink(daemon.record_path(guest.name))
    wait_until(lambda: guest.curl("/1.0")[0] == 500, "the record to be gone")
    daemon.guest_record(guest, {"user.role": "back"})
    assert guest.curl("/1.0/config/user.role") == (200, "back")
