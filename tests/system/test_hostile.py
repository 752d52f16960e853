# SPDX-License-Identifier: GPL-2.0-or-later
"""What one guest does no other guest notices: the guest at fault is refused, its neighbour is
answered all the time, memory and descriptors stay, the daemon lives."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest

import account
from daemon import START_SECONDS, UnixConnection, descriptors_of, memory_of, wait_until
from here import IS_INSTRUMENTED, PYTHON

MAX_CONNECTIONS = 64  # of one instance, by default
MAX_REFUSED = 64

# Asks on a new connection each time until told to stop; says how it was served.
NEIGHBOUR = r"""
import json, select, socket, sys, time
n, bad, slowest = 0, [], 0
print("go", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    start = time.monotonic()
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect("/dev/lxd/sock")
            s.settimeout(30)  # not before: a connect with a timeout does not wait in the queue
            s.sendall(b"GET /1.0/config/user.name HTTP/1.0\r\n\r\n")
            reply = b""
            while piece := s.recv(65536):
                reply += piece
        except OSError as error:
            reply = repr(error).encode()
    if not reply.endswith(b"\r\n\r\nneighbour"):
        bad.append(reply.decode())
    n += 1
    slowest = max(slowest, time.monotonic() - start)
print(json.dumps([n, bad[:3], slowest]))
"""

# Definitions for the attacks.
PRELUDE = r"""
import json, resource, select, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
ASK = b"GET /1.0/config/user.name HTTP/1.1\r\nHost: x\r\n\r\n"

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("/dev/lxd/sock")
    s.settimeout(30)
    return s

def read_all(s):
    reply = b""
    try:
        while piece := s.recv(65536):
            reply += piece
    except ConnectionResetError:
        pass
    return reply

def exchange(request):
    with connect() as s:
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_all(s).decode(errors="replace")
"""

# All it may have at once: what the daemon keeps for next time is there before we measure.
WARM_UP = rf"""
for s in [connect() for _ in range({MAX_CONNECTIONS})]:
    s.sendall(ASK.replace(b"name", b"large"))
    s.recv(1000)
    s.close()
print(0)
"""


@pytest.fixture
def attacker(daemon, new_guest):
    guest = new_guest("attacker", mapped=True)
    daemon.guest_record(guest, {"user.name": "attacker", "user.large": "x" * (1 << 20)})
    return guest.attach(daemon)


@pytest.fixture
def neighbour(daemon, new_guest):
    guest = new_guest("neighbour")
    daemon.guest_record(guest, {"user.name": "neighbour"})
    return guest.attach(daemon)


@pytest.fixture
def unharmed(daemon, neighbour, attacker):
    """A context: the neighbour is served during it, and the daemon is no larger after it."""

    @contextlib.contextmanager
    def watch(slowest_s=2):
        worker = daemon.worker_pid
        attacker.python(PRELUDE + WARM_UP)
        wait_until(lambda: daemon.admin("GET", "/1.0/instances/attacker")[1]["connections"] == 0,
                   "the attacker's connections to be gone")
        descriptors, memory = descriptors_of(worker), memory_of(worker)["Rss"]
        client = neighbour.start_python(NEIGHBOUR)
        assert client.stdout.readline() == "go\n"
        yield
        n, bad, slowest = json.loads(client.communicate("stop\n", START_SECONDS)[0])
        assert n > 0 and bad == []
        assert slowest < slowest_s * (5 if IS_INSTRUMENTED else 1), f"{slowest} s"
        assert daemon.worker_pid == worker
        wait_until(lambda: descriptors_of(worker) <= descriptors, "descriptors to be closed")
        if not IS_INSTRUMENTED:  # a sanitizer keeps what was freed
            assert memory_of(worker)["Rss"] - memory < 4 << 20

    return watch


def test_connections_as_fast_as_it_can(attacker, unharmed):
    """In parallel, without pause: what ends LXD and Incus."""
    with unharmed():
        storm = attacker.popen(["/dev/build/tests/bench/load", "-n", "-c", "128", "-s", "3",
                                "/dev/lxd/sock", "/1.0/config/user.name"])
        silent = attacker.popen([PYTHON, "-c", PRELUDE + r"""
end = time.monotonic() + 3
while time.monotonic() < end:
    for s in [connect() for _ in range(100)]:
        s.close()
"""])
        assert silent.wait(START_SECONDS) == 0
        assert storm.wait(START_SECONDS) == 0


def test_twenty_thousand_idle_connections(daemon, attacker, unharmed):
    hold = PRELUDE + r"""
held = [connect() for _ in range(int(sys.argv[1]))]
print("held", flush=True)
sys.stdin.read()
"""
    with unharmed():
        holders = [attacker.start_python(hold, 5000) for _ in range(4)]
        assert [holder.stdout.readline() for holder in holders] == ["held\n"] * 4
        assert descriptors_of(daemon.worker_pid) < MAX_CONNECTIONS + MAX_REFUSED + 64
        for holder in holders:
            holder.communicate("")


def test_idle_connections_are_refused_and_closed(attacker, unharmed):
    """Over the limit: 429, seen by the client. Below it: closed when no header comes."""
    with unharmed():
        refused, silent, seconds = attacker.python(PRELUDE + r"""
start = time.monotonic()
replies = [read_all(s) for s in [connect() for _ in range(100)]]
refused = [r for r in replies if r]
assert all(r.startswith(b"HTTP/1.1 429 ") and b"\r\nRetry-After: " in r for r in refused), refused[0]
print(json.dumps([len(refused), len(replies) - len(refused), time.monotonic() - start]))
""")
        assert (refused, silent) == (100 - MAX_CONNECTIONS, MAX_CONNECTIONS)
        assert 2 < seconds < 10


def test_slow_headers(attacker, unharmed):
    """A byte now and then does not keep a connection: 3 s from accept to the whole header."""
    with unharmed():
        seconds = attacker.python(PRELUDE + r"""
with connect() as s:
    start = time.monotonic()
    s.settimeout(0.2)  # the pace: a byte for each read that times out
    for byte in ASK[:-1] * 10:
        try:
            s.sendall(bytes([byte]))
            if s.recv(100) == b"":
                break
        except socket.timeout:
            pass
        except OSError:
            break
    print(time.monotonic() - start)
""")
        assert 2 < seconds < 10


@pytest.mark.parametrize("request_source, statuses", [
    (r"b'GET / HTTP/1.1\r\nHost: x\r\n' + b'A: ' + b'x' * (1 << 20) + b'\r\n\r\n'", "431"),
    (r"b'GET / HTTP/1.1\r\nHost: x\r\n' + b'A: x\r\n' * (1 << 17) + b'\r\n'", "431"),
    (r"b'GET /' + b'x' * (1 << 20) + b' HTTP/1.1\r\nHost: x\r\n\r\n'", "414 431"),
    (r"b'PATCH /1.0 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n' + b'x' * (1 << 20)",
     "413"),
    (r"b'PATCH /1.0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + "
     r"b'10000\r\n' + b'x' * 65536 + b'\r\n10000\r\n' + b'x' * 65536 + b'\r\n0\r\n\r\n'", "413"),
    (r"b'\x00\x01\x02\xff' * 1000", "400 431"),
    (r"b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x00' * 500 + b'\r\n\r\n'", "400"),
    (r"b'GET\r\n\r\n'", "400"),
    (r"b'GET / HTTP/9.9\r\n\r\n'", "400 505"),
    (r"b'PATCH /1.0 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'", "400"),
    (r"b'GET /1.0/config/user.%00x HTTP/1.1\r\nHost: x\r\n\r\n'", "400 404"),
    (r"b'GET /1.0/config/' + b'%2e%2e%2f' * 100 + b' HTTP/1.1\r\nHost: x\r\n\r\n'", "400 403"),
])
def test_senseless_requests(attacker, unharmed, request_source, statuses):
    """Each is answered with an error, or closed without an answer."""
    with unharmed():
        replies = attacker.python(
            PRELUDE + f"print(json.dumps([exchange({request_source}) for _ in range(10)]))")
        assert {reply[9:12] for reply in replies} <= {"", *statuses.split()}, replies[0]


def test_half_requests(attacker, unharmed):
    with unharmed():
        attacker.python(PRELUDE + r"""
for n in range(500):
    with connect() as s:
        s.sendall(ASK[:n % len(ASK)])
print(0)
""")


def test_disconnects_in_the_middle_of_a_reply(attacker, unharmed):
    with unharmed():
        attacker.python(PRELUDE + r"""
for n in range(300):
    with connect() as s:
        s.sendall(ASK.replace(b"name", b"large"))
        s.recv(1000)
print(0)
""")


def test_replies_that_nobody_reads(attacker, unharmed):
    """Large values asked for and left in the pipe, on as many connections as there may be."""
    with unharmed():
        attacker.python(PRELUDE + rf"""
held = [connect() for _ in range({MAX_CONNECTIONS})]
for s in held:
    s.sendall(ASK.replace(b"name", b"large") * 4)
for s in held:
    s.recv(10)
print(0)
""")


def test_pipelined_requests(attacker, unharmed):
    """A thousand requests in one connection's pipe are served in turn with the neighbour's."""
    with unharmed():
        answers = attacker.python(PRELUDE + r"""
with connect() as s:
    s.sendall(ASK * 1000 + ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    print(read_all(s).count(b"\r\n\r\nattacker"))
""")
        assert answers == 1001


def test_few_descriptors(daemon, attacker, neighbour):
    """EMFILE: nobody can be accepted for a moment, nothing spins, and then it goes on."""
    worker = daemon.worker_pid
    limit = descriptors_of(worker) + 8
    # As the account: for others it takes more than root has everywhere.
    subprocess.run(["prlimit", f"--pid={worker}", f"--nofile={limit}:{limit}"], check=True,
                   user=account.ID, group=account.ID, extra_groups=[])
    holder = attacker.start_python(PRELUDE + r"""
held = []
for _ in range(30):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    if s.connect_ex("/dev/lxd/sock") == 0:
        held.append(s)
print(len(held), flush=True)
sys.stdin.read()
""")
    assert int(holder.stdout.readline()) == 30
    start, used = time.monotonic(), cpu_seconds(worker)
    # Who says nothing makes room early; then it is the neighbour's turn.
    assert neighbour.curl("/1.0/config/user.name") == (200, "neighbour")
    elapsed = time.monotonic() - start
    assert elapsed < 5 * (4 if IS_INSTRUMENTED else 1)
    assert cpu_seconds(worker) - used < 0.2 + elapsed / 4, "the worker spins"
    holder.communicate("")
    assert daemon.worker_pid == worker


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("away", ["renamed", "removed"])
def test_store_directory_vanishes(daemon, neighbour, away):
    """What the records said stays in force, and a directory that comes back is read again."""
    conf = daemon.dirs["conf"]
    if away == "renamed":
        os.rename(conf, conf + ".away")
    else:
        shutil.copytree(conf, conf + ".away")
        shutil.rmtree(conf)
    for _ in range(3):
        assert neighbour.curl("/1.0/config/user.name") == (200, "neighbour")
    assert daemon.admin("GET", "/1.0/status")[0] == 200
    os.rename(conf + ".away", conf)
    daemon.guest_record(neighbour, {"user.name": "back"})
    assert neighbour.curl("/1.0/config/user.name") == (200, "back")


def test_refusals_are_seen_by_strangers(daemon):
    """500 to callers that are nobody: Python's http.client and curl, 200 times each."""
    expected = "Process ID not found in container\n"
    for _ in range(200):
        connection = UnixConnection(daemon.sock)
        connection.request("GET", "/1.0", headers={"X-Padding": "x" * 2000})
        reply = connection.getresponse()
        assert (reply.status, reply.read().decode()) == (500, expected)
        connection.close()
        done = subprocess.run(["curl", "-s", "--unix-socket", daemon.sock, "x/1.0"],
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, expected)


def test_refusals_are_seen_by_the_guest_at_fault(attacker):
    """429 to a guest that holds all its connections: http.client and curl, 200 times each."""
    holder = attacker.start_python(PRELUDE + rf"""
held = [connect() for _ in range({MAX_CONNECTIONS})]
for s in held:
    s.sendall(ASK)
    s.recv(65536)
print("held", flush=True)
sys.stdin.read()
""")
    assert holder.stdout.readline() == "held\n"
    statuses = attacker.python(r"""
import http.client, json, socket, subprocess
statuses = []
for _ in range(200):
    c = http.client.HTTPConnection("x")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect("/dev/lxd/sock")
    c.request("PATCH", "/1.0", body="x" * 5000)
    reply = c.getresponse()
    reply.read()
    statuses.append(reply.status)
    curl = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
                           "/dev/lxd/sock", "x/1.0"], stdout=subprocess.PIPE)
    statuses.append(int(curl.stdout))
print(json.dumps(statuses))
""")
    assert statuses == [429] * 400
    holder.communicate("")


def test_requests_per_second(daemon, attacker, neighbour):
    """The limit is the guest's own: 429 with Retry-After, and the neighbour has its own."""
    daemon.settings(max_requests_per_s=20)
    daemon.stop()
    daemon.start()
    for guest in attacker, neighbour:
        guest.attach(daemon)
    statuses = attacker.python(PRELUDE + r"""
import http.client
c = http.client.HTTPConnection("x")
c.sock = connect()
statuses = []
for _ in range(100):
    c.request("GET", "/1.0")
    reply = c.getresponse()
    reply.read()
    statuses.append([reply.status, reply.headers["Retry-After"]])
print(json.dumps(statuses))
""")
    refused = [retry for status, retry in statuses if status == 429]
    assert len(refused) > 40 and all(int(retry) >= 1 for retry in refused)
    assert statuses[0] == [200, None]
    assert neighbour.curl("/1.0/config/user.name") == (200, "neighbour")


def test_idle_guests_cost_no_descriptor(daemon, attacker, neighbour, new_guest):
    before = descriptors_of(daemon.worker_pid)
    for n in range(5):
        guest = new_guest(f"idle{n}")
        daemon.guest_record(guest)
        guest.attach(daemon)
        assert guest.curl("/1.0")[0] == 200
    wait_until(lambda: descriptors_of(daemon.worker_pid) <= before, "connections to be closed")
