# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's command and the tree: which are used, what is wrong with one, and who holds things up."""

import ctypes
import json
import os
import re
import subprocess

from daemon import wait_until
from here import cannot
from holder import hold

LONG = "user." + "/" * 100  # as a file name, longer than 255 bytes


def summary(daemon, name):
    return daemon.admin("GET", f"/1.0/instances/{name}")[1]


def config_set(daemon, *args):
    """Standard error of a successful change."""
    done = daemon.ctl("config", "set", *args, status=None)
    assert done.returncode == 0, done
    return done.stderr


def test_warns_of_a_guest_that_holds_its_directory(daemon, new_guest):
    guest = new_guest("web1")
    daemon.ctl("create", "web1", "--cgroup", guest.cgroup.path, "-c", "user.role=frontend")
    guest.attach_tree(daemon)
    assert guest.run(["ls", "/dev/lxd"]).stdout
    assert config_set(daemon, "web1", "user.role=backend") == ""
    holder = hold(guest, "/dev/lxd")
    words = "devlxdfs: web1: its guest holds its directory, so it may still list what was there before; " \
        "new opens see the change\n"
    assert config_set(daemon, "web1", "security.devlxd.socket=false") == words
    assert daemon.ctl("status").count("stalled: 1") == 1
    holder.stdin.close()
    wait_until(lambda: config_set(daemon, "web1", "user.x=1") == "", "the guest to let go")


