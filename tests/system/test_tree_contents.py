# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file of a guest's directory: what is in it, what it is called, and what stat(2) says of it.

The socket beside the files answers the same: one truth, two ways to ask for it.
"""

import json
import os
import time
import urllib.parse

import pytest


def file_name(key):
    return key.replace("%", "%25").replace("/", "%2F")


def url(key):
    return "/1.0/config/" + urllib.parse.quote(key, safe="")


def pattern(size):
    """Text in which any part that is missing, doubled or moved shows."""
    return "".join(f"{i:07x}\n" for i in range(size // 8 + 1))[:size]


def listed(standing, directory):
    return sorted(standing.inside(f"os.listdir({directory!r})"))


def check_key(standing, key, value):
    """The file and the socket both say @value, bytes."""
    path = "config/" + file_name(key)
    assert standing.inside(f"read({path!r})") == value, key
    assert standing.inside(f"os.stat({path!r}).st_size") == len(value), key
    assert standing.inside(f"ask({url(key)!r})") == (200, value), key


# --- config

VALUES = {
    "user.byte": "x",
    "user.newline": "\n",
    "user.line": "a line\n",
    "user.no-newline": "no newline",
    "user.nul": "\0a\0\0b\0",
    "user.only-nul": "\0",
    "user.utf-8": "grüß €, 🦊\n",
    "user.crlf": "a\r\nb\r\n",
    "user.format": "%s%n%%",
    **{f"user.size-{size}": pattern(size)
       for size in (4095, 4096, 4097, 65537, 131072, 131073, (1 << 20) - 1, 1 << 20)},
    "cloud-init.user-data": "#cloud-config\n# as it was written\npackages:   [nginx]\n",
}


def test_values_byte_for_byte(standing):
    standing.record(VALUES)
    assert listed(standing, "config") == sorted(VALUES)
    for key, value in VALUES.items():
        check_key(standing, key, value.encode())


def test_the_list_is_the_sockets(standing):
    standing.record({"user.a": "1", "cloud-init.network-config": "2", "security.x": "3",
                     "volatile.eth0.hwaddr": "4", "limits.cpu": "5", "image.os": "6"})
    assert listed(standing, "config") == ["cloud-init.network-config", "user.a"]
    status, body = standing.inside("ask('/1.0/config')")
    assert (status, json.loads(body)) == (200, ["/1.0/config/cloud-init.network-config",
                                                "/1.0/config/user.a"])
    for key in "security.x", "volatile.eth0.hwaddr", "limits.cpu", "image.os":
        assert standing.inside.error(f"os.stat('config/{key}')") == "ENOENT"


def test_an_empty_value_is_no_file(standing):
    standing.record({"user.empty": "", "user.full": "x"})
    assert listed(standing, "config") == ["user.full"]
    for question in "os.stat('config/user.empty')", "open('config/user.empty')":
        assert standing.inside.error(question) == "ENOENT"
    assert standing.inside("ask('/1.0/config/user.empty')")[0] == 404
    standing.record({})
    assert listed(standing, "config") == []


def test_keys_of_profiles(standing):
    """What a profile says is there, and what the instance says wins."""
    standing.daemon.record("web", "profiles", config={"user.both": "profile", "user.theirs": "profile"})
    standing.record({"user.both": "own"}, profiles=["web"])
    check_key(standing, "user.both", b"own")
    check_key(standing, "user.theirs", b"profile")


SSH_KEY = "root:ssh-ed25519 AAAAC3 admin"


def test_ssh_keys_are_read_by_name(standing):
    """As on the socket: there for who knows the name, and in no list."""
    standing.record({"cloud-init.ssh-keys.admin": SSH_KEY, "user.a": "1"})
    assert "cloud-init.ssh-keys.admin" not in listed(standing, "config")
    check_key(standing, "cloud-init.ssh-keys.admin", SSH_KEY.encode())
    assert standing.inside("os.path.exists('config/cloud-init.ssh-keys.other')") is False


@pytest.mark.parametrize("config", [
    {},
    {"cloud-init.user-data": "#cloud-config\nusers: [default]\n"},
    {"user.user-data": "#cloud-config\npackages: [nginx]\n", "user.vendor-data": "#!/bin/sh\n"},
    {"cloud-init.vendor-data": "#cloud-config\nusers: [{name: bob}]\n"},
], ids=["nothing", "user-data", "user.*", "vendor-data"])
def test_merged_seed_data(standing, config):
    """With ssh keys the four seed keys are what the socket answers, and exist when it says so."""
    standing.record({**config, "cloud-init.ssh-keys.admin": SSH_KEY})
    _, body = standing.inside("ask('/1.0/config')")
    assert listed(standing, "config") == sorted(os.path.basename(path) for path in json.loads(body))
    has_key = 0
    for key in (f"{prefix}.{kind}-data" for prefix in ("cloud-init", "user")
                for kind in ("user", "vendor")):
        status, body = standing.inside(f"ask({url(key)!r})")
        if status == 200:
            check_key(standing, key, body)
            has_key += b"AAAAC3" in body
        else:
            assert standing.inside.error(f"os.stat('config/{key}')") == "ENOENT"
    assert has_key


# --- names

STRANGE_KEYS = ["user.web/db%", "user./", "user.%2F", "user.%", "user.", "user..", "user...",
                "user.sp ace", "user. ", "user.new\nline", "user.\t", "user.'\"`$(x)\\", "user.*?[a]",
                "user.üñí", "user.日本語", "user.🦊", "user.\u0085", "user.-rf", "cloud-init."]


def test_strange_keys(standing):
    """Only '/' and '%' are written otherwise in a file's name."""
    config = {key: f"value of {key}" for key in STRANGE_KEYS}
    standing.record(config)
    assert listed(standing, "config") == sorted(map(file_name, config))
    assert "user.web%2Fdb%25" in listed(standing, "config")
    for key, value in config.items():
        check_key(standing, key, value.encode())
    for wrong in "user.web/db%", "user.web%2fdb%25", "user.web%2Fdb%", "user%2Eweb%2Fdb%25":
        assert standing.inside.error(f"os.stat('config/{wrong}')") == "ENOENT", wrong


