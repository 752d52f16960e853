# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's command without a daemon: every word, every mistake, and what stands in the files."""

import json
import os
import pty
import re
import select
import subprocess

import pytest

DONE, REFUSED, USAGE, NOT_LOADED = range(4)
SECRET = "s3cret"
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Ctl:
    def __init__(self, build, directory):
        self.binary = f"{build}/hostapi/ctl/devlxdfs"
        self.directory = directory
        self.dirs = [word for kind in ("conf", "state", "run")
                     for word in (f"--{kind}-dir", str(directory / kind))]

    def run(self, *args, input="", **options):
        return subprocess.run([self.binary, *self.dirs, *args], input=input, text=True,
                              capture_output=True, timeout=60, **options)

    def ok(self, *args, status=DONE, **options):
        done = self.run(*args, **options)
        assert done.returncode == status, (args, done)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done.stdout

    def write(self, *args, **options):
        """A change: written, and nobody there to load it."""
        done = self.run(*args, **options)
        assert done.returncode == NOT_LOADED, (args, done)
        assert "no daemon at" in done.stderr and "start devlxdfsd" in done.stderr
        return done.stdout

    def fails(self, status, words, *args, **options):
        """It must fail so, say these words, name itself, and change nothing."""
        before = self.files()
        done = self.run(*args, **options)
        assert done.returncode == status, (args, done)
        assert re.search(words, done.stderr), (words, done.stderr)
        assert SECRET not in done.stderr + done.stdout
        assert self.files() == before
        return done.stderr

    def files(self):
        return {path: path.read_text() for path in self.directory.rglob("*")
                if path.is_file() and path.name != ".lock"}

    def record(self, name, kind="instances"):
        return json.loads((self.directory / "state" / kind / f"{name}.json").read_text())

    def conf(self, name, text, kind="instances"):
        path = self.directory / "conf" / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def ctl(build, tmp_path):
    return Ctl(build, tmp_path)


@pytest.fixture
def web1(ctl):
    ctl.write("create", "web1", "-c", f"user.token={SECRET}", "-d", "eth0,type=nic,network=br0")
    return ctl


# --- instances

def test_create(ctl):
    ctl.write("profile", "create", "small")
    ctl.write("create", "--vm", "web1", "-c", "user.a=b=c", "--config=user.e=", "-p", "small",
              "-p", "default", "-d", "root,type=disk,path=/", "--cgroup", "/a/b")
    assert ctl.record("web1") == {
        "type": "virtual-machine", "config": {"user.a": "b=c", "user.e": ""},
        "devices": {"root": {"type": "disk", "path": "/"}}, "profiles": ["small", "default"],
        "match": {"cgroup": "/a/b"}}
    ctl.write("init", "web2", "--lxc")
    assert ctl.record("web2")["match"] == {"cgroup": "/lxc.payload.web2"}
    assert ctl.record("web2")["profiles"] == ["default"]
    ctl.write("create", "web4", "--mount")
    assert ctl.record("web4")["match"] == {"mount": True}
    ctl.write("copy", "web1", "web5", "--mount")
    assert ctl.record("web5")["match"] == {"mount": True}
    ctl.write("create", "web3", "--no-profiles")
    assert ctl.record("web3")["profiles"] == []
    mode = os.stat(ctl.directory / "state" / "instances" / "web1.json").st_mode & 0o777
    assert mode == 0o640 and os.stat(ctl.directory / "state").st_mode & 0o777 == 0o750


@pytest.mark.parametrize("option, match, words", [
    ("--lxc", {"cgroup": "/lxc.payload.web-1"}, None),
    ("--nspawn", {"cgroup": "/machine.slice/systemd-nspawn@web-1.service/payload"}, None),
    ("--machine", {"cgroup": "/machine.slice/machine-web\\x2d1.scope"}, None),
    ("--podman", None, "podman run --annotation org.devlxdfs.instance=web-1 ..."),
    ("--docker", None, "docker run --runtime devlxdfs -v {}/run/tree/web-1:/dev/lxd ..."),
])
def test_managers(ctl, option, match, words):
    """What says how to start it is on standard error, as the output is for programs."""
    ctl.write("create", "source")
    for done in (ctl.run("create", "web-1", option), ctl.run("delete", "web-1"),
                 ctl.run("copy", "source", "web-1", option)):
        assert done.returncode == NOT_LOADED and done.stdout == ""
        if done.args[-1] == option:
            assert ctl.record("web-1").get("match") == match
            hint = f"web-1: its .* recognises it; start it with: {words}".format(ctl.directory)
            assert bool(words) == bool(re.search(hint if words else "start it with", done.stderr))


@pytest.mark.parametrize("status, words, args", [
    (REFUSED, "not a name", ["--", "-x"]),
    (REFUSED, "not a name", ["a/b"]),
    (REFUSED, "not a name", ["x" * 64]),
    (REFUSED, "web1: it exists already", ["web1"]),
    (REFUSED, 'no profile "nope"; make it: devlxdfs profile create nope', ["w", "-p", "nope"]),
    (REFUSED, "match", ["w", "--cgroup", "relative"]),
    (USAGE, "exclude each other", ["w", "--lxc", "--cgroup", "/a"]),
    (USAGE, "exclude each other", ["w", "--mount", "--cgroup", "/a"]),
    (USAGE, "exclude each other", ["w", "--lxc", "--mount"]),
    (USAGE, "--podman and --machine exclude each other", ["w", "--podman", "--machine"]),
    (USAGE, "--nspawn and --docker exclude each other", ["w", "--nspawn", "--docker"]),
    (USAGE, "exclude each other", ["w", "-p", "default", "--no-profiles"]),
    (USAGE, "no KEY=VALUE", ["w", "-c", SECRET]),
    (USAGE, "a key is empty", ["w", "-c", "=" + SECRET]),
    (USAGE, "a key is not UTF-8", ["w", "-c", b"user.\xff=" + SECRET.encode()]),
    (USAGE, "needs a type", ["w", "-d", "eth0,network=br0"]),
    (USAGE, "needs a name", ["w", "-d", ",type=nic"]),
    (USAGE, "expected NAME", []),
    (USAGE, "too many words", ["w", "x"]),
    (USAGE, 'did you mean "--profile"', ["w", "--profil3", "x"]),
    (USAGE, 'unknown option "-z"', ["w", "-z"]),
    (USAGE, '"-c" needs a value', ["w", "-c"]),
])
def test_create_refuses(web1, status, words, args):
    web1.fails(status, words, "create", *args)


