# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose the files are: the guest's root's of now, in whatever ids the host gave it this time."""

import os

import pytest

from daemon import wait_until

from guest import FIRST_MAPPED_ID

SECRET, SHARED = {"user.secret": "secret"}, {"user.shared": "shared"}
RULES = [{"path": "config/user.shared", "mode": "0440", "owner": "33:33"}]


def record(daemon, guest, **members):
    daemon.guest_record(guest, {**SECRET, **SHARED}, files=RULES, **members)


# What some users of the guest (its root first) find there: the bytes, or EACCES; and who owns what.
LOOK = r"""
import errno, json, os, sys
os.chdir("/dev/lxd")
def read(path, uid):
    pipe, theirs = os.pipe()
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        try:
            with open(path, "rb") as file:
                os.write(theirs, file.read())
        except OSError as e:
            os.write(theirs, errno.errorcode[e.errno].encode())
        os._exit(0)
    os.wait()
    return os.read(pipe, 100).decode()
def owner(path):
    st = os.stat(path)
    return [st.st_uid, st.st_gid]
print(json.dumps({
    "secret": [read("config/user.secret", uid) for uid in map(int, sys.argv[1:])],
    "shared": [read("config/user.shared", uid) for uid in map(int, sys.argv[1:])],
    "owners": [owner(p) for p in (".", "config", "config/user.secret", "config/user.shared")],
}))
"""


def look(guest, *uids):
    return guest.python(LOOK, *uids)


def owns_all(guest, old_root=None):
    """Its root and its user 33 have what is theirs, and nobody else has."""
    others = [34] if old_root is None else [34, old_root, old_root + 33]
    no = ["EACCES"] * len(others)
    found = look(guest, 0, 33, *others)
    # What stat says of files that were looked at before follows; who may read does not wait.
    wait_until(lambda: look(guest)["owners"] == [[0, 0], [0, 0], [0, 0], [33, 33]], "the owners")
    return found["secret"] == ["secret", "EACCES"] + no and \
        found["shared"] == ["shared", "shared"] + no


def owner_outside(daemon, path):
    st = os.stat(daemon.tree("web1", path))
    return st.st_uid, st.st_gid


# The next run's first id, what the root of the one before is in it, and who asks first.
@pytest.mark.parametrize("first_id, old_root, asks_first", [
    (FIRST_MAPPED_ID - 10000, 10000, "root"),
    (FIRST_MAPPED_ID - 10000, 10000, "old root"),
    (FIRST_MAPPED_ID + 100000, None, "root"),  # the old one is nobody there
])
def test_comes_back_with_other_ids(daemon, new_guest, first_id, old_root, asks_first):
    guest = new_guest("web1", mapped=True)
    record(daemon, guest)
    guest.attach_tree(daemon)
    assert owns_all(guest)
    guest.close()
    guest = new_guest("web1", mapped=True, cgroup_path=guest.cgroup.path, first_id=first_id)
    guest.attach_tree(daemon)
    if asks_first == "old root":
        # The kernel remembers the files as this one's, readable for it.
        assert look(guest, old_root)["secret"] == ["EACCES"]
    assert owns_all(guest, old_root)
    assert owner_outside(daemon, "config/user.secret") == (first_id, first_id)


def test_comes_back_unmapped(daemon, new_guest):
    """From a user namespace to none, and back."""
    path = None
    for mapped in True, False, True:
        guest = new_guest("web1", mapped=mapped, cgroup_path=path)
        path = guest.cgroup.path
        record(daemon, guest)
        guest.attach_tree(daemon)
        assert owns_all(guest)
        assert owner_outside(daemon, "config/user.shared") == (guest.root_uid + 33,) * 2
        guest.close()


def test_looked_at_before_the_guest_runs(daemon, new_guest):
    """Nobody's id is known then: the host sees its own, the guest's root finds its own."""
    path = new_guest("web1").cgroup.path + "-later"
    daemon.record("web1", config={**SECRET, **SHARED}, files=RULES, match={"cgroup": path})
    for name in "", "config", "config/user.secret", "config/user.shared", "name", "state":
        assert owner_outside(daemon, name) == (0, 0)
    guest = new_guest("web1", mapped=True, cgroup_path=path)
    guest.attach_tree(daemon)
    assert owns_all(guest)
    for name in "", "config", "config/user.secret", "name", "state":
        assert owner_outside(daemon, name) == (FIRST_MAPPED_ID, FIRST_MAPPED_ID), name


def test_record_says_who(daemon, new_guest):
    """`root` counts before the guest runs and whatever its map says."""
    guest = new_guest("web1", mapped=True)
    daemon.record("web1", config=SECRET, root={"uid": FIRST_MAPPED_ID, "gid": FIRST_MAPPED_ID})
    assert owner_outside(daemon, "config/user.secret") == (FIRST_MAPPED_ID, FIRST_MAPPED_ID)
    record(daemon, guest, root={"uid": FIRST_MAPPED_ID + 5, "gid": FIRST_MAPPED_ID + 6})
    guest.attach_tree(daemon)
    found = look(guest, 5, 6)
    assert found["owners"][2] == [5, 6] and found["secret"] == ["secret", "EACCES"]
    record(daemon, guest)
    assert owns_all(guest)
