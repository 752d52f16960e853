# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's command with the daemon: what was set is what the next request sees, and what a
user in trouble is told."""

import json
import os
import re

import pytest

from daemon import children_of, wait_until

NOT_LOADED = 3


@pytest.fixture
def web1(daemon, new_guest):
    """A guest whose record the command keeps."""
    guest = new_guest("web1", mapped=True).attach(daemon)
    daemon.ctl("create", "web1", "--cgroup", guest.cgroup.path, "-c", "user.role=frontend")
    return guest


def role(guest):
    return guest.curl("/1.0/config/user.role")


def lines(text):
    return [line for line in text.splitlines() if line]


def test_each_change_is_seen_at_once(daemon, web1):
    assert role(web1) == (200, "frontend")
    daemon.ctl("config", "set", "web1", "user.role=-", input="from\nstdin")
    assert role(web1) == (200, "from\nstdin")
    daemon.ctl("config", "unset", "web1", "user.role")
    assert role(web1)[0] == 404
    daemon.ctl("profile", "set", "default", "user.role=default")
    assert role(web1) == (200, "default")
    daemon.ctl("profile", "create", "p")
    daemon.ctl("profile", "set", "p", "user.role=p")
    assert role(web1) == (200, "default")
    daemon.ctl("profile", "add", "web1", "p")
    assert role(web1) == (200, "p")
    daemon.ctl("profile", "assign", "web1", "p,default")
    assert role(web1) == (200, "default")
    daemon.ctl("config", "device", "add", "web1", "eth0", "nic", "network=br0")
    assert json.loads(web1.curl("/1.0/devices")[1])["eth0"]["network"] == "br0"
    shown = daemon.ctl("config", "show", "web1")
    daemon.ctl("config", "edit", "web1", input=shown.replace("config: {}", "config: {user.role: me}"))
    assert role(web1) == (200, "me")


def test_delete_and_rename(daemon, web1):
    daemon.ctl("rename", "web1", "db1")
    assert "local-hostname: db1" in web1.curl("/1.0/meta-data")[1]
    daemon.ctl("delete", "db1")
    assert web1.curl("/1.0")[0] == 500


def test_apply_loads_what_it_changes(daemon, web1, tmp_path):
    wanted = {"name": "web1", "match": {"cgroup": web1.cgroup.path}, "config": {"user.role": "applied"}}
    (tmp_path / "web1.json").write_text(json.dumps(wanted))
    assert daemon.ctl("apply", str(tmp_path / "web1.json")) == "web1: changed\n"
    assert role(web1) == (200, "applied")
    assert daemon.ctl("apply", str(tmp_path / "web1.json")) == "web1: unchanged\n"


def test_an_exported_record_keeps_its_instance_id(daemon, web1):
    before = web1.curl("/1.0/meta-data")[1]
    exported = daemon.ctl("export", "web1")
    daemon.ctl("delete", "web1")
    assert daemon.ctl("import", "-", input=exported) == "web1: created\n"
    assert web1.curl("/1.0/meta-data")[1] == before


def test_list_and_info(daemon, web1, new_guest):
    path = daemon.record_path("bad")
    with open(path, "w") as file:
        file.write('{"config": {"user.x": ["s3cret"]}}')
    assert daemon.admin("POST", "/1.0/instances/bad/load")[0] != 200
    daemon.ctl("create", "idle")
    role(web1)
    assert daemon.ctl("list", "-f", "csv", "-c", "nsmr") == (
        f"bad,REJECTED,,\nidle,STOPPED,,no\nweb1,RUNNING,{web1.cgroup.path},no\n")
    web1.curl("/1.0", "-X", "PATCH", "-d", '{"state": "Ready"}')
    assert daemon.ctl("list", "-f", "csv", "-c", "nr", "web1") == "web1,yes\n"
    assert int(daemon.ctl("list", "-f", "csv", "-c", "q", "web1")) == 2
    info = daemon.ctl("info", "bad")
    assert "state: REJECTED" in info and "user.x" in info and "s3cret" not in info
    assert "instance_id:" in daemon.ctl("info", "web1")


def test_status_metrics_query(daemon, web1):
    role(web1)
    status = json.loads(daemon.ctl("status", "-f", "json"))
    assert status["instances"] == 1 and status["rejected"] == [] and "connections" in status
    assert "version: " in daemon.ctl("status")
    assert daemon.ctl("metrics") == daemon.ctl("query", "/1.0/metrics")
    assert json.loads(daemon.ctl("query", "-X", "POST", "/1.0/instances/web1/load")) \
        == {"changes": [], "stalled": []}
    failed = daemon.ctl("query", "/1.0/instances/none", status=1)
    assert "the daemon answers 404" in failed.stderr
    pid = json.dumps({"pid": web1.pid})
    daemon.ctl("query", "-X", "POST", "-d", pid, "/1.0/instances/web1/bind")


def test_whois(daemon, web1, new_guest):
    text = daemon.ctl("whois", str(web1.pid))
    assert re.search(rf"^cgroup: +{web1.cgroup.path}$", text, re.M)
    assert re.search(rf"^tried: +{web1.cgroup.path}: web1, by its match$", text, re.M)
    assert re.search(r"^root: +100000, from its uid_map", text, re.M)
    assert re.search(r"^/dev/lxd: +this daemon's socket$", text, re.M)
    assert lines(text)[-1] == "It is web1. What it sees, and why: devlxdfs check web1"
    assert json.loads(daemon.ctl("whois", "-f", "json", str(web1.pid)))["instance"] == "web1"
    stranger = new_guest("stranger")
    text = daemon.ctl("whois", str(stranger.pid))
    assert "nobody's" in text and "It is no instance: " in text and "Remedy: " in text
    assert re.search(r"^/dev/lxd: +nothing; bind-mount", text, re.M)
    gone = daemon.ctl("whois", "4194303", status=1)
    assert "4194303: no such process" in gone.stderr


def test_whois_of_a_thread(daemon, web1):
    """The ids in a log of the tree are those of threads."""
    program = "import threading; threading.Thread(target=input).start(); print('up', flush=True)"
    nsenter = web1.start_python(program)
    assert nsenter.stdout.readline() == "up\n"
    pid = children_of(nsenter.pid)[0]
    tid = next(int(t) for t in os.listdir(f"/proc/{pid}/task") if int(t) != pid)
    text = daemon.ctl("whois", str(tid))
    assert re.search(rf"^process: +{pid}, of which {tid} is a thread$", text, re.M)
    assert "It is web1. " in text
    nsenter.stdin.write("\n")
    nsenter.stdin.flush()


def test_whois_of_a_user_of_the_guest(daemon, web1):
    nsenter = web1.start_python("print('up', flush=True); input()", uid=5)
    assert nsenter.stdout.readline() == "up\n"
    text = daemon.ctl("whois", str(children_of(nsenter.pid)[0]))
    assert re.search(r"^uid: +100005$", text, re.M)
    assert "It is a process of web1, but is not answered: " in text and "Remedy: " in text
    nsenter.stdin.write("\n")
    nsenter.stdin.flush()
    nsenter.wait()


def test_check_of_a_good_guest(daemon, web1):
    role(web1)
    text = daemon.ctl("check", "web1")
    assert "FAIL" not in text
    for words in ("its record is", "keys that its guest sees: 1", "it is in force", "its root is host uid 100000",
                  "at its /dev/lxd/sock is this daemon's socket", "requests since the daemon started: 1"):
        assert f"ok: {words}" in text


def check(daemon, name):
    return daemon.ctl("check", name, status=1).stdout


def test_check_says_what_is_wrong(daemon, web1, new_guest):
    daemon.ctl("config", "set", "web1", "security.devlxd=false")
    assert "FAIL: security.devlxd is off" in check(daemon, "web1")
    daemon.ctl("config", "unset", "web1", "security.devlxd")
    daemon.ctl("create", "rival", "--cgroup", web1.cgroup.path)
    assert f"FAIL: rival claims the cgroup {web1.cgroup.path} too, by its match" in check(daemon, "web1")
    daemon.ctl("delete", "rival")
    daemon.ctl("create", "nowhere")
    assert "FAIL: nothing says which processes it is" in check(daemon, "nowhere")
    daemon.ctl("create", "stopped", "--cgroup", "/devlxdfs-test-none")
    assert "FAIL: no process in its cgroup /devlxdfs-test-none" in check(daemon, "stopped")
    other = new_guest("other")
    daemon.guest_record(other, {})
    text = check(daemon, "other")
    assert "FAIL: at its /dev/lxd/sock is nothing; bind-mount" in text
    assert "note: it has no user. or cloud-init. key" in text
    assert "note: it has never asked" in text
    text = check(daemon, "none")
    assert "FAIL: no record of none" in text and text.count("FAIL") == 1


def test_check_of_the_host(daemon):
    done = daemon.ctl("check", status=None)
    assert done.returncode == (1 if "FAIL" in done.stdout else 0)
    assert "ok: the daemon answers" in done.stdout and "ok: no record is rejected" in done.stdout
    assert "SO_PEERPIDFD" in done.stdout and "ok: cgroup2 is mounted at" in done.stdout
    directory = os.path.join(daemon.dirs["conf"], "profiles")
    assert f"ok: {directory} is watched" in done.stdout and done.stdout.count(directory) == 1
    os.rmdir(directory)
    wait_until(lambda: f"note: {directory}: the daemon says: " in daemon.ctl("check", status=None).stdout,
               "the daemon misses a directory")
    os.chmod(daemon.sock, 0o600)
    assert "sock has the mode 0600; chmod 0666" in daemon.ctl("check", status=1).stdout
    with open(daemon.record_path("bad"), "w") as file:
        file.write("{")
    daemon.admin("POST", "/1.0/instances/bad/load")
    text = daemon.ctl("check", status=1).stdout
    assert re.search(r"FAIL: rejected: .*bad\.json:\d+:\d+: .*; nothing of it is in force until", text)


def test_what_the_daemon_rejects_is_not_called_done(daemon, web1):
    """The store's file is good, but the same name stands in CONF by now."""
    path = daemon.record_path("web1")
    daemon.ctl("config", "set", "web1", "user.role=before")
    with open(path, "w") as file:
        json.dump({"config": {}}, file)
    done = daemon.ctl("config", "set", "web1", "user.role=after", status=1)
    assert path in done.stderr
    assert role(web1) == (200, "before")
    daemon.ctl("delete", "web1")
    assert web1.curl("/1.0")[0] == 500


def test_after_the_daemon_has_gone(daemon, web1):
    daemon.stop()
    done = daemon.ctl("config", "set", "web1", "user.role=later", status=NOT_LOADED)
    assert "written, not loaded: no daemon at" in done.stderr
    daemon.start()
    web1.attach(daemon)
    assert role(web1) == (200, "later")