def test_delete(web1):
    web1.write("create", "web2")
    web1.fails(REFUSED, 'web3: no such record; did you mean "web', "delete", "web1", "web3")
    web1.write("delete", "-f", "web1", "web2")
    assert not list((web1.directory / "state" / "instances").iterdir())


def test_rename(web1):
    web1.write("create", "web2")
    web1.fails(REFUSED, "web2: it exists already", "rename", "web1", "web2")
    web1.fails(REFUSED, "not a name", "rename", "web1", "-")
    web1.fails(REFUSED, "none: no such record", "rename", "none", "x")
    before = web1.record("web1")
    web1.write("mv", "web1", "db1")
    assert web1.record("db1") == before
    web1.fails(REFUSED, "web1: no such record", "config", "show", "web1")


def test_copy_leaves_the_identity_behind(web1):
    web1.write("config", "edit", "web1", input=json.dumps({
        "config": {"user.a": "1", "volatile.eth0.hwaddr": "00:16:3e:00:00:01"},
        "match": {"cgroup": "/w"}, "root": {"uid": 5, "gid": 5}, "hostname": "w",
        "description": "d"}))
    web1.write("copy", "web1", "web2")
    assert web1.record("web2") == {"config": {"user.a": "1"}, "description": "d"}
    web1.write("cp", "web1", "web3", "--lxc")
    assert web1.record("web3")["match"] == {"cgroup": "/lxc.payload.web3"}
    web1.fails(REFUSED, "web2: it exists already", "copy", "web1", "web2")


def test_list(web1):
    web1.conf("op1.yaml", "profiles: []\nmatch: {cgroup: /x/op1}\n")
    web1.conf("op2.yaml", f"config: [{SECRET}\n")
    done = web1.run("list", "-f", "csv")
    assert "states are not known: no daemon at" in done.stderr
    assert done.stdout == ("op1,?,container,/x/op1,,\nop2,REJECTED,,,,\nweb1,?,container,,,\n")
    assert web1.ok("list", "-f", "csv", "-c", "n,P", "web") == "web1,default\n"
    assert web1.ok("ls", "--format=csv", "-cn", ".*1") == "op1\nweb1\n"
    listed = json.loads(web1.ok("list", "--format", "json", "op1"))
    assert listed == [{"name": "op1", "state": "?", "type": "container", "profiles": [],
                       "match": "/x/op1", "source": f"{web1.directory}/conf/instances/op1.yaml"}]
    table = web1.ok("list").splitlines()
    assert table[1].split() == "| NAME | STATE | TYPE | MATCH | READY | TREE |".split()
    assert len({len(line) for line in table}) == 1
    assert "state: REJECTED" in web1.ok("info", "op2") and "op2.yaml:" in web1.ok("info", "op2")
    assert "source: " in web1.ok("info", "web1")
    web1.fails(USAGE, 'no column is called "x"', "list", "-c", "nx")
    web1.fails(USAGE, "none of table, json, yaml and csv", "list", "-f", "xml")
    web1.fails(USAGE, "not a regular expression", "list", "(")
    web1.fails(REFUSED, 'web2: no such record; did you mean "web1"', "info", "web2")


# --- config

def test_get_and_set(web1):
    web1.write("config", "set", "web1", "user.a=1", "user.b=x=y", "user.c=")
    assert web1.record("web1")["config"] == {"user.token": SECRET, "user.a": "1", "user.b": "x=y",
                                             "user.c": ""}
    web1.write("config", "set", "web1", "user.a", "a value")
    assert web1.ok("config", "get", "web1", "user.a") == "a value\n"
    assert web1.ok("config", "get", "web1", "user.none") == "\n"
    web1.write("config", "set", "web1", "user.a=-", input="two\nlines\n")
    assert web1.ok("config", "get", "web1", "user.a") == "two\nlines\n\n"
    web1.write("config", "set", "web1", "user.a", "-", input="")
    assert web1.record("web1")["config"]["user.a"] == ""
    web1.write("config", "unset", "web1", "user.a", "user.b")
    assert web1.record("web1")["config"] == {"user.token": SECRET, "user.c": ""}


def test_set_refuses(web1):
    web1.fails(USAGE, "no KEY=VALUE", "config", "set", "web1", "user.a=1", SECRET)
    web1.fails(USAGE, "expected NAME KEY=VALUE", "config", "set", "web1")
    web1.fails(REFUSED, 'web2: no such record; did you mean "web1"', "config", "set", "web2", "a=b")
    web1.fails(REFUSED, "not UTF-8", "config", "set", "web1", "user.a=-", input="a\0" + SECRET)
    web1.fails(REFUSED, 'larger than', "config", "set", "web1", "user.a=-", input=SECRET * 200000)
    web1.fails(REFUSED, '"user.tokem" is not set; did you mean "user.token"', "config", "unset",
               "web1", "user.tokem")
    # Several keys are one change: none of them without all of them.
    web1.fails(REFUSED, '"user.x" is not set', "config", "unset", "web1", "user.token", "user.x")