def test_longest_names(standing):
    """255 bytes as written in the file's name, not as in the record, and not letters."""
    fits = ["user." + "x" * 250, "user." + "/" * 83 + "x", "user." + "ü" * 125]
    too_long = ["user." + "x" * 251, "user." + "/" * 83 + "xx", "user." + "ü" * 125 + "x",
                "user." + "x" * 5000]
    standing.record({key: "1" for key in fits + too_long})
    assert {len(file_name(key).encode()) for key in fits} == {255}
    assert listed(standing, "config") == sorted(map(file_name, fits))
    for key in fits:
        check_key(standing, key, b"1")
    for key in too_long:
        assert standing.inside.error(f"os.stat({'config/' + file_name(key)!r})") == "ENAMETOOLONG"
        assert standing.inside(f"ask({url(key)!r})") == (200, b"1")
    assert standing.daemon.admin("GET", "/1.0/status")[1]["tree"]["unnamed"] >= 1


# --- the other files

def test_meta_data(standing):
    standing.record({"user.meta-data": "role: web\nno newline"}, hostname="www")
    text = standing.inside("read('meta-data')")
    assert text.startswith(b"instance-id: ")
    assert text.endswith(b"\nlocal-hostname: www\nrole: web\nno newline")
    assert standing.inside("ask('/1.0/meta-data')") == (200, text)


DEVICES = {
    "eth0": {"type": "nic", "network": "br0"},
    "eth1": {"type": "nic", "hwaddr": "00:16:3e:00:00:02", "mtu": ""},
    "disk/1%": {"type": "disk", "a/b%": "key", ".": "dot", "..": "dots", "raw": "a\0b\n"},
    ".": {"type": "none"},
    "..": {"type": "none"},
    "plain": {},
    "x" * 255: {"type": "none"},
    "y" * 256: {"type": "none"},
}


