# SPDX-License-Identifier: GPL-2.0-or-later
"""Sending images: slow guests, many downloads, files that change, and what the daemon pays."""

import hashlib
import json
import os
import re
import subprocess

import pytest

import account
from daemon import START_SECONDS, UnixConnection, descriptors_of, memory_of, wait_until
from here import IS_INSTRUMENTED
from images import describe_image, image_path, make_image, remove_image

MAX_CONNECTIONS = 64  # of one instance, by default
MIB = 1 << 20

# Definitions for programs in guests.
PRELUDE = r"""
import hashlib, json, resource, select, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
path = sys.argv[1]

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("/dev/lxd/sock")
    s.settimeout(60)
    return s

def ask(s, target=path):
    s.sendall(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")

def read_head(s):
    "Status, length of the body, and what came of it already."
    head = b""
    while b"\r\n\r\n" not in head:
        piece = s.recv(4096)
        assert piece, head
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(head.split()[1]), int(length[0].split()[1]), body

def read_rest(s, length, body):
    "Digest and count of what comes until the end of the body, or of the connection."
    digest, n = hashlib.sha256(body), len(body)
    while n < length:
        piece = s.recv(1 << 20)
        if not piece:
            break
        digest.update(piece)
        n += len(piece)
    return digest.hexdigest(), n

def say(what):
    print(json.dumps(what), flush=True)
"""

# Begins one, says so, and reads the rest when it is told to.
ONE = PRELUDE + r"""
s = connect()
ask(s)
status, length, body = read_head(s)
say([status, length])
sys.stdin.readline()
say(read_rest(s, length, body))
"""


def path_of(fingerprint):
    return f"/1.0/images/{fingerprint}/export"


@pytest.fixture
def new_image_guest(daemon, new_guest):
    def make(name="web1"):
        guest = new_guest(name, mapped=True)
        daemon.guest_record(guest, {"security.devlxd.images": "true", "user.name": name})
        return guest.attach(daemon)

    return make


@pytest.fixture
def guest(new_image_guest):
    return new_image_guest()


def make_unified(daemon, size=8 * MIB):
    return make_image(daemon, {"image.tar.gz": os.urandom(size)})


def make_split(daemon, size=8 * MIB):
    return make_image(daemon, {"metadata.tar.xz": os.urandom(1000),
                               "rootfs.squashfs": os.urandom(size)})


def words(child):
    return json.loads(child.stdout.readline())


def begin(guest, fingerprint):
    """A download that waits, of which the header and a bit have come; its length."""
    child = guest.start_python(ONE, path_of(fingerprint))
    status, length = words(child)
    assert status == 200
    return child, length


def end(child):
    """(digest, bytes) of what it got."""
    return json.loads(child.communicate("go on\n", START_SECONDS)[0])


@pytest.mark.parametrize("change", ["flag", "hidden", "removed", "record"])
def test_a_download_that_has_begun_goes_on(daemon, guest, change):
    fingerprint = make_unified(daemon)
    child, length = begin(guest, fingerprint)
    if change == "flag":
        daemon.guest_record(guest, {"security.devlxd.images": "false"})
    elif change == "hidden":
        describe_image(daemon, fingerprint, public=False)
    elif change == "removed":
        remove_image(daemon, fingerprint)
    else:
        daemon.guest_record(guest, {"security.devlxd": "false"})
    assert guest.curl(path_of(fingerprint))[0] == (403 if change in ("flag", "record") else 404)
    assert end(child) == [fingerprint, length]


def test_not_what_was_imported(daemon, guest):
    """Another length or time: an error at once, a line in the log, and no byte of it."""
    for make, name in (make_unified, "image.tar.gz"), (make_split, "rootfs.squashfs"):
        fingerprint = make(daemon)
        path = image_path(daemon, fingerprint, name)
        said = os.stat(path)
        with open(path, "r+b") as file:
            file.write(b"other bytes, as many")
        for _ in range(20):
            status, body = guest.curl(path_of(fingerprint))
            assert status == 500 and json.loads(body)["error_code"] == 500
        os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
        os.truncate(path, said.st_size - 1)
        assert guest.curl(path_of(fingerprint))[0] == 500
        os.unlink(path)
        assert guest.curl(path_of(fingerprint))[0] == 500
    lines = re.findall(r'image (\w+): "(.*)": its file is not what was imported', daemon.log())
    assert 1 <= len(lines) <= 10