@pytest.mark.parametrize("key, words", [
    ("usr.role", "no guest will see this key"),
    ("cloud-init.user-dta", 'did you mean "cloud-init.user-data"'),
    ("security.devlxd.image", 'did you mean "security.devlxd.images"'),
])
def test_set_warns(web1, key, words):
    done = web1.run("config", "set", "web1", f"{key}={SECRET}", "user.fine=1")
    assert done.returncode == NOT_LOADED and words in done.stderr and key in done.stderr
    assert SECRET not in done.stderr and "user.fine" not in done.stderr


def test_full_disk_keeps_the_old_record(web1):
    before = web1.files()
    limit = "import resource as r, os, sys; r.setrlimit(r.RLIMIT_FSIZE, (100, 100)); " \
            "import signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(["/usr/bin/python3", "-c", limit, web1.binary, *web1.dirs, "config", "set",
                           "web1", "user.a=" + "x" * 1000], capture_output=True, text=True)
    assert done.returncode == REFUSED and "File too large" in done.stderr
    assert web1.files() == before


def test_show_reads_back(web1):
    data = "#cloud-config\npackages:\n  - nginx\n"
    web1.write("config", "set", "web1", f"cloud-init.user-data={data}", "user.yes=yes",
               "user.n=0012", "user.empty=", "user.odd= # : \t'\"\\")
    shown = web1.ok("config", "show", "web1")
    assert "  cloud-init.user-data: |\n    #cloud-config\n    packages:\n      - nginx\n" in shown
    before = web1.record("web1")
    assert web1.write("config", "edit", "web1", input=shown) == ""
    assert web1.record("web1") == before


def test_expanded(web1):
    web1.write("profile", "set", "default", "user.a=default", "user.b=default")
    web1.write("profile", "create", "p")
    web1.write("profile", "set", "p", "user.b=p")
    web1.write("profile", "device", "add", "p", "root", "disk", "path=/")
    web1.write("profile", "add", "web1", "p")
    assert web1.ok("config", "get", "-e", "web1", "user.a") == "default\n"
    assert web1.ok("config", "get", "web1", "user.b", "--expanded") == "p\n"
    assert web1.ok("config", "get", "web1", "user.b") == "\n"
    shown = web1.ok("config", "show", "web1", "-e")
    assert "user.b: p" in shown and "root:" in shown and "eth0:" in shown
    assert "root:" not in web1.ok("config", "show", "web1")


@pytest.mark.parametrize("text, words", [
    ("config: {user.a: [1]}", r'standard input:1:18: config."user.a": expected a string'),
    ("config: {user.a: 1", r"standard input:\d+:\d+: "),
    ("name: other", r'standard input:1:7: name: expected "web1"'),
    ("- a", r"standard input:1:1: "),
    ("", "standard input"),
    ("profiles: [nope]", 'there is no profile "nope"'),
])
def test_edit_refuses(web1, text, words):
    web1.fails(REFUSED, words, "config", "edit", "web1", input=text)