def test_devices(standing):
    standing.record({"volatile.eth0.hwaddr": "00:16:3e:00:00:01"}, devices=DEVICES)
    found = standing.inside("""{device: {key: read(f'devices/{device}/{key}')
                                         for key in os.listdir('devices/' + device)}
                                for device in os.listdir('devices')}""")
    assert found == {
        "eth0": {"type": b"nic", "network": b"br0", "hwaddr": b"00:16:3e:00:00:01"},
        "eth1": {"type": b"nic", "hwaddr": b"00:16:3e:00:00:02"},
        "disk%2F1%25": {"type": b"disk", "a%2Fb%25": b"key", "%2E": b"dot", "%2E%2E": b"dots",
                        "raw": b"a\0b\n"},
        "%2E": {"type": b"none"},
        "%2E%2E": {"type": b"none"},
        "plain": {},
        "x" * 255: {"type": b"none"},
    }
    assert standing.inside.error("os.stat('devices/eth1/mtu')") == "ENOENT"
    assert standing.inside("os.stat('devices/.').st_ino == os.stat('devices').st_ino")


def test_devices_json(standing):
    for devices in {}, DEVICES:
        standing.record({"volatile.eth0.hwaddr": "00:16:3e:00:00:01"}, devices=devices)
        text = standing.inside("read('devices.json')")
        assert standing.inside("ask('/1.0/devices')") == (200, text)
        assert standing.inside("os.stat('devices.json').st_size") == len(text)
        assert json.loads(text).keys() == devices.keys()
    assert json.loads(text)["eth0"]["hwaddr"] == "00:16:3e:00:00:01"


@pytest.mark.parametrize("kind", ["container", "virtual-machine"])
def test_one_line_each(standing, kind):
    standing.record({}, type=kind)
    for name, line in ("name", "web1"), ("type", kind), ("location", "rack7"), ("state", "Started"):
        assert standing.inside(f"read({name!r})") == line.encode() + b"\n"
        assert standing.inside(f"os.stat({name!r}).st_size") == len(line) + 1


def test_nothing_else_is_there(standing):
    standing.record({}, devices={})
    assert listed(standing, ".") == ["config", "devices", "devices.json", "events", "location",
                                     "meta-data", "name", "sock", "state", "type"]
    for name in "nothing", ".sock", ".devlxdfs", "config/", "Config", "config/..a":
        expected = None if name == "config/" else "ENOENT"
        assert standing.inside.error(f"os.stat({name!r})") == expected, name
    assert standing.inside.error("os.stat('name/x')") == "ENOTDIR"


# --- state

def state(standing):
    """What the file and the socket say, which is the same, and the file's size."""
    text = standing.inside("read('state')").decode()
    assert standing.inside("os.stat('state').st_size") == len(text)
    assert json.loads(standing.inside("ask('/1.0')")[1])["state"] + "\n" == text
    return text


def shell(standing, command):
    """Whether it succeeds, for the guest's own shell."""
    return standing.guest.run(["sh", "-c", command], check=False).returncode == 0


def test_state_is_written_with_a_word(standing):
    standing.record({})
    for ready, started in (("echo Ready >/dev/lxd/state", "echo Started >/dev/lxd/state"),
                           ("printf Ready >/dev/lxd/state", "printf Started >>/dev/lxd/state"),
                           ("echo Ready >>/dev/lxd/state", "echo Started | tee -a /dev/lxd/state"),
                           ("echo Ready | tee /dev/lxd/state",
                            "echo Started | dd of=/dev/lxd/state 2>/dev/null"),
                           ("echo Ready >/tmp/word; cp /tmp/word /dev/lxd/state",
                            "echo Started >/tmp/word; cat /tmp/word >/dev/lxd/state"),
                           ("echo Ready | dd of=/dev/lxd/state conv=notrunc 2>/dev/null",
                            "exec 3<>/dev/lxd/state; echo Started >&3")):
        assert shell(standing, ready), ready
        assert state(standing) == "Ready\n", ready
        assert shell(standing, started), started
        assert state(standing) == "Started\n", started


