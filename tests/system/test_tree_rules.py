# SPDX-License-Identifier: GPL-2.0-or-later
"""Who inside a guest may read what: the record's `files`, changed with the command while guests look."""

import os

import pytest

from inside import Inside
from standing import Standing

KEY = "config/user.key"
ALL = {"root", "user", "www", "member", "primary"}


class Rules(Standing):
    """With a record that the command keeps, and processes of several users in the guest, which stay."""

    def __init__(self, directory, mapped):
        super().__init__(directory, mapped)
        self.patterns = set()
        self.root = self.inside
        self.www = Inside(self.guest, uid=33)
        self.member = Inside(self.guest, uid=1000, groups=[33])
        self.primary = Inside(self.guest, uid=1000, gid=33)
        self.everyone = {name: getattr(self, name) for name in ALL}

    def make_record(self):
        self.daemon.ctl("create", "web1", "--cgroup", self.guest.cgroup.path, "-c", "user.key=secret",
                        "-c", "user.other=other")

    def set(self, pattern, *words):
        self.daemon.ctl("files", "set", "web1", pattern, *words)
        self.patterns.add(pattern)

    def unset(self, pattern):
        self.daemon.ctl("files", "unset", "web1", pattern)
        self.patterns.remove(pattern)

    def readers(self, path=KEY):
        """Who can read it; the others are told EACCES."""
        answers = {name: inside.error(f"read({path!r})") for name, inside in self.everyone.items()}
        assert set(answers.values()) <= {None, "EACCES"}, answers
        return {name for name, answer in answers.items() if answer is None}

    def look(self, path=KEY):
        """mode and owner as the guest sees them, which everybody may."""
        looks = {inside(f"(lambda s: '%o %d:%d' % (stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid))"
                        f"(os.stat({path!r}))") for inside in self.everyone.values()}
        assert len(looks) == 1, looks
        return looks.pop()


@pytest.fixture(scope="module", params=["privileged", "mapped"])
def kept(request, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("rules"))
    with Rules(directory, mapped=request.param == "mapped") as rules:
        yield rules


@pytest.fixture
def rules(kept):
    """Without any rule in the beginning."""
    yield kept
    for pattern in list(kept.patterns):
        kept.unset(pattern)


def test_modes_and_owners(rules):
    """Each change is in force for who runs already, whatever was read and looked at before."""
    assert rules.look() == "400 0:0"
    assert rules.readers() == {"root"}
    for words, look, readers in (
            (("0444",), "444 0:0", ALL),
            (("0440", "0:33"), "440 0:33", {"root", "www", "member", "primary"}),
            (("0400", "33:33"), "400 33:33", {"root", "www"}),
            (("0440", "33:33"), "440 33:33", {"root", "www", "member", "primary"}),
            (("0440", "33:0"), "440 33:0", {"root", "www"}),
            (("0440", "33"), "440 33:33", {"root", "www", "member", "primary"}),
            (("0004",), "4 0:0", ALL),
            (("0040", "1000:33"), "40 1000:33", {"root", "www"}),  # as its owner 1000 may not
            (("0000",), "0 0:0", {"root"}),
            (("0666",), "666 0:0", ALL),
            (("0400",), "400 0:0", {"root"})):
        rules.set(KEY, *words)
        assert rules.look() == look
        assert rules.readers() == readers, words
        assert rules.readers("config/user.other") == {"root"}
    rules.set(KEY, "0444")
    assert rules.readers() == ALL
    rules.unset(KEY)
    assert (rules.look(), rules.readers()) == ("400 0:0", {"root"})


def test_a_rule_is_no_change_of_the_value(rules):
    """And a new value has the rule at once."""
    rules.set(KEY, "0444")
    for value in "new", "newer":
        rules.daemon.ctl("config", "set", "web1", f"user.key={value}")
        for inside in rules.everyone.values():
            assert inside(f"read({KEY!r})") == value.encode()
    rules.set(KEY, "0440", "33:33")
    assert rules.www(f"read({KEY!r})") == b"newer"
    assert rules.root(f"os.stat({KEY!r}).st_size") == 5
    rules.daemon.ctl("config", "set", "web1", "user.key=secret")


def test_last_rule_wins(rules):
    rules.set("config/*", "0444")
    rules.set("config/user.k?y", "0400", "33")
    assert (rules.readers(), rules.readers("config/user.other")) == ({"root", "www"}, ALL)
    rules.set("*/*", "0440", "0:33")
    assert rules.readers("config/user.other") == {"root", "www", "member", "primary"}
    rules.unset("*/*")
    rules.unset("config/user.k?y")
    assert rules.readers() == ALL