def at_terminal(ctl, answers, *args, **environment):
    """Runs it on a terminal, typing one answer each time it asks; (status, all that was shown)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(environment)
        os.execv(ctl.binary, [ctl.binary, *ctl.dirs, *args])
    shown = b""
    while True:
        assert select.select([terminal], [], [], 60)[0], shown
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        shown += chunk
        if answers and shown.endswith(b"as it was. "):
            os.write(terminal, answers.pop(0))
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_edit_at_a_terminal(web1, tmp_path_factory):
    place = tmp_path_factory.mktemp("editor")
    editor = place / "edit.py"
    editor.write_text("import os, sys\n"
                      "path = sys.argv[2]; text = open(path).read()\n"
                      "assert sys.argv[1] == '-w' and os.stat(path).st_mode & 0o77 == 0\n"
                      "bad = 'user.bad' not in text\n"
                      "open(path, 'w').write('config: {user.bad: [1]}' if bad else 'config: {user.e: x}')\n")
    command = dict(EDITOR=f"/usr/bin/python3 {editor} -w", VISUAL="", TMPDIR=str(place))
    status, shown = at_terminal(web1, [b"\n"], "config", "edit", "web1", **command)
    assert status == NOT_LOADED and 'web1.yaml:1:20: config."user.bad"' in shown
    assert web1.record("web1") == {"config": {"user.e": "x"}}
    assert os.listdir(place) == ["edit.py"]
    before = web1.files()
    status, shown = at_terminal(web1, [b"x\n"], "config", "edit", "web1", **command)
    assert status == REFUSED and web1.files() == before
    status, shown = at_terminal(web1, [], "config", "edit", "web1", VISUAL="false")
    assert status == REFUSED and "the editor failed, nothing changed" in shown
    assert web1.files() == before


def test_edit_notices_others(web1, tmp_path_factory):
    """What somebody else changes while the editor is open is not lost."""
    editor = tmp_path_factory.mktemp("editor") / "edit.py"
    editor.write_text("import subprocess, sys\n"
                      f"subprocess.run({[web1.binary, *web1.dirs]} + ['config', 'set', 'web1', 'user.o=1'])\n"
                      "open(sys.argv[1], 'w').write('config: {user.e: x}')\n")
    status, shown = at_terminal(web1, [], "config", "edit", "web1",
                                EDITOR=f"/usr/bin/python3 {editor}", VISUAL="")
    assert status == REFUSED and "somebody else changed it meanwhile" in shown
    assert web1.record("web1")["config"]["user.o"] == "1"


# --- devices

def test_devices(web1):
    device = ("config", "device")
    web1.write(*device, "add", "web1", "root", "disk", "path=/", "size=1")
    assert web1.ok(*device, "list", "web1") == "eth0\nroot\n"
    assert web1.ok(*device, "show", "web1") == \
        "eth0:\n  network: br0\n  type: nic\nroot:\n  path: /\n  size: \"1\"\n  type: disk\n"
    web1.write(*device, "set", "web1", "root", "size=2", "path=/x")
    web1.write(*device, "set", "web1", "root", "pool", "p")
    assert web1.ok(*device, "get", "web1", "root", "size") == "2\n"
    web1.write(*device, "unset", "web1", "root", "size", "pool")
    assert web1.record("web1")["devices"]["root"] == {"path": "/x", "type": "disk"}
    web1.write(*device, "rm", "web1", "root")
    assert web1.ok(*device, "ls", "web1") == "eth0\n"


def test_devices_refuse(web1):
    device = ("config", "device")
    web1.fails(REFUSED, 'has a device "eth0" already', *device, "add", "web1", "eth0", "nic")
    web1.fails(REFUSED, 'no device "eth1"; did you mean "eth0"', *device, "remove", "web1", "eth0",
               "eth1")
    web1.fails(REFUSED, 'no device "eth1"', *device, "set", "web1", "eth1", "a=b")
    web1.fails(REFUSED, 'no device "eth1"', *device, "get", "web1", "eth1", "a")
    web1.fails(REFUSED, '"netwerk" is not set; did you mean "network"', *device, "unset", "web1",
               "eth0", "netwerk")
    web1.fails(USAGE, "no KEY=VALUE", *device, "set", "web1", "eth0", "a=b", SECRET)
    web1.fails(USAGE, "expected NAME DEVICE TYPE", *device, "add", "web1", "eth0")


def test_override(web1):
    web1.write("profile", "device", "add", "default", "root", "disk", "path=/")
    override = ("config", "device", "override", "web1")
    web1.fails(REFUSED, 'no profile of it has a device "rot"', *override, "rot")
    web1.fails(REFUSED, "of its own already", *override, "eth0")
    web1.write(*override, "root", "size=5")
    assert web1.record("web1")["devices"]["root"] == {"type": "disk", "path": "/", "size": "5"}


# --- rules about files

def test_files(web1):
    assert web1.ok("files", "show", "web1", "-f", "csv") == ""
    web1.write("files", "set", "web1", "config/*", "0444")
    web1.write("files", "set", "web1", "config/user.db", "0440", "33")
    web1.write("files", "set", "web1", "meta-data", "644", "33:44")
    assert web1.record("web1")["files"] == [
        {"path": "config/*", "mode": "0444"},
        {"path": "config/user.db", "mode": "0440", "owner": "33"},
        {"path": "meta-data", "mode": "644", "owner": "33:44"}]
    # In its place, and without an owner it is the guest's root again.
    web1.write("files", "set", "web1", "config/user.db", "0400")
    assert web1.record("web1")["files"][1] == {"path": "config/user.db", "mode": "0400"}
    assert web1.ok("files", "show", "web1", "-f", "csv") == \
        "config/*,0444,0:0\nconfig/user.db,0400,0:0\nmeta-data,644,33:44\n"
    table = web1.ok("files", "show", "web1").splitlines()
    assert table[1].split() == "| PATTERN | MODE | OWNER |".split() and len(table) == 7
    web1.write("files", "unset", "web1", "config/*")
    assert json.loads(web1.ok("files", "show", "web1", "--format", "json")) == [
        {"path": "config/user.db", "mode": "0400", "owner": "0:0"},
        {"path": "meta-data", "mode": "644", "owner": "33:44"}]


def test_files_that_stand_twice(web1):
    """Of two rules with one pattern the last one counts, and none of them is left behind."""
    web1.write("config", "edit", "web1", input=json.dumps({"files": [
        {"path": "config/a", "mode": "0444"}, {"path": "config/*"}, {"path": "config/a"}]}))
    web1.write("files", "set", "web1", "config/a", "0440")
    assert web1.ok("files", "show", "web1", "-f", "csv") == \
        "config/a,0444,0:0\nconfig/*,0400,0:0\nconfig/a,0440,0:0\n"
    web1.write("files", "unset", "web1", "config/a")
    assert web1.record("web1")["files"] == [{"path": "config/*"}]


@pytest.mark.parametrize("status, words, args", [
    (REFUSED, r"web1: files\[1\]\.mode: expected an octal mode", ["set", "web1", "config/*", "0777"]),
    (REFUSED, r"files\[1\]\.mode: expected an octal mode", ["set", "web1", "config/*", "rw-r--r--"]),
    (REFUSED, r"files\[1\]\.mode: expected an octal mode", ["set", "web1", "0440", "config/*"]),
    (REFUSED, r"files\[1\]\.mode: expected an octal mode", ["set", "web1", "config/*", "33:33", "440"]),
    (REFUSED, r'files\[1\]\.owner: expected "UID"', ["set", "web1", "config/*", "0440", "www-data"]),
    (REFUSED, r'files\[1\]\.owner: expected "UID"', ["set", "web1", "config/*", "0440", "33:"]),
    (REFUSED, r"files\[1\]\.path: expected a path below", ["set", "web1", "/dev/lxd/meta-data", "0444"]),
    (REFUSED, r"files\[1\]\.path: expected a path below", ["set", "web1", "config/../state", "0444"]),
    (REFUSED, r"files\[1\]\.path: expected a path below", ["set", "web1", "", "0444"]),
    (REFUSED, r"files\[1\]\.path: larger than 4096", ["set", "web1", "x" * 4097, "0444"]),
    (REFUSED, "not UTF-8", ["set", "web1", b"config/\xff", "0444"]),
    (REFUSED, 'no such record; did you mean "web1"', ["set", "web2", "config/*", "0444"]),
    (REFUSED, 'no such record; did you mean "web1"', ["show", "web2"]),
    (REFUSED, 'no rule has the pattern "config/users"; did you mean "config/user"',
     ["unset", "web1", "config/users"]),
    (REFUSED, 'no rule has the pattern "meta-data"; see devlxdfs files show',
     ["unset", "web1", "meta-data"]),
    (USAGE, "expected NAME PATTERN MODE", ["set", "web1", "config/*"]),
    (USAGE, "too many words", ["set", "web1", "config/*", "0440", "33", "33"]),
    (USAGE, "expected NAME PATTERN", ["unset", "web1"]),
    (USAGE, "none of table, json, yaml and csv", ["show", "web1", "-f", "xml"]),
    (USAGE, 'unset', ["unst", "web1", "config/*"]),
])
def test_files_refuse(web1, status, words, args):
    web1.write("files", "set", "web1", "config/user", "0444")
    web1.fails(status, words, "files", *args)


@pytest.mark.parametrize("pattern, words", [
    ("confg/user.db", 'matches no file; did you mean "config/user.db"'),
    ("meta_data", 'did you mean "meta-data"'),
    ("user.db", "matches no file; they are below config and devices"),
    ("1.0/config", "they are below config and devices"),
    ("config/", '"config/" matches no file'),
    ("config//user.db", '"config//user.db" matches no file'),
])
def test_files_warn(web1, pattern, words):
    done = web1.run("files", "set", "web1", pattern, "0444")
    assert done.returncode == NOT_LOADED and words in done.stderr
    assert web1.record("web1")["files"] == [{"path": pattern, "mode": "0444"}]


@pytest.mark.parametrize("pattern", [
    "config/user.db", "devices/eth0/hwaddr", "meta-data", "devices.json", "state", "events", "*",
    "*/*", "c*/user.*", "[cd]*/x", "config/user.a%2Fb"])
def test_files_do_not_warn(web1, pattern):
    assert "matches no file" not in web1.run("files", "set", "web1", pattern, "0444").stderr


@pytest.mark.parametrize("files, shown", [
    ("5", None), ("{}", None), ("~", ""), ("[]", ""),
    ("[x, {path: [], mode: {}, owner: ~}]", "?,0400,0:0\n?,?,0:0\n"),
])
def test_files_of_a_bad_record(web1, files, shown):
    path = web1.directory / "conf" / "instances" / "bad.yaml"
    web1.conf(path.name, f"files: {files}\n")
    if shown is None:
        web1.fails(REFUSED, "bad: its files are not a list", "files", "show", "bad")
    else:
        assert web1.ok("files", "show", "bad", "-f", "csv") == shown


# --- profiles

def test_profiles(web1):
    web1.write("profile", "create", "p")
    web1.fails(REFUSED, "profile p: it exists already", "profile", "create", "p")
    web1.write("profile", "set", "p", "user.a=1", "user.b=2")
    web1.write("profile", "unset", "p", "user.b")
    assert web1.ok("profile", "get", "p", "user.a") == "1\n"
    web1.write("profile", "edit", "p", input="description: d\nconfig: {user.c: 3}")
    assert web1.ok("profile", "show", "p") == \
        "config:\n  user.c: \"3\"\ndescription: d\ndevices: {}\nname: p\n"
    web1.write("profile", "copy", "p", "q")
    assert web1.record("q", "profiles") == web1.record("p", "profiles")
    web1.write("profile", "rename", "q", "r")
    web1.fails(REFUSED, 'profile q: no such record; did you mean "', "profile", "show", "q")
    assert web1.ok("profile", "list", "-f", "csv") == "default,,1\np,d,0\nr,d,0\n"
    web1.write("profile", "device", "add", "p", "eth0", "nic", "a=b")
    web1.write("profile", "device", "set", "p", "eth0", "c=d")
    web1.write("profile", "device", "unset", "p", "eth0", "a")
    assert web1.ok("profile", "device", "get", "p", "eth0", "c") == "d\n"
    assert web1.ok("profile", "device", "show", "p") == "eth0:\n  c: d\n  type: nic\n"
    web1.write("profile", "device", "remove", "p", "eth0")
    assert web1.ok("profile", "device", "list", "p") == ""
    web1.write("profile", "delete", "p", "r")
    assert web1.ok("profile", "list", "-f", "csv") == "default,,1\n"


def test_profiles_of_an_instance(web1):
    web1.write("profile", "create", "p")
    web1.write("profile", "add", "web1", "p")
    assert web1.record("web1")["profiles"] == ["default", "p"]
    web1.fails(REFUSED, 'has the profile "p" already', "profile", "add", "web1", "p")
    web1.fails(REFUSED, 'there is no profile "q"', "profile", "add", "web1", "q")
    web1.fails(REFUSED, "profile p: used by web1", "profile", "delete", "p")
    web1.fails(REFUSED, "profile p: used by web1", "profile", "rename", "p", "q")
    web1.write("profile", "remove", "web1", "default")
    web1.fails(REFUSED, 'has no profile "default"', "profile", "remove", "web1", "default")
    web1.write("profile", "assign", "web1", "default,p")
    assert web1.record("web1")["profiles"] == ["default", "p"]
    web1.write("profile", "assign", "web1", "")
    assert web1.record("web1")["profiles"] == []


def test_the_default_profile_is_always_there(ctl):
    assert ctl.ok("profile", "show", "default") == "config: {}\ndevices: {}\nname: default\n"
    ctl.fails(REFUSED, "the default profile stays", "profile", "delete", "default")
    ctl.fails(REFUSED, "profile default: it exists already", "profile", "create", "default")
    ctl.write("profile", "set", "default", "user.a=1")
    assert ctl.record("default", "profiles") == {"config": {"user.a": "1"}, "devices": {}}
    ctl.fails(REFUSED, "the default profile stays", "profile", "rename", "default", "x")


# --- records of the operator

CHANGES = [
    ("config", "set", "op1", "user.a=1"), ("config", "unset", "op1", "user.n"),
    ("config", "device", "add", "op1", "x", "nic"), ("config", "edit", "op1"),
    ("profile", "add", "op1", "default"), ("profile", "assign", "op1", "default"),
    ("files", "set", "op1", "config/*", "0444"), ("files", "unset", "op1", "config/*"),
    ("delete", "op1"), ("rename", "op1", "x"),
]


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_conf_is_never_written(ctl, change):
    path = ctl.conf("op1.yaml", "config: {user.n: 5}\nprofiles: [default]\n")
    ctl.ok("profile", "list")
    ctl.run("list")  # makes nothing
    assert not (ctl.directory / "state").exists()
    ctl.write("create", "other")
    ctl.fails(REFUSED, f"op1: .*{re.escape(str(path))}", *change, input="config: {}")


def test_conf_can_be_read_and_copied(ctl):
    ctl.conf("op1.yaml", "config: {user.n: 5, user.b: true}\n")
    assert ctl.ok("config", "get", "op1", "user.n") == "5\n"
    assert ctl.ok("config", "get", "op1", "user.b") == "true\n"
    ctl.write("copy", "op1", "mine")
    assert ctl.ok("config", "get", "mine", "user.n") == "5\n"


def test_a_name_in_both(ctl):
    ctl.write("create", "web1")
    ctl.conf("web1.yaml", "config: {}\n")
    ctl.fails(REFUSED, r"conf/instances/web1\.yaml .*state/instances/web1\.json", "config", "set",
              "web1", "user.a=1")
    ctl.write("delete", "web1")
    assert ctl.ok("config", "show", "web1")


# --- files

LXD = {"name": "lx", "type": "container", "architecture": "x86_64", "config": {"user.a": "1"},
       "devices": {}, "profiles": ["default"], "expanded_config": {"user.a": "1"}, "ephemeral": False,
       "status": "Running", "status_code": 103, "project": "default"}


@pytest.mark.parametrize("text", [
    json.dumps(LXD), json.dumps({"type": "sync", "status_code": 200, "metadata": LXD}),
    json.dumps([LXD]), json.dumps(LXD, indent=1),  # JSON is YAML too
], ids=["object", "envelope", "list", "indented"])
def test_import(ctl, text):
    assert ctl.write("import", "-", input=text) == "lx: created\n"
    assert ctl.record("lx") == {key: LXD[key] for key in LXD if key != "name"}
    ctl.fails(REFUSED, "lx: it exists already", "import", "-", input=text)
    assert ctl.write("import", "--name", "ly", "-", input=text) == "ly: created\n"


def test_import_yaml(ctl):
    text = "architecture: x86_64\nconfig:\n  user.a: \"1\"\ndevices: {}\nephemeral: false\n"
    ctl.fails(REFUSED, "no name; give it a member", "import", "-", input=text)
    assert ctl.write("import", "--name=a", "-", input=text) == "a: created\n"
    several = "name: b\nconfig: {user.a: 1}\n---\nname: c\nconfig: {user.a: '--- x'}\n"
    assert ctl.write("import", "-", input=several) == "b: created\nc: created\n"
    path = ctl.directory / "d.yaml"
    path.write_text("config: {user.a: 1}")
    assert ctl.write("import", str(path)) == "d: created\n"


@pytest.mark.parametrize("text, words", [
    ('["/1.0/instances/lx"]', "recursion=1"),
    ("", "1:1: the file is empty"), ("[]", "no record in it"),
    ('{"name": "x", "config": {"user.a": ["' + SECRET + '"]}}', r'standard input:1:\d+: config'),
    ('[{"name": "x", "config": {"user.a": "' + SECRET, r"standard input:1:\d+: not valid JSON"),
    ("name: x\n---\nname: y\nconfig: {user.b: {}}", r"standard input:4:18: "),
    ("name: -x", "a record's name is"),
    ("name: x\nprofiles: [nope]", 'x: there is no profile "nope"'),
    ("name: x\n---\nname: y\nprofiles: [nope]", 'y: there is no profile "nope"'),
])
def test_import_refuses(ctl, text, words):
    ctl.write("create", "other")
    ctl.fails(REFUSED, words, "import", "-", input=text)


def test_export(web1):
    volatile = web1.directory / "state" / "volatile" / "web1.json"
    volatile.parent.mkdir(exist_ok=True)
    volatile.write_text(json.dumps({"instance_id": "11111111-2222-3333-4444-555555555555",
                                    "binding": {"cgroup": "/b", "cgroup_id": 1, "boot_id": "x"}}))
    text = web1.ok("export", "web1")
    exported = json.loads(text)
    assert exported.pop("name") == "web1"
    assert exported["config"].pop("volatile.cloud-init.instance-id") == \
        "11111111-2222-3333-4444-555555555555"
    assert exported == web1.record("web1")
    web1.write("import", "--name", "web2", "-", input=text)
    volatile.unlink()
    done = web1.run("export", "web1")
    assert done.returncode == DONE and "without an instance-id" in done.stderr


@pytest.fixture
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for path, text in {"instances/a.yaml": "profiles: [p]\nconfig: {user.n: 1}\n",
                       "instances/b.json": json.dumps({"config": {"user.s": SECRET}}),
                       "profiles/p.yaml": "config: {user.p: q}\n"}.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    return root


def test_apply_is_idempotent(ctl, tree):
    assert ctl.write("apply", str(tree)) == "profile p: created\na: created\nb: created\n"
    before = ctl.files()
    assert ctl.ok("apply", str(tree), "--diff") == \
        "profile p: unchanged\na: unchanged\nb: unchanged\n"
    assert ctl.files() == before
    ctl.write("config", "set", "b", "user.s=other", "user.t=1")
    ctl.write("profile", "unset", "p", "user.p")
    changed = ctl.write("apply", "--diff", str(tree))
    assert changed == ("profile p: changed\n  config.user.p: added\na: unchanged\nb: changed\n"
                       "  config.user.s: changed\n  config.user.t: removed\n")


def test_apply_and_prune(ctl, tree):
    ctl.conf("op.yaml", "profiles: [kept]\n")
    ctl.write("profile", "create", "kept")
    ctl.write("create", "extra")
    ctl.fails(REFUSED, 'op: it uses the profile "kept", which --prune would delete', "apply",
              "--prune", str(tree))
    (ctl.directory / "conf" / "instances" / "op.yaml").write_text("{}")
    assert ctl.write("apply", "--prune", str(tree)) == (
        "profile p: created\na: created\nb: created\nextra: deleted\nprofile kept: deleted\n")
    (tree / "profiles" / "p.yaml").unlink()
    ctl.fails(REFUSED, 'a: it uses the profile "p", which --prune would delete', "apply", "--prune",
              str(tree))
    (tree / "instances" / "a.yaml").unlink()
    (tree / "instances" / "b.json").unlink()
    ctl.fails(REFUSED, "no record in it, and --prune would delete all", "apply", "--prune", str(tree))
    assert ctl.ok("apply", str(tree)) == ""


def test_apply_checks_all_before_it_writes(ctl, tree):
    ctl.write("create", "other")
    (tree / "instances" / "z.yaml").write_text(f"config:\n  user.s: [{SECRET}]\n")
    ctl.fails(REFUSED, r'z\.yaml:2:11: config\."user\.s": expected a string, found a list', "apply",
              str(tree))
    (tree / "instances" / "z.yaml").write_text("profiles: [nope]\n")
    ctl.fails(REFUSED, 'z: there is no profile "nope"', "apply", str(tree))
    (tree / "instances" / "z.yaml").write_text("{}")
    path = ctl.conf("z.yaml", "{}")
    ctl.fails(REFUSED, f"z: .*edit {re.escape(str(path))}", "apply", str(tree))
    path.unlink()
    (tree / "c.yaml").write_text("name: z\n")
    ctl.fails(REFUSED, 'a second record called "z"', "apply", str(tree))
    (tree / "c.yaml").write_text("name: c\n")
    assert "c: created" in ctl.write("apply", str(tree))
    ctl.fails(REFUSED, "No such file or directory", "apply", str(tree / "none"))


def test_apply_shows_of_config(web1):
    """What config show prints can be applied, from standard input too."""
    shown = web1.ok("config", "show", "web1")
    assert web1.ok("apply", "-", input=shown) == "web1: unchanged\n"
    assert web1.write("apply", "-", input=shown.replace(SECRET, "other")) == "web1: changed\n"


def test_validate(ctl, tree):
    assert ctl.ok("validate", str(tree)) == ""
    bad, odd = tree / "instances" / "bad.yaml", tree / "odd.yaml"
    bad.write_text(f"config:\n  user.s: [{SECRET}]\n")
    odd.write_text(f"name: odd\ncofig: {{user.a: {SECRET}}}\nconfig: {{usr.b: x}}\n")
    done = ctl.run("validate", str(odd))
    assert done.returncode == DONE
    assert f'{odd}:2:8: cofig: no such member, ignored; did you mean "config"?' in done.stderr
    assert f'{odd}:3:' in done.stderr and "usr.b" in done.stderr and SECRET not in done.stderr
    done = ctl.run("validate", str(odd), str(bad), str(tree / "profiles"))
    assert done.returncode == REFUSED and SECRET not in done.stderr
    assert f'{bad}:2:11: config."user.s": expected a string, found a list\n' in done.stderr
    assert str(odd) in done.stderr
    (tree / "profiles" / "x.yaml").write_text("name: y\n")
    ctl.fails(REFUSED, r'x\.yaml:1:7: name: expected "x"', "validate", str(tree / "profiles"))
    assert not (ctl.directory / "state").exists()


@pytest.mark.parametrize("name, text, complaint", [
    ("instances/x.yaml", "", "x.yaml:1:1: the file is empty"),
    ("x.yaml", " \n---\n", "x.yaml:1:1: the file is empty"),
    ("instances/x.json", "", "x.json:1:1: the file is empty"),
    ("instances/x.yaml", "name: x\n---\nname: x\n", "x.yaml:2:1: "),
])
def test_validate_rejects_what_the_daemon_does(ctl, tree, name, text, complaint):
    (tree / name).write_text(text)
    ctl.fails(REFUSED, re.escape(complaint), "validate", str(tree / name))
    ctl.fails(REFUSED, re.escape(complaint), "apply", str(tree))


# --- the daemon's absence

@pytest.mark.parametrize("args", [["status"], ["metrics"], ["whois", "1"], ["query", "/1.0"],
                                  ["upgrade"]],
                         ids=" ".join)
def test_needs_a_daemon(ctl, args):
    ctl.fails(REFUSED, f"{args[0]}: .*no daemon at {ctl.directory}/run/admin.sock; start devlxdfsd",
              *args)


def test_check_without_a_daemon(web1):
    host = web1.ok("check", status=REFUSED).splitlines()
    assert host[0].startswith("FAIL: no daemon at")
    assert all(re.match("(ok|note|FAIL): ", line) for line in host)
    guest = web1.ok("check", "web1", status=REFUSED)
    assert "ok: its record is" in guest and "ok: keys that its guest sees: 1" in guest
    web1.write("config", "set", "web1", "security.devlxd=false")
    assert "FAIL: security.devlxd is off" in web1.ok("check", "web1", status=REFUSED)
    web1.write("config", "set", "web1", "security.devlxd=", "security.devlxd.socket=off")
    assert "FAIL: security.devlxd.socket is off, the guest gets 403 on the socket, its files stay" \
        in web1.ok("check", "web1", status=REFUSED)
    done = web1.run("check", "web2")
    assert done.returncode == REFUSED and "FAIL: no record of web2" in done.stdout


def test_usage_of_daemon_commands(ctl):
    ctl.fails(USAGE, "not a process id", "whois", "x1")
    ctl.fails(USAGE, "not a process id", "whois", "0")
    ctl.fails(USAGE, 'a path begins with "/"', "query", "1.0")
    ctl.fails(USAGE, "capital letters", "query", "-X", "get", "/1.0")
    ctl.fails(USAGE, "none of yaml and json", "status", "-f", "csv")


# --- words, help, completions

@pytest.mark.parametrize("args, words", [
    (["confg", "set"], 'confg: no such command; did you mean "config"'),
    (["config", "sett", "x"], 'sett: no such command; did you mean "set"'),
    (["lsit"], 'lsit: no such command; did you mean "list"'),
    (["help", "confg"], 'confg: no such command; did you mean "config"'),
    (["config", "device", "overide"], 'did you mean "override"'),
    (["zzzzzz"], "zzzzzz: no such command; see devlxdfs --help"),
    ([], "a command must follow"),
    (["config", "device"], "device: a command must follow; one of:\n  config device add"),
    (["--conf-dirr", "x", "list"], 'did you mean "--conf-dir"'),
    (["completion", "fish"], '"fish" is none of bash and zsh'),
])
def test_unknown_words(ctl, args, words):
    ctl.fails(USAGE, words, *args)


# Of what follows them, --help alone is ours.
VERBATIM = ("hook lxc", "hook oci", "oci-runtime")


def commands(ctl):
    """name -> (operands, help), of the overview."""
    text = ctl.ok("--help").split("\n\n")[1]
    lines = text.splitlines()[1:]
    found = {}
    for usage in lines[::2]:
        words = usage.split()
        n = next((i for i, word in enumerate(words) if not re.fullmatch("[a-z-]+", word)), len(words))
        found[" ".join(words[:n])] = " ".join(words[n:])
    return found


def options(ctl, name):
    """Set of "-l, --long ARG" in the help of a command, without what is common to all."""
    text = ctl.ok(*name.split(), "--help").partition("Options:\n")[2]
    found = {re.split(r"\s{2,}", line.strip())[0] for line in text.splitlines()}
    assert "-h, --help" in found and ("--version" in found) != (name in VERBATIM)
    return found - {"-h, --help", "--version"}


def test_help_everywhere(ctl):
    assert len(commands(ctl)) > 40
    for name, operands in commands(ctl).items():
        shown = ctl.ok(*name.split(), "--help")
        assert shown.startswith(f"Usage: devlxdfs {name} ") or shown.startswith(
            f"Usage: devlxdfs {name}\n")
        assert operands in shown.splitlines()[0]
        assert ctl.ok(*name.split(), "-h") == shown
        if name not in VERBATIM:
            assert re.fullmatch(r"devlxdfs [\d.]+\n", ctl.ok(*name.split(), "--version"))
    assert ctl.ok("help") == ctl.ok("-h") == ctl.ok("--help")
    assert ctl.ok("help", "config", "set") == ctl.ok("config", "set", "--help")
    group = ctl.ok("help", "config", "device")
    assert group == ctl.ok("config", "device", "--help")
    assert "config device override" in group and "profile create" not in group


def test_manual_says_the_same(ctl):
    """The same commands with the same operands and options in --help and in devlxdfs(1)."""
    with open(os.path.join(SOURCE, "docs", "devlxdfs.1.scd")) as file:
        page = file.read()
    manual, current = {}, None
    for line in page.partition("# INSTANCES")[2].partition("# EXIT STATUS")[0].splitlines():
        plain = re.sub(r"[*_\\]", "", line)
        if line.startswith("*"):
            name = re.match(r"\*([a-z -]+)\*", line).group(1)
            current = manual[name] = (plain[len(name):].strip(), set())
        elif line.startswith("\t*-"):
            current[1].add(plain.strip())
    shown = {}
    for name, operands in commands(ctl).items():
        given = options(ctl, name)
        shown[name] = (("[OPTION]... " if given else "") + operands, given)
        shown[name] = (shown[name][0].strip(), given)
    assert manual == shown
    for option in re.findall(r"^ +(?:-h, )?(--[a-z-]+)", ctl.ok("--help").split("\n\n")[2], re.M):
        assert f"*{option}*" in page


def test_completion(ctl, tmp_path):
    script = tmp_path / "completion"
    script.write_text(ctl.ok("completion", "bash"))
    tries = {"": "config", "conf": "config", "config d": "device", "config device o": "override",
             "create --c": "--cgroup", "--conf-dir /x prof": "profile", "profile device ": "add",
             "profile rm --": "--help", "ls --f": "--format", "files ": "unset",
             "files show --": "--format", "image ": "import", "image alias c": "create",
             "image info --": "--help"}
    ask = """source "$1"; shift
        COMP_WORDS=(devlxdfs "$@"); COMP_CWORD=$#; _devlxdfs 2>/dev/null; echo "${COMPREPLY[@]}" """
    for line, wanted in tries.items():
        done = subprocess.run(["bash", "-c", ask, "bash", str(script), *line.split(" ")], text=True,
                              capture_output=True, check=True)
        assert wanted in done.stdout.split(), (line, done.stdout)
        assert wanted.startswith("-") or "--" not in done.stdout, "options were not asked for"
    for name in commands(ctl):
        assert f'" {name}")' in ctl.ok("completion", "zsh")
    assert "completion" not in commands(ctl)


def test_output_that_cannot_be_written(ctl):
    with open("/dev/full", "w") as full:
        done = subprocess.run([ctl.binary, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == REFUSED and "cannot print" in done.stderr