def cut(path):
    os.truncate(path, 4 * MIB)


def overwrite(path):
    with open(path, "r+b") as file:
        file.seek(4 * MIB)
        file.write(b"other bytes")


@pytest.mark.parametrize("change", [cut, overwrite])
@pytest.mark.parametrize("make, name", [(make_unified, "image.tar.gz"),
                                        (make_split, "rootfs.squashfs")])
def test_changed_while_it_is_sent(daemon, guest, make, name, change):
    """The connection ends, and nothing stands in for what is missing."""
    fingerprint = make(daemon)
    whole = guest.run(["curl", "-s", "--unix-socket", "/dev/lxd/sock",
                       f"http://lxd{path_of(fingerprint)}"], text=False).stdout
    child, length = begin(guest, fingerprint)
    assert length == len(whole)
    change(image_path(daemon, fingerprint, name))
    # Without the guest's reading on: who waits for it is told, too.
    wait_until(lambda: "a file was changed while it was sent" in daemon.log(), "the log's line")
    digest, n = end(child)
    assert n < 4 * MIB
    if name == "image.tar.gz":  # the boundary of a form is another one each time
        assert digest == hashlib.sha256(whole[:n]).hexdigest()
    assert guest.curl("/1.0/config/user.name") == (200, "web1")


@pytest.mark.parametrize("make, name", [(make_unified, "image.tar.gz"),
                                        (make_split, "rootfs.squashfs")])
def test_cut_while_it_is_read(daemon, guest, make, name):
    """The same for who reads on at once, up to where the file ends now."""
    fingerprint = make(daemon)
    child, length = begin(guest, fingerprint)
    cut(image_path(daemon, fingerprint, name))
    assert end(child)[1] < 5 * MIB < length


def test_slow_downloads_are_not_ended(new_daemon, new_guest):
    """Nothing is read for longer than an idle connection lives, and then the rest is there."""
    daemon = new_daemon()
    daemon.settings(idle_timeout_s=1)
    daemon.start()
    guest = new_guest("web1", mapped=True)
    daemon.guest_record(guest, {"security.devlxd.images": "true", "user.name": "web1"})
    guest.attach(daemon)
    fingerprints = [make(daemon) for make in (make_unified, make_split)]
    slow = [begin(guest, fingerprint) for fingerprint in fingerprints]
    for _ in range(3):
        guest.python(PRELUDE + r"""
with connect() as s:
    ask(s, "/1.0/config/user.name")
    status, length, body = read_head(s)
    while s.recv(100):
        pass
say(0)
""", "/")
    for (child, length), fingerprint in zip(slow, fingerprints):
        digest, n = end(child)
        assert n == length
    assert digest != fingerprint  # a form is not the file
    # Nor does it leave a connection that lives for ever.
    guest.python(PRELUDE + r"""
with connect() as s:
    ask(s)
    status, length, body = read_head(s)
    assert read_rest(s, length, body) == (sys.argv[2], length)
    assert s.recv(100) == b""
say(0)
""", path_of(fingerprints[0]), fingerprints[0])


CROWD = PRELUDE + r"""
crowd, statuses = [], {}
for _ in range(1000):
    s = connect()
    try:
        ask(s)
        status, length, body = read_head(s)
    except OSError:
        status = 0
    statuses[status] = statuses.get(status, 0) + 1
    if status == 200:
        crowd.append((s, length, body))
say(statuses)
sys.stdin.readline()
say([read_rest(*one) for one in crowd])
"""