def test_rules_for_other_files(rules):
    rules.daemon.ctl("config", "device", "add", "web1", "eth0", "nic", "network=br0")
    assert rules.look("devices/eth0/network") == "400 0:0"
    for path in "meta-data", "devices.json", "devices/eth0/network":
        assert rules.readers(path) == {"root"}
        rules.set(path, "0444")
        assert (rules.look(path), rules.readers(path)) == ("444 0:0", ALL)
    for path in "name", "type", "location":
        assert rules.readers(path) == ALL
    for path in "config", "devices", "devices/eth0":
        assert rules.look(path) == "555 0:0"
        for inside in rules.everyone.values():
            assert inside(f"len(os.listdir({path!r}))") > 0


def test_what_rules_cannot_say(rules):
    """Directories, the socket and the lines that all may read stay as they are."""
    rules.daemon.record("web9", files=[{"path": path, "mode": "0000", "owner": "33:33"}
                                       for path in ("config", "devices", "name", "type", "sock", "*")],
                        config={"user.x": "1"})
    modes = {name: os.lstat(rules.daemon.tree("web9", name)).st_mode & 0o7777
             for name in ("config", "devices", "name", "type", "sock")}
    assert modes == {"config": 0o555, "devices": 0o555, "name": 0o444, "type": 0o444, "sock": 0o666}
    assert os.lstat(rules.daemon.tree("web9", "name")).st_uid == 0


def test_state_by_a_rule(rules):
    """Who may write it by its mode may say Ready."""
    def writers():
        return {name for name, inside in rules.everyone.items()
                if inside.error("write('state', b'Started')") is None}

    assert (rules.look("state"), rules.readers("state"), writers()) == ("600 0:0", {"root"}, {"root"})
    rules.set("state", "0664", "0:33")
    assert (rules.readers("state"), writers()) == (ALL, {"root", "www", "member", "primary"})
    assert rules.www("write('state', b'Ready')") == 5
    assert rules.user("read('state')") == b"Ready\n"
    rules.unset("state")
    assert (rules.readers("state"), writers()) == ({"root"}, {"root"})


def test_ids_that_the_guest_does_not_have(rules):
    """They would be nobody there: the guest's root owns it then, alone."""
    rules.set(KEY, "0440", "70000:33")
    assert rules.look() == ("440 0:33" if rules.guest.mapped else "440 70000:33")
    rules.set(KEY, "0440", "33:70000")
    assert rules.look() == ("440 33:0" if rules.guest.mapped else "440 33:70000")
    rules.set(KEY, "0440", "70000:70000")
    assert rules.look() == ("440 0:0" if rules.guest.mapped else "440 70000:70000")
    assert rules.readers() == {"root"}
    rules.set(KEY, "0440", "65535:65535")
    assert rules.look() == "440 65535:65535"


def test_owners_as_the_host_sees_them(rules):
    """Ids of the guest: shifted when it has a user namespace."""
    first = rules.guest.root_uid
    for owner, ids in ("0:33", (0, 33)), ("33:0", (33, 0)), ("1000:1001", (1000, 1001)):
        rules.set(KEY, "0440", owner)
        st = os.stat(rules.daemon.tree("web1", KEY))
        assert (st.st_uid, st.st_gid) == (first + ids[0], first + ids[1])


def test_a_held_descriptor_outlives_its_rule(rules):
    """As on any file system: who opened it reads on, and opens it no more."""
    rules.set(KEY, "0444")
    rules.user.run(f"fd = os.open({KEY!r}, os.O_RDONLY)")
    rules.unset(KEY)
    assert rules.user("os.pread(fd, 99, 0)") == b"secret"
    assert rules.user.error(f"read({KEY!r})") == "EACCES"
    assert rules.user.error("read(f'/proc/self/fd/{fd}')") in ("EACCES", "ESTALE")
    rules.user("os.close(fd)")


def test_the_socket_is_for_root_alone(rules):
    """Rules are for files: who may read a file with one is refused there all the same."""
    rules.set("*/*", "0444")
    assert rules.user("read('config/user.key')") == b"secret"
    assert rules.user("ask('/1.0/config/user.key')")[0] == 401
    assert rules.root("ask('/1.0/config/user.key')") == (200, b"secret")