def test_which_trees_are_in_use(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    daemon.record("idle")
    daemon.ctl("list")
    listed = ["list", "-f", "csv", "-c", "nd"]
    assert daemon.ctl(*listed) == "idle,no\nweb1,no\n"
    with open(daemon.tree("web1", "config", "user.role")) as file:  # by the host: not its guest
        assert file.read() == "frontend"
    assert daemon.ctl(*listed) == "idle,no\nweb1,no\n"
    guest.attach_tree(daemon)
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    assert daemon.ctl(*listed) == "idle,no\nweb1,yes\n"
    assert "| TREE |" in daemon.ctl("list").splitlines()[1]
    tree = summary(daemon, "web1")["tree"]
    assert tree["in_use"] is True and tree["requests"] > 0 and tree["unnamed"] == 0
    assert "in_use: true" in daemon.ctl("info", "web1")


def test_without_a_tree(new_daemon):
    daemon = new_daemon(options=["--no-fuse"]).start()
    daemon.record("web1")
    assert daemon.ctl("list", "-f", "csv", "-c", "nd") == "web1,\n"
    assert summary(daemon, "web1")["tree"] is None
    assert json.loads(daemon.ctl("status", "-f", "json"))["tree"] is None
    assert "devlxdfs_tree_" not in daemon.ctl("metrics")
    assert "note: there is no tree: the daemon was started with --no-fuse\n" in check(daemon)


def test_what_has_no_file_is_counted_though_nobody_looks(daemon):
    daemon.record("web1", config={LONG: "1", "user.a": "1"})
    daemon.record("web2", config={LONG: "1"}, devices={"d": {"type": "disk", "/" * 90: "x"}})
    status = json.loads(daemon.ctl("status", "-f", "json"))["tree"]
    assert status["unnamed"] == 3 and status["indexes"] == 0
    assert [summary(daemon, name)["tree"]["unnamed"] for name in ("web1", "web2")] == [1, 2]


def test_metrics(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach_tree(daemon).run(["cat", "/dev/lxd/config/user.role"])
    lines = daemon.ctl("metrics").splitlines()
    values = {line.split()[0]: int(line.split()[1]) for line in lines if not line.startswith("#")}
    assert values["devlxdfs_tree_requests_total"] > 0 and values["devlxdfs_tree_nodes"] > 0
    assert values["devlxdfs_tree_stalled"] == 0


# --- check

MNT_DETACH = 2


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def check(daemon, *args):
    """Its lines, and that the exit status goes with them."""
    done = daemon.ctl("check", *args, status=None)
    assert done.returncode == (1 if "FAIL: " in done.stdout else 0), done
    return done.stdout


def test_check_of_a_good_tree(daemon):
    text = check(daemon)
    tree = daemon.tree()
    assert "FAIL" not in text
    for words in "/dev/fuse can be opened", f"the tree is mounted at {tree}", f"{tree} answers":
        assert f"ok: {words}\n" in text
    assert re.search(r"ok: user_allow_other is (not )?set in /etc/fuse.conf, and is not needed", text)
    assert re.search(r"(ok|note): this kernel (sends|does not send) requests again", text)
    assert re.search(rf"note: {tree} is in \S+, which is private: .*; mount --make-shared ", text)


def test_check_of_a_shared_tree(new_daemon):
    daemon = new_daemon()
    run = daemon.dirs["run"]
    os.mkdir(run)
    mount("-t", "tmpfs", "tmpfs", run)
    try:
        mount("--make-shared", run)
        daemon.start()
        assert f"ok: {daemon.tree()} is in {run}, which is shared" in check(daemon)
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", run], check=True)


def test_check_of_a_tree_by_another_name(new_daemon, tmp_path):
    """A symbolic link is what administrators know; mountinfo does not."""
    daemon = new_daemon()
    os.mkdir(daemon.dirs["run"])
    os.symlink(daemon.dirs["run"], tmp_path / "link")
    daemon.start()
    real, daemon.dirs["run"] = daemon.dirs["run"], str(tmp_path / "link")
    assert f"ok: the tree is mounted at {real}/tree\n" in check(daemon)


def test_check_of_a_tree_that_is_hidden_or_gone(daemon):
    mount("-t", "tmpfs", "tmpfs", daemon.tree())
    try:
        assert f"FAIL: at {daemon.tree()} is mounted something of the type tmpfs, which hides" in check(daemon)
    finally:
        subprocess.run(["umount", daemon.tree()], check=True)
    assert "FAIL" not in check(daemon)
    assert ctypes.CDLL(None).umount2(daemon.tree().encode(), MNT_DETACH) == 0
    assert f"FAIL: no tree is mounted at {daemon.tree()}; restart the daemon" in check(daemon)


def test_check_of_a_tree_that_does_not_answer(daemon):
    """In its place one whose requests nobody reads, then one whose server is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40711,user_id=0,group_id=0,allow_other".encode()
    assert libc.mount(b"silent", daemon.tree().encode(), b"fuse.devlxdfs", 0, options) == 0
    try:
        assert f"FAIL: {daemon.tree()} does not answer" in check(daemon)
        os.close(fd)
        assert f"FAIL: {daemon.tree()} was aborted; restart the daemon" in check(daemon)
    finally:
        assert libc.umount2(daemon.tree().encode(), MNT_DETACH) == 0


def test_check_of_timeouts(daemon, fuse_sysctl):
    fuse_sysctl("default_request_timeout", "0\n")
    fuse_sysctl("max_request_timeout", "90\n")
    text = check(daemon)
    assert "ok: fs.fuse.default_request_timeout is 0: the kernel never aborts" in text
    assert "note: fs.fuse.max_request_timeout is 90: when no worker answers" in text


def test_check_of_fuse_conf(daemon, put_over):
    if not os.path.exists("/etc/fuse.conf"):
        cannot("needs /etc/fuse.conf")
    put_over("/etc/fuse.conf", "user_allow_other\n")
    assert "ok: user_allow_other is set in /etc/fuse.conf, and is not needed" in check(daemon)


def test_check_of_a_guest_with_its_directory(daemon, tree_guest):
    text = check(daemon, "web1")
    assert "FAIL" not in text and "ok: at its /dev/lxd is its directory of the tree\n" in text
    assert "note: it has never asked" in text
    tree_guest.run(["cat", "/dev/lxd/config/user.role"])
    text = check(daemon, "web1")
    assert "ok: requests in its directory since the daemon started: " in text and "never asked" not in text
    whois = daemon.ctl("whois", str(tree_guest.pid))
    assert re.search(r"^/dev/lxd: +the directory of web1 in this daemon's tree$", whois, re.M)
    daemon.guest_record(tree_guest, {LONG: "1"})
    assert "so that only the socket has them: 1\n" in check(daemon, "web1")


def test_check_of_switches(daemon, tree_guest):
    daemon.guest_record(tree_guest, {"user.role": "x", "security.devlxd.socket": "false"})
    text = check(daemon, "web1")
    assert "FAIL" not in text
    assert "note: security.devlxd.socket is off, the guest has its files and no socket" in text
    daemon.guest_record(tree_guest, {"user.role": "x", "security.devlxd": "false"})
    text = check(daemon, "web1")
    assert "FAIL: security.devlxd is off, the guest gets 403 and finds an empty directory" in text
    assert "ok: at its /dev/lxd is its directory of the tree\n" in text
    daemon.record("web1", match={"cgroup": tree_guest.cgroup.path}, config={"user.role": "x"})


def test_check_of_a_bare_socket_that_is_switched_off(daemon, guest):
    daemon.guest_record(guest, {"user.role": "x", "security.devlxd.socket": "false"})
    text = check(daemon, "web1")
    assert "FAIL: at its /dev/lxd/sock is this daemon's socket, which security.devlxd.socket has" in text


def test_check_of_a_guest_with_what_is_not_its_own(daemon, new_guest):
    guest, other = new_guest("web1"), new_guest("web2")
    for each in guest, other:
        daemon.guest_record(each, {"user.role": "x"})
    guest.mount(daemon.tree("web2"), "/dev/lxd")
    wrong = f"FAIL: at its /dev/lxd is the directory of web2, not its own; bind-mount {daemon.tree('web1')} there"
    assert wrong in check(daemon, "web1")
    daemon.guest_record(other, {"security.devlxd": "false"})
    assert "FAIL: at its /dev/lxd is the directory of another instance, not its own" in check(daemon, "web1")
    guest.mount(daemon.tree(), "/dev/lxd")
    assert "FAIL: at its /dev/lxd is the whole tree" in check(daemon, "web1")


def test_check_of_a_guest_whose_daemon_has_ended(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "x"})
    guest.attach_tree(daemon)
    daemon.stop()
    daemon.start()
    assert "FAIL: at its /dev/lxd is a directory that nobody serves any more" in check(daemon, "web1")
    guest.attach_tree(daemon)
    assert "ok: at its /dev/lxd is its directory of the tree\n" in check(daemon, "web1")


def test_check_of_a_guest_by_mount(daemon, new_daemon, new_guest):
    guest = new_guest("web1")
    daemon.record("web1", config={"user.role": "x"}, match={"mount": True})
    text = check(daemon, "web1")
    assert "FAIL" not in text
    assert f"ok: it is recognised by its mount: whoever has {daemon.tree('web1')} is it" in text
    assert "note: nobody has asked in its directory since the daemon started; bind-mount" in text
    guest.attach_tree(daemon)
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "x"
    assert "ok: its directory is in use\n" in check(daemon, "web1")
    daemon.admin("POST", "/1.0/instances/web1/bind", {"pid": guest.pid})
    assert "ok: at its /dev/lxd is its directory of the tree\n" in check(daemon, "web1")
    bare = new_daemon(options=["--no-fuse"]).start()
    bare.record("web1", match={"mount": True})
    assert "FAIL: it is recognised by its mount, and the daemon has no tree" in check(bare, "web1")