FULL_SPEED = PRELUDE + r"""
slowest = 0
for _ in range(5):
    with connect() as s, connect() as other:
        ask(s)
        status, length, body = read_head(s)
        assert read_rest(s, length, body) == (sys.argv[2], length)
        for _ in range(20):
            start = time.monotonic()
            ask(other, "/1.0/config/user.name")
            assert read_head(other)[0] == 200
            slowest = max(slowest, time.monotonic() - start)
say(slowest)
"""


@pytest.mark.parametrize("make, block", [(make_unified, 0), (make_split, 128 << 10)])
def test_a_thousand_slow_downloads(daemon, new_image_guest, make, block):
    """As many as connections may be open are served, and a neighbour notices nothing."""
    crowd, neighbour = new_image_guest("crowd"), new_image_guest("neighbour")
    theirs, fingerprint = make(daemon, 16 * MIB), make_unified(daemon, 16 * MIB)
    worker = daemon.worker_pid
    neighbour.python(FULL_SPEED, path_of(fingerprint), fingerprint)
    before, descriptors = memory_of(worker)["Pss"], descriptors_of(worker)
    slow = crowd.start_python(CROWD, path_of(theirs))
    assert words(slow) == {"200": MAX_CONNECTIONS, "429": 1000 - MAX_CONNECTIONS}
    slowest = neighbour.python(FULL_SPEED, path_of(fingerprint), fingerprint)
    assert slowest < (10 if IS_INSTRUMENTED else 1)
    assert descriptors_of(worker) - descriptors <= 4 * MAX_CONNECTIONS
    if not IS_INSTRUMENTED:
        # Each is a connection with its buffer for headers, and of a form a block.
        assert memory_of(worker)["Pss"] - before < MAX_CONNECTIONS * ((128 << 10) + block)
    found = json.loads(slow.communicate("go on\n", START_SECONDS)[0])
    assert len(found) == MAX_CONNECTIONS
    if make is make_unified:
        assert found == [[theirs, 16 * MIB]] * MAX_CONNECTIONS
    else:
        assert all(n > 16 * MIB for _, n in found)
    wait_until(lambda: descriptors_of(worker) <= descriptors, "the descriptors to be closed")


LATENCY = PRELUDE + r"""
slow = []
with connect() as s:
    say("go")
    while not select.select([sys.stdin], [], [], 0)[0]:
        start = time.monotonic()
        ask(s)
        assert read_head(s)[0] == 200
        slow.append(time.monotonic() - start)
slow.sort()
say([len(slow), slow[len(slow) // 2], slow[len(slow) * 99 // 100], slow[-1]])
"""

GREED = PRELUDE + r"""
poll = select.epoll()
all = {}
for _ in range(64):
    s = connect()
    ask(s)
    s.setblocking(False)
    poll.register(s, select.EPOLLIN)
    all[s.fileno()] = s
n, buffer = 0, bytearray(1 << 18)
while all:
    for fd, _ in poll.poll():
        try:
            got = all[fd].recv_into(buffer)
        except BlockingIOError:
            continue
        n += got
        if got == 0 or n > int(sys.argv[2]):
            say(n)
            sys.exit()
"""


def test_all_that_a_guest_may_have_at_full_speed(daemon, new_image_guest):
    """64 downloads at once, as fast as they can: a neighbour's requests go between them."""
    greedy, neighbour = new_image_guest("greedy"), new_image_guest("neighbour")
    fingerprint = make_unified(daemon, 32 * MIB)
    small = neighbour.start_python(LATENCY, "/1.0/config/user.name")
    assert words(small) == "go"
    assert greedy.python(GREED, path_of(fingerprint), 1 << 30) > 1 << 30
    count, median, p99, slowest = json.loads(small.communicate("stop\n", START_SECONDS)[0])
    print(f"neighbour: {count} requests, median {median * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms, "
          f"slowest {slowest * 1e3:.2f} ms")
    assert p99 < (1 if IS_INSTRUMENTED else 0.1)


