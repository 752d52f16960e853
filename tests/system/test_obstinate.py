# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest mounts in itself holds up nobody outside."""

import os
import shutil

from here import cannot

MOUNT = r"""
import ctypes, os, sys
fd = os.open("/dev/fuse", os.O_RDWR)
os.makedirs("/dev/lxd", exist_ok=True)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
print(ctypes.CDLL(None).mount(b"silent", b"/dev/lxd", b"fuse", 0, options), flush=True)
sys.stdin.read()
"""


def test_file_system_that_never_answers(daemon, new_guest):
    """FUSE without anybody who reads its requests: whois answers, and so does all that comes after."""
    if not os.path.exists("/dev/fuse"):
        cannot("needs /dev/fuse")
    guest = new_guest("web1")
    daemon.guest_record(guest)
    guest.mount("/dev/fuse", "/dev/fuse")
    silent = guest.start_python(MOUNT)
    if silent.stdout.readline() != "0\n":
        cannot("needs FUSE")
    status, answer = daemon.admin("GET", f"/1.0/whois/{guest.pid}")
    assert (status, answer["instance"]) == (200, "web1")
    assert daemon.admin("GET", "/1.0/status")[0] == 200
    shown = daemon.ctl("whois", str(guest.pid))
    assert "a file system that does not answer" in shown
    for path, reason in (("/dev/lxd", "something else is mounted"),
                         ("/dev/lxd/below", "the guest holds up what is at /dev/lxd/below")):
        assert reason in daemon.ctl("attach", "web1", "--path", path, status=1).stderr
    daemon.ctl("attach", "web1", "--path", "/dev/files")
    silent.communicate("")


def test_failures_do_not_fill_the_log(daemon, guest):
    """A guest that repeats what the host cannot do, such as keeping its state on a full disk."""
    kept = os.path.join(daemon.dirs["state"], "volatile")
    shutil.rmtree(kept)
    with open(kept, "w"):
        pass
    statuses = guest.python(r"""
import http.client, json, socket
c = http.client.HTTPConnection("x")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect("/dev/lxd/sock")
statuses = set()
for _ in range(500):
    c.request("PATCH", "/1.0", body='{"state": "Ready"}')
    reply = c.getresponse()
    reply.read()
    statuses.add(reply.status)
print(json.dumps(sorted(statuses)))
""")
    assert statuses == [500]
    assert 0 < daemon.log().count("a request failed: ") < 100
