# SPDX-License-Identifier: GPL-2.0-or-later
"""One truth: a change is what the next request sees, however it was made."""

import json
import os
import select
import subprocess

import pytest

from daemon import wait_until


@pytest.fixture
def managed(daemon, new_guest):
    """A guest whose record the command keeps."""
    guest = new_guest("web1").attach(daemon)
    daemon.ctl("create", "web1", "--cgroup", guest.cgroup.path)
    return guest


@pytest.fixture
def ask(managed):
    """Asks for user.n again and again on one connection; a function that returns the answer."""
    client = managed.start_python(r"""
import http.client, socket, sys
c = http.client.HTTPConnection("x")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect("/dev/lxd/sock")
for line in sys.stdin:
    c.request("GET", "/1.0/config/user.n")
    print(c.getresponse().read().decode(), flush=True)
""")

    def one():
        client.stdin.write("?\n")
        client.stdin.flush()
        return client.stdout.readline().rstrip("\n")

    return one


def test_next_request_sees_the_value(daemon, ask):
    for n in range(100):
        daemon.ctl("config", "set", "web1", f"user.n={n}")
        assert ask() == str(n)


def test_parallel_commands_lose_nothing(daemon, managed):
    commands = [[f"{daemon.build}/hostapi/ctl/devlxdfs", *daemon._dir_options(), "config", "set",
                 "web1", f"user.k{n}={n}"] for n in range(20)]
    running = [subprocess.Popen(command) for command in commands]
    assert [child.wait() for child in running] == [0] * 20
    listed = json.loads(managed.curl("/1.0/config")[1])
    assert listed == sorted(f"/1.0/config/user.k{n}" for n in range(20))


def edited(daemon, guest, config):
    """An operator's record text."""
    return json.dumps({"config": config, "match": {"cgroup": guest.cgroup.path}})


def write_in_place(path, text):
    with open(path, "w") as file:
        file.write(text)


def rename_over(path, text):
    write_in_place(path + "~", text)
    os.rename(path + "~", path)


def unlink_and_write(path, text):
    os.unlink(path)
    write_in_place(path, text)


@pytest.mark.parametrize("save", [write_in_place, rename_over, unlink_and_write])
def test_edited_file_is_seen(daemon, guest, save):
    for value in "one", "two", "three":
        save(daemon.record_path("web1"), edited(daemon, guest, {"user.role": value}))
        wait_until(lambda: guest.curl("/1.0/config/user.role") == (200, value), "the new value")


def test_checkout_does_not_blink(daemon, guest):
    """git and Ansible unlink and write again: no request in between may fail."""
    client = guest.start_python(r"""
import http.client, json, socket, sys, select
bad = []
n = 0
print("go", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    c = http.client.HTTPConnection("x")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect("/dev/lxd/sock")
    c.request("GET", "/1.0/config/user.role")
    reply = c.getresponse()
    body = reply.read().decode()
    n += 1
    if n == 100:
        print("enough", flush=True)
    if reply.status != 200 or body not in ("frontend", "new"):
        bad.append([reply.status, body])
print(json.dumps([n, bad]))
""")
    assert client.stdout.readline() == "go\n"
    path = daemon.record_path("web1")
    while not select.select([client.stdout], [], [], 0)[0]:
        unlink_and_write(path, edited(daemon, guest, {"user.role": "new"}))
    assert client.stdout.readline() == "enough\n"
    n, bad = json.loads(client.communicate("stop\n", 60)[0])
    assert n >= 100 and bad == []


@pytest.mark.parametrize("text, place", [
    ("{", "instances/web1.json:1"),
    ('{"config": {\n "user.x": []}}', "instances/web1.json:2"),
    ('{"config": 3}', "config"),
])
def test_bad_record_keeps_the_last_good(daemon, guest, text, place):
    write_in_place(daemon.record_path("web1"), text)
    status, answer = daemon.admin("POST", "/1.0/instances/web1/load")
    assert status == 409 and place in answer
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    assert place in json.dumps(daemon.admin("GET", "/1.0/rejected")[1])
    daemon.guest_record(guest, {"user.role": "good"})
    assert guest.curl("/1.0/config/user.role") == (200, "good")
    assert "web1" not in json.dumps(daemon.admin("GET", "/1.0/rejected")[1])


def test_values_are_never_quoted(daemon, guest):
    secret = "s3cret-in-a-bad-record"
    write_in_place(daemon.record_path("web1"),
                   json.dumps({"config": {"user.token": secret, "user.bad": [secret]}}))
    _, answer = daemon.admin("POST", "/1.0/instances/web1/load")
    done = daemon.ctl("validate", daemon.record_path("web1"), status=None)
    assert done.returncode == 1 and "user.bad" in done.stderr
    assert secret not in answer + done.stdout + done.stderr + daemon.log()


def test_yaml_and_a_name_twice(daemon, guest):
    """CONF takes YAML; one name in two files is an error that names both."""
    path = daemon.record_path("web1")
    os.unlink(path)
    with open(path.replace(".json", ".yaml"), "w") as file:
        file.write(f"config: {{user.role: yaml, user.n: 12}}\nmatch: {{cgroup: {guest.cgroup.path}}}")
    assert daemon.admin("POST", "/1.0/instances/web1/load")[0] == 200
    assert guest.curl("/1.0/config/user.role") == (200, "yaml")
    assert guest.curl("/1.0/config/user.n") == (200, "12")
    write_in_place(path, edited(daemon, guest, {"user.role": "json"}))
    status, answer = daemon.admin("POST", "/1.0/instances/web1/load")
    assert status == 409 and "web1.yaml" in answer and "web1.json" in answer
    assert guest.curl("/1.0/config/user.role") == (200, "yaml")


def test_directory_that_appears_later(new_daemon, new_guest):
    daemon = new_daemon()
    for kind in "instances", "profiles":
        os.rmdir(os.path.join(daemon.dirs["conf"], kind))
    os.rmdir(daemon.dirs["conf"])
    daemon.start()
    guest = new_guest("web1").attach(daemon)
    os.makedirs(os.path.dirname(daemon.record_path("web1")))
    write_in_place(daemon.record_path("web1"), edited(daemon, guest, {"user.role": "late"}))
    wait_until(lambda: guest.curl("/1.0/config/user.role") == (200, "late"), "the late record")