def test_memory_stays(daemon, guest):
    """A hundred downloads of 64 MiB leave the daemon as large as it was."""
    source = PRELUDE + r"""
found = []
for target in sys.argv[2:]:
    for _ in range(int(path)):
        with connect() as s:
            ask(s, target)
            status, length, body = read_head(s)
            n = len(body)
            buffer = bytearray(1 << 20)
            while n < length:
                got = s.recv_into(buffer)
                assert got
                n += got
            found.append(n)
say(found)
"""
    size = 64 * MIB
    paths = [path_of(make(daemon, size)) for make in (make_unified, make_split)]
    worker = daemon.worker_pid
    guest.python(source, 1, *paths, timeout=START_SECONDS)
    before, descriptors = memory_of(worker)["Pss"], descriptors_of(worker)
    found = guest.python(source, 2 if IS_INSTRUMENTED else 50, *paths, timeout=300)
    assert all(n >= size for n in found)
    if not IS_INSTRUMENTED:
        assert memory_of(worker)["Pss"] - before < 1 * MIB
    wait_until(lambda: descriptors_of(worker) <= descriptors, "the descriptors to be closed")


# Asks on one connection each time it is told to, and says what it was answered.
EACH_LINE = PRELUDE + r"""
s = connect()
while sys.stdin.readline():
    ask(s)
    status, length, body = read_head(s)
    say([status, *read_rest(s, length, body)])
"""


def test_no_descriptor_left(daemon, guest):
    """For the file: an error on a connection that goes on."""
    fingerprint = make_unified(daemon)
    worker = daemon.worker_pid
    child = guest.start_python(EACH_LINE, path_of(fingerprint))

    def ask():
        child.stdin.write("ask\n")
        child.stdin.flush()
        return words(child)

    def set_limit(n):
        # As the account: for others it takes more than root has everywhere.
        subprocess.run(["prlimit", f"--pid={worker}", f"--nofile={n}:"], check=True,
                       user=account.ID, group=account.ID, extra_groups=[])

    assert ask() == [200, fingerprint, 8 * MIB]
    with open(f"/proc/{worker}/limits") as limits:
        soft = re.search(r"^Max open files +(\d+)", limits.read(), re.M)[1]
    set_limit(8)
    assert ask()[0] == 500
    set_limit(soft)
    assert ask() == [200, fingerprint, 8 * MIB]
    assert f'image {fingerprint}: "image.tar.gz": Too many open files' in daemon.log()


def test_the_daemon_ends_with_a_download_going_on(daemon, guest):
    """Within its time, and the guest sees that it has not got all."""
    child, length = begin(guest, make_unified(daemon, 32 * MIB))
    form, form_length = begin(guest, make_split(daemon, 32 * MIB))
    daemon.stop()
    assert end(child)[1] < length
    assert end(form)[1] < form_length


def test_an_upgrade_with_a_download_going_on(daemon, guest):
    """Who asks meanwhile is served; what is not taken in the old worker's time ends early."""
    fingerprint = make_unified(daemon, 32 * MIB)
    child, length = begin(guest, fingerprint)
    old = daemon.worker_pid
    daemon.ctl("upgrade")
    whole = guest.run(["curl", "-s", "--unix-socket", "/dev/lxd/sock",
                       f"http://lxd{path_of(fingerprint)}"], text=False).stdout
    assert hashlib.sha256(whole).hexdigest() == fingerprint
    wait_until(lambda: not os.path.exists(f"/proc/{old}"), "the old worker to end")
    assert end(child)[1] < length


def test_the_host_hears_of_it(daemon, guest):
    """Of each image that is sent as a whole, and of no other request."""
    fingerprint = make_unified(daemon)
    monitor = UnixConnection(daemon.admin_sock)
    monitor.request("GET", "/1.0/events?type=lifecycle")
    reply = monitor.getresponse()
    path = path_of(fingerprint)
    guest.curl(path, "-I")
    guest.curl(path, "-r", "0-9", "-o", "/dev/null")
    guest.curl(path_of("f" * 64))
    guest.curl(path, "-o", "/dev/null")
    event = json.loads(reply.readline())
    assert event["metadata"] == {"action": "image-retrieved", "source": "/1.0/instances/web1",
                                 "context": {"reason": fingerprint}}
    monitor.close()
