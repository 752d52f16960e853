# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's own socket: what it tells, and that only the host's root is told."""

import os
import re
import stat
import subprocess

ADMIN_PATHS = ["/1.0/instances", "/1.0/instances/web1", "/1.0/whois/1", "/1.0/rejected",
               "/1.0/status", "/1.0/metrics"]


def test_only_root(daemon):
    """By the socket's mode and, should somebody change that, by the caller's uid."""
    assert stat.S_IMODE(os.lstat(daemon.admin_sock).st_mode) == 0o600
    os.chmod(daemon.admin_sock, 0o666)
    # From within: the directories above are root's own.
    script = ("import os, socket, sys\n"
              "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
              "s = socket.socket(socket.AF_UNIX); s.connect('admin.sock')\n"
              "try:\n"
              "    s.sendall(b'GET /1.0 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
              "    print(len(s.recv(100)))\n"
              "except (BrokenPipeError, ConnectionResetError): print(0)\n")
    done = subprocess.run(["/usr/bin/python3", "-c", script, daemon.dirs["run"]], text=True,
                          capture_output=True, check=True)
    assert done.stdout == "0\n"


def test_guests_reach_none_of_it(guest):
    for path in ADMIN_PATHS:
        assert guest.curl(path) == (404, "Not Found\n"), path


def test_version_and_features(daemon):
    status, about = daemon.admin("GET", "/1.0")
    assert status == 200
    assert about["pid"] == daemon.worker_pid
    assert set(about["features"]) >= {"SO_PEERPIDFD", "PIDFD_GET_INFO", "cgroup2"}


def test_summary(guest, daemon):
    status, listed = daemon.admin("GET", "/1.0/instances")
    assert status == 200 and [entry["name"] for entry in listed] == ["web1"]
    assert listed[0]["state"] == "Running" and listed[0]["ready"] is False
    assert daemon.admin("GET", "/1.0/instances/none")[0] == 404


def test_whether_a_guest_by_mount_runs_is_not_known(daemon, new_guest):
    guest = new_guest("web1")
    daemon.record("web1", match={"mount": True})
    assert daemon.admin("GET", "/1.0/instances/web1")[1]["state"] == "Unknown"
    assert daemon.ctl("list", "-f", "csv", "-c", "nsmr") == "web1,UNKNOWN,mount,no\n"
    daemon.admin("POST", "/1.0/instances/web1/bind", {"pid": guest.pid})
    assert daemon.admin("GET", "/1.0/instances/web1")[1]["state"] == "Running"


def test_requests_are_counted(guest, daemon):
    before = daemon.admin("GET", "/1.0/instances/web1")[1]["requests"]
    for _ in range(5):
        guest.curl("/1.0")
    assert daemon.admin("GET", "/1.0/instances/web1")[1]["requests"] == before + 5


def test_metrics_are_openmetrics(guest, daemon):
    guest.curl("/1.0")
    _, text = daemon.admin("GET", "/1.0/metrics")
    assert text.endswith("# EOF\n")
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+]+')
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines and all(sample.fullmatch(line) for line in lines), lines
    assert any('instance="web1"' in line for line in lines)


def test_whois(guest, daemon, new_guest):
    status, seen = daemon.admin("GET", f"/1.0/whois/{guest.pid}")
    assert status == 200 and seen["instance"] == "web1"
    stranger = new_guest("stranger")
    status, seen = daemon.admin("GET", f"/1.0/whois/{stranger.pid}")
    assert status == 200 and seen["instance"] is None and seen["reason"]
    assert seen["cgroup"]["path"] == stranger.cgroup.path


def test_binding(daemon, new_guest):
    """A guest whose record has no match is recognised by the cgroup id that a hook binds."""
    guest = new_guest("web1", mapped=True).attach(daemon)
    daemon.record("web1", config={"user.role": "bound"})
    assert guest.curl("/1.0")[0] == 500
    assert daemon.admin("POST", "/1.0/instances/web1/bind", {"pid": guest.pid})[0] == 200
    assert guest.curl("/1.0/config/user.role") == (200, "bound")
    daemon.stop()
    daemon.start()
    guest.attach(daemon)
    assert guest.curl("/1.0/config/user.role") == (200, "bound")
    assert daemon.admin("DELETE", "/1.0/instances/web1/bind")[0] == 200
    assert guest.curl("/1.0")[0] == 500


def test_conflict_believes_neither(guest, daemon, new_guest):
    daemon.record("other", match={"cgroup": guest.cgroup.path})
    assert guest.curl("/1.0") == (500, "Process ID not found in container\n")
    _, listed = daemon.admin("GET", "/1.0/instances")
    assert {entry["name"]: entry["state"] for entry in listed} \
        == {"web1": "Conflict", "other": "Conflict"}
    os.unlink(daemon.record_path("other"))
    daemon.admin("POST", "/1.0/instances/other/load")
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
