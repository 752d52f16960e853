# SPDX-License-Identifier: GPL-2.0-or-later
"""curl by hand and in scripts: the recipes people have written down, as they wrote them."""

import json

import pytest

HOSTS = ["localhost", "lxd", "x", "_", "unix", "unix.socket", "custom.socket", "meshuggah-rocks",
         "incus", "169.254.169.254", "1.0", "1.0.0.0"]


def shell(guest, script):
    return guest.run(["bash", "-c", script]).stdout


@pytest.mark.parametrize("host", HOSTS)
def test_any_host_will_do(guest, host):
    assert shell(guest, f"curl -sf --unix-socket /dev/lxd/sock {host}/1.0/config/user.role") \
        == "frontend"


@pytest.mark.parametrize("header", ["Host:", "Host;", "Host: ", "Host: a b", "Host: [", "Host: lxd:x"])
def test_odd_host_headers(guest, header):
    """Absent, empty and senseless: the host part means nothing."""
    assert guest.curl("/1.0/config/user.role", "-H", header) == (200, "frontend")


def test_host_swallows_the_version(guest):
    """http:/1.0/1.0/... and http:///1.0/1.0/...: curl takes 1.0 for the host."""
    for url in "http:/1.0/1.0/config/user.role", "http:///1.0/1.0/config/user.role":
        assert shell(guest, f"curl -sf --unix-socket /dev/lxd/sock {url}") == "frontend"


def test_absolute_form(guest):
    assert guest.curl("/", "--request-target", "http://lxd/1.0/config/user.role") \
        == (200, "frontend")


def test_value_into_a_variable(guest, daemon):
    value = "bar %s bar %h\\n$(x)"
    daemon.guest_record(guest, {"user.K": value})
    printed = shell(guest, 'export K="$(curl -s --unix-socket /dev/lxd/sock x/1.0/config/user.K)"; '
                           'printf %s "$K"')
    assert printed == value


def test_missing_key_with_fail(guest):
    done = guest.run(["curl", "-sf", "--unix-socket", "/dev/lxd/sock",
                      "lxd/1.0/config/user.none"], check=False)
    assert (done.returncode, done.stdout) == (22, "")  # curl: HTTP status >= 400


def test_ready(guest, daemon):
    url = "--unix-socket /dev/lxd/sock lxd/1.0"
    assert shell(guest, f"curl -sf {url} -X PATCH -d '{{\"state\":\"Ready\"}}'") == ""
    assert json.loads(shell(guest, f"curl -sf {url}"))["state"] == "Ready"
    assert daemon.admin("GET", f"/1.0/instances/{guest.name}")[1]["ready"] is True


def test_dump_all_keys(guest, daemon):
    config = {"user.a": "1", "user.b": "two words", "user.c": "é\nline"}
    daemon.guest_record(guest, config)
    dumped = shell(guest, r"""
        sock() { curl -sf --unix-socket /dev/lxd/sock "http://lxd$1"; }
        sock /1.0/config | jq -r '.[]' | sed 's|^/1.0/config/||' | while read -r key; do
            printf '%s=%s\0' "$key" "$(sock "/1.0/config/$key")"
        done | jq -Rs 'split("\u0000") | map(select(. != "")) | map(split("=") | {(.[0]): .[1]}) | add'""")
    assert json.loads(dumped) == config


def test_list_is_sorted_and_never_null(guest, daemon):
    daemon.guest_record(guest, {"user.z": "1", "user.a b%c": "2", "cloud-init.user-data": "#!x",
                                "user.empty": "", "limits.cpu": "2"})
    assert json.loads(guest.curl("/1.0/config")[1]) == [
        "/1.0/config/cloud-init.user-data", "/1.0/config/user.a b%c", "/1.0/config/user.z"]
    assert guest.curl("/1.0/config/user.a%20b%25c") == (200, "2")
    daemon.guest_record(guest, {})
    assert guest.curl("/1.0/config") == (200, "[]\n")


def test_devices_and_location(guest, daemon):
    nic = {"type": "nic", "network": "br0", "hwaddr": "00:16:3e:00:00:01"}
    daemon.guest_record(guest, {}, devices={"eth0": nic})
    assert shell(guest, "curl -sf --unix-socket /dev/lxd/sock x/1.0/devices | jq -r .eth0.hwaddr") \
        == nic["hwaddr"] + "\n"
    with open("/proc/sys/kernel/hostname") as hostname:
        assert shell(guest, "curl -sf --unix-socket /dev/lxd/sock x/1.0 | jq -r .location") \
            == hostname.read()


def test_meta_data_is_two_lines(guest):
    """As LXD's own suite looks at it."""
    lines = guest.curl("/1.0/meta-data")[1].splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("instance-id: ") and len(lines[0]) == len("instance-id: ") + 36
    assert lines[1] == "local-hostname: web1"


@pytest.mark.parametrize("path, status, body", [
    ("/", 200, '["/1.0"]\n'),
    ("/1.0/config/user.none", 404, "Not Found\n"),
    ("/1.0/config/security.nesting", 403, "Forbidden\n"),
    ("/1.0/nope", 404, "Not Found\n"),
    ("/1.0//config//user.role", 200, "frontend"),
    ("/1.0/ubuntu-pro", 200, '{"guest_attach":"off"}\n'),
    ("/1.0/config/user.%zz", 400, None),
])
def test_answers(guest, path, status, body):
    got = guest.curl(path)
    assert got[0] == status and body in (None, got[1]), got


@pytest.mark.parametrize("options, path, status", [
    (["-X", "POST"], "/1.0/ubuntu-pro/token", 403),
    (["-X", "DELETE"], "/1.0", 501),
    (["-X", "POST"], "/1.0/config", 501),
    (["-X", "OPTIONS"], "/1.0", 404),
    (["-X", "PATCH", "-d", "{"], "/1.0", 400),
    (["-X", "PATCH", "-d", '{"state":"ready"}'], "/1.0", 400),
    (["--path-as-is"], "/1.0/../1.0", 400),
])
def test_refusals(guest, options, path, status):
    assert guest.curl(path, *options)[0] == status


def test_head_is_get_without_body(guest):
    head = guest.run(["curl", "-sI", "--unix-socket", "/dev/lxd/sock",
                      "lxd/1.0/config/user.role"]).stdout.splitlines()
    assert head[0] == "HTTP/1.1 200 OK"
    assert "Content-Length: 8" in head
    assert guest.curl("/1.0/config/user.none", "-I")[0] == 404