def test_state_refuses_other_words(standing):
    standing.record({})
    for now in b"Ready", b"Started":
        standing.inside(f"write('state', {now!r})")
        for word in (b"ready", b"Ready ", b" Ready", b"Ready\n\n", b"Ready\0", b"Read", b"Readyy",
                     b"R", b"\n", b"\0", b"Started\r\n", b"ReadyStarted", b"Ready\nStarted\n",
                     b"x" * 100000):
            assert standing.inside.error(f"write('state', {word!r})") == "EINVAL", word
        for command in "echo Ready | dd of=/dev/lxd/state bs=1", "echo >/dev/lxd/state", \
                "cat /etc/passwd >/dev/lxd/state":
            assert not shell(standing, command), command
        assert state(standing) == now.decode() + "\n"


def test_state_is_truncated_to_no_effect(standing):
    """A shell's > and an editor truncate first: accepted, and what it says stays."""
    standing.record({})
    standing.inside("write('state', b'Ready')")
    for command in ": >/dev/lxd/state", "truncate -s0 /dev/lxd/state":
        assert shell(standing, command), command
        assert state(standing) == "Ready\n"
    standing.inside("os.ftruncate(os.open('state', os.O_RDWR | os.O_TRUNC), 0)")
    assert standing.inside("write('state', b'')") == 0
    assert state(standing) == "Ready\n"
    standing.inside("write('state', b'Started')")


def test_state_is_one_with_the_sockets(standing):
    """Said here it is heard there, also by who holds the file open."""
    standing.record({})
    standing.inside.run("held = os.open('state', os.O_RDWR)")
    for word in "Ready", "Started", "Ready", "Started":
        status, _ = standing.inside("ask('/1.0', 'PATCH', %r)" % json.dumps({"state": word}))
        assert status == 200
        assert standing.inside("os.pread(held, 99, 0)").decode() == word + "\n"
        assert standing.inside("os.fstat(held).st_size") == len(word) + 1
        assert state(standing) == word + "\n"
    standing.inside("os.pwrite(held, b'Ready', 0)")
    assert state(standing) == "Ready\n"
    assert standing.daemon.admin("GET", "/1.0/instances/web1")[1]["ready"] is True
    standing.inside("os.pwrite(held, b'Started', 0)")
    assert state(standing) == "Started\n"
    standing.inside("os.close(held)")


def test_state_belongs_to_one_run(daemon, new_guest):
    first = new_guest("web1")
    daemon.guest_record(first)
    first.attach_tree(daemon).run(["sh", "-c", "echo Ready >/dev/lxd/state"])
    assert first.run(["cat", "/dev/lxd/state"]).stdout == "Ready\n"
    again = new_guest("web1")
    daemon.guest_record(again)
    again.attach_tree(daemon)
    assert again.run(["cat", "/dev/lxd/state"]).stdout == "Started\n"
    again.run(["sh", "-c", "echo Ready >/dev/lxd/state"])
    assert again.run(["cat", "/dev/lxd/state"]).stdout == "Ready\n"


# --- what stat(1) says

def test_types_modes_and_owners(standing):
    """In both kinds of guest: all belongs to its root; only the socket, which all share, to the host's."""
    standing.record({"user.role": "x"}, devices={"eth0": {"type": "nic"}})
    directory, file = "directory 555", "regular file 400"
    expected = {
        ".": directory, "config": directory, "devices": directory, "devices/eth0": directory,
        "config/user.role": file, "devices/eth0/type": file, "devices.json": file,
        "meta-data": file, "state": "regular file 600",
        "name": "regular file 444", "type": "regular file 444", "location": "regular file 444",
        "sock": "socket 666",
    }
    done = standing.guest.run(["sh", "-c", 'cd /dev/lxd && exec stat -c "%n=%F %a %U %G" "$@"', "-",
                               *expected])
    found = dict(line.split("=") for line in done.stdout.splitlines())
    sock_owner = "nobody nogroup" if standing.guest.mapped else "root root"
    assert found == {name: f"{says} {sock_owner if name == 'sock' else 'root root'}"
                     for name, says in expected.items()}
    uid = standing.guest.root_uid
    for name in expected:
        st = os.lstat(standing.host(name))
        assert (st.st_uid, st.st_gid) == ((0, 0) if name == "sock" else (uid, uid)), name


def test_the_socket_is_one_for_all(standing):
    """The same inode everywhere, which says nothing of when others came and what they look at."""
    def look(name):
        st = os.lstat(standing.daemon.tree(name, "sock"))
        return st.st_ino, st.st_mode, st.st_nlink, st.st_mtime_ns, st.st_ctime_ns

    standing.record({})
    first = look("web1")
    standing.daemon.record("neighbour", config={})
    assert look("neighbour") == look("web1") == first
    standing.inside.error("os.utime('sock')")  # has the kernel ask again
    assert look("neighbour") == look("web1") == first


def test_blocks_and_links(standing):
    """What du and find make of it: whole blocks of what is there, and no file has two names."""
    standing.record({"user.small": "x", "user.large": pattern(100000)})
    for name, size in ("user.small", 1), ("user.large", 100000):
        st = standing.inside(f"(lambda s: (s.st_blocks, s.st_nlink))(os.stat('config/{name}'))")
        assert st == ((size + 511) // 512, 1)
    inodes = standing.inside("[os.lstat(os.path.join(d, f)).st_ino for d, ds, fs in os.walk('.')"
                             " for f in ds + fs]")
    assert len(inodes) == len(set(inodes)) >= 11


# --- times

# What stat(2) says, and what the daemon does: the kernel remembers times, and would hide wrong ones.
MTIMES = r"""
def mtimes(path):
    AT_FDCWD, AT_STATX_FORCE_SYNC, STATX_MTIME, MTIME_AT = -100, 0x2000, 0x40, 112
    remembered = os.stat(path).st_mtime_ns
    data = ctypes.create_string_buffer(256)
    checked(libc.statx(AT_FDCWD, path.encode(), AT_STATX_FORCE_SYNC, STATX_MTIME, data))
    seconds = int.from_bytes(data.raw[MTIME_AT:MTIME_AT + 8], sys.byteorder)
    return remembered, seconds * 10**9 + int.from_bytes(data.raw[MTIME_AT + 8:MTIME_AT + 12],
                                                        sys.byteorder)
"""


def mtime(standing, path):
    standing.inside.run(MTIMES)
    remembered, asked = standing.inside(f"mtimes({path!r})")
    assert remembered == asked, path
    return asked


def test_time_of_a_key_is_of_its_value(standing):
    standing.record({"user.a": "1", "user.b": "1"})
    kept = mtime(standing, "config/user.b")
    for value in "2", "3", "2":
        before = time.time_ns()
        standing.record({"user.a": value, "user.b": "1"})
        assert before <= mtime(standing, "config/user.a") <= time.time_ns()
        assert mtime(standing, "config/user.b") == kept
    changed = mtime(standing, "config/user.a")
    standing.record({"user.a": "2", "user.b": "1"}, hostname="other")
    assert mtime(standing, "config/user.a") == changed
    assert mtime(standing, "config/user.b") == kept


def test_time_of_a_directory_rises_with_every_change(standing):
    standing.record({"user.a": "0"})
    last, top = mtime(standing, "config"), mtime(standing, ".")
    for config in {"user.a": "1"}, {"user.a": "1", "user.b": "1"}, {"user.b": "1"}, {}, {"user.c": "1"}:
        standing.record(config)
        now = mtime(standing, "config")
        assert now > last, config
        last = now
    standing.record({"user.c": "1"}, devices={"eth0": {"type": "nic"}})
    assert mtime(standing, "config") == last
    assert mtime(standing, ".") > top  # devices.json stands for another node


def test_time_of_what_was_never_changed(standing):
    """Before the first change that somebody saw it is the record's."""
    standing.daemon.record("quiet", config={"user.a": "1"})
    written = os.stat(standing.daemon.record_path("quiet")).st_mtime_ns
    for name in "", "config", "config/user.a", "name", "meta-data":
        assert os.stat(standing.daemon.tree("quiet", name)).st_mtime_ns == written, name


def test_all_times_are_one(standing):
    standing.record({"user.a": "1"})
    for name in "config/user.a", "config", "name", "meta-data":
        times = standing.inside(f"(lambda s: (s.st_mtime_ns, s.st_ctime_ns, s.st_atime_ns))"
                                f"(os.stat({name!r}))")
        assert len(set(times)) == 1, name
