# SPDX-License-Identifier: GPL-2.0-or-later
"""Events over HTTP: a websocket as python3-websockets has it, lines as curl -N reads them, and frames by hand."""

import json
import os
import select
import time

import pytest

from daemon import UnixConnection, wait_until
from inside import Inside

MAX_LISTENERS = 16  # of one instance, by default
SECONDS = 20

PRELUDE = r'''
import base64, json, select, struct, time
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SHAKE = {"Host": "lxd", "Upgrade": "websocket", "Connection": "Upgrade",
         "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("/dev/lxd/sock")
    s.settimeout(20)
    return s

def get(path, headers, method="GET", version="1.1"):
    "(socket, status, header)"
    s = connect()
    s.sendall((f"{method} {path} HTTP/{version}\r\n" +
               "".join(f"{k}: {v}\r\n" for k, v in headers.items() if v is not None) + "\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = s.recv(1)
        assert byte, head
        head += byte
    return s, int(head.split()[1]), head.decode()

def shake(path="/1.0/events", **changes):
    return get(path, dict(SHAKE, **{k.replace("_", "-"): v for k, v in changes.items()}))

def ws(path="/1.0/events"):
    s, status, head = shake(path)
    assert status == 101 and ACCEPT in head, head
    return s

def frame(opcode, payload=b"", fin=1, rsv=0, mask=True, length=None, code=126):
    length = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 128 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    key = b"abcd" if mask else b""
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload)) if mask else head + payload

def exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data

def next_frame(s):
    a, n = exactly(s, 2)
    assert a & 0x80 and not n & 0x80, (a, n)
    if n == 126:
        n, = struct.unpack(">H", exactly(s, 2))
    elif n == 127:
        n, = struct.unpack(">Q", exactly(s, 8))
    return a & 15, exactly(s, n)

def until_close(s):
    "The code of the close, 0 without one, None when the connection just ends."
    try:
        while True:
            opcode, payload = next_frame(s)
            if opcode == 8:
                rest = b""
                assert s.recv(1) == b""
                return struct.unpack(">H", payload[:2])[0] if payload else 0
    except (EOFError, ConnectionResetError):
        return None

def closed_by(*pieces):
    with ws() as s:
        for piece in pieces:
            s.sendall(piece)
        return until_close(s)

def text(s):
    "The next event, pings aside."
    while True:
        opcode, payload = next_frame(s)
        if opcode == 1:
            assert payload.endswith(b"\n")
            return payload.decode()
        assert opcode == 9, opcode
'''


@pytest.fixture
def inside(guest):
    inside = Inside(guest)
    inside.run(PRELUDE)
    return inside


def strip(line):
    """An event without its time, which must look like one."""
    event = json.loads(line)
    assert line.endswith("\n") and list(event)[:3] == ["type", "timestamp", "metadata"], line
    time.strptime(event["timestamp"].partition(".")[0], "%Y-%m-%dT%H:%M:%S")
    return event["type"], event["metadata"]


def changes(daemon, guest):
    """Everything that can happen to a guest's record, one by one, and what is to be heard of it."""
    disk = {"type": "disk", "source": "/x", "path": "/mnt"}
    steps = [
        ({"user.role": "backend"}, {}),
        ({"user.role": "backend", "user.new": "é<&>", "cloud-init.user-data": "#!x"}, {}),
        ({"user.role": "backend", "limits.cpu": "2"}, {}),
        ({"user.role": "backend"}, {"mnt": disk}),
        ({"user.role": "backend"}, {"mnt": dict(disk, path="/srv")}),
        ({}, {}),
    ]
    for config, devices in steps:
        daemon.guest_record(guest, config, devices=devices)
    return [
        ("config", {"key": "user.role", "old_value": "frontend", "value": "backend"}),
        ("config", {"key": "user.new", "old_value": "", "value": "é<&>"}),
        ("config", {"key": "user.new", "old_value": "é<&>", "value": ""}),
        ("device", {"action": "added", "config": disk, "name": "mnt"}),
        ("device", {"action": "updated", "config": dict(disk, path="/srv"), "name": "mnt"}),
        ("config", {"key": "user.role", "old_value": "backend", "value": ""}),
        ("device", {"action": "removed", "config": dict(disk, path="/srv"), "name": "mnt"}),
    ]


class Curl:
    """curl -N. When it is made it listens."""

    def __init__(self, daemon, guest, path="/1.0/events", *options):
        n = listeners(daemon, guest)
        # It prints the header together with the first byte of the body.
        self.child = guest.popen(["curl", "-sNi", *options, "--unix-socket", "/dev/lxd/sock",
                                  f"http://lxd{path}"])
        self.buffer = b""
        self.header = None
        wait_until(lambda: listeners(daemon, guest) == n + 1, "curl to listen")

    def _line(self):
        while b"\n" not in self.buffer:
            assert select.select([self.child.stdout], [], [], SECONDS)[0], self.buffer
            piece = self.child.stdout.buffer.raw.read(65536)
            assert piece, f"ended: {self.buffer}"
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return (line + b"\n").decode()

    def line(self):
        if self.header is None:
            self.header = []
            while line := self._line().strip():
                self.header.append(line)
        return self._line()

    def end(self):
        """Exit status once it has ended by itself; no event must have come."""
        status = self.child.wait(SECONDS)
        rest = self.buffer + self.child.stdout.buffer.read()
        assert rest.partition(b"\r\n\r\n")[2] == b"", rest
        return status


@pytest.mark.parametrize("options", [[], ["--http1.0"]], ids=["1.1", "1.0"])
def test_curl(daemon, guest, options):
    lines = Curl(daemon, guest, "/1.0/events", *options)
    expected = changes(daemon, guest)
    assert [strip(lines.line()) for _ in expected] == expected
    assert lines.header[0].endswith("200 OK")
    assert {"Content-Type: application/json", "X-Content-Type-Options: nosniff"} <= set(lines.header)
    assert ("Transfer-Encoding: chunked" in lines.header) == (not options)


@pytest.mark.parametrize("query, types", [
    ("?type=config", {"config"}), ("?type=device", {"device"}), ("?type=", {"config", "device"}),
    ("?type=config%2Cdevice", {"config", "device"}), ("?type=config,device", {"config", "device"}),
    ("?type=nope,device", {"device"}), ("?x=1", {"config", "device"}),
])
def test_types(daemon, guest, query, types):
    lines = Curl(daemon, guest, f"/1.0/events{query}")
    expected = [event for event in changes(daemon, guest) if event[0] in types]
    assert [strip(lines.line()) for _ in expected] == expected


def test_only_unknown_types(daemon, guest):
    lines = Curl(daemon, guest, "/1.0/events?type=nope")
    changes(daemon, guest)
    daemon.record(guest.name, config={"security.devlxd": "false"}, match={"cgroup": guest.cgroup.path})
    assert lines.end() == 0


def test_bad_query(guest):
    assert guest.curl("/1.0/events?type=%zz")[0] == 400


def test_websocket_client(daemon, guest, inside):
    """python3-websockets, which sends an Origin only when told to."""
    inside.run("""
import asyncio, websockets
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
def wait(what):
    return loop.run_until_complete(asyncio.wait_for(what, 20))
async def connect_to(path, **options):
    return await websockets.unix_connect("/dev/lxd/sock", "ws://lxd" + path, **options)
w = wait(connect_to("/1.0/events?type=config%2Cdevice"))
""")
    expected = changes(daemon, guest)
    assert [strip(inside("wait(w.recv())")) for _ in expected] == expected
    inside.run("wait(wait(w.ping()))")
    inside.run("wait(w.close())")
    assert inside("w.close_code") == 1000
    inside.run("w = wait(connect_to('/1.0/events', origin='http://lxd'))")
    inside.run("wait(w.send('hello'))")
    inside.run("wait(w.wait_closed())")
    assert inside("w.close_code") == 1003
    assert inside("""[type(wait(asyncio.gather(connect_to('/1.0/events', origin=o),
                      return_exceptions=True))[0]).__name__ for o in ('http://evil', 'null')]""") \
        == ["InvalidStatusCode"] * 2


def test_websocket_lines(daemon, guest, inside):
    inside.run("s = ws()")
    assert inside("next_frame(s)") == (9, b"")
    expected = changes(daemon, guest)
    assert [strip(inside("text(s)")) for _ in expected] == expected


def test_handshake(inside):
    head = inside("shake()[2]").split("\r\n")
    assert head[0] == "HTTP/1.1 101 Switching Protocols"
    assert {"Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="} <= set(head)
    for changes_, status in [
            ("Connection='keep-alive, uPGRADE'", 101), ("Connection='keep-alive'", 400),
            ("Connection=None", 400), ("Sec_WebSocket_Version='8'", 400),
            ("Sec_WebSocket_Version=None", 400), ("Sec_WebSocket_Key=None", 400),
            ("Sec_WebSocket_Key='dGhlIHNhbXBsZSBub25jZQ'", 400),
            ("Sec_WebSocket_Key='AAAA'", 400), ("Upgrade='WebSocket'", 200), ("Upgrade='h2c'", 200),
            ("Upgrade=None", 200), ("Origin='http://lxd'", 101), ("Origin='ws://LXD:8443'", 101),
            ("Origin='http://other'", 403), ("Origin='file://lxd'", 403), ("Origin='null'", 403),
            ("Host='lxd:80', Origin='http://lxd:80'", 101), ("Host='lxd:80', Origin='http://lxd'", 403),
    ]:
        assert inside(f"shake({changes_})[1]") == status, changes_
    assert inside("get('/1.0/events', SHAKE, version='1.0')[1]") == 400


def test_head_and_methods(daemon, guest, inside):
    assert inside("get('/1.0/events', {}, 'HEAD')[1]") == 200
    assert inside("shake(Connection=None)[1]") == 400
    for method in "POST", "PUT", "DELETE":
        done = guest.curl("/1.0/events", "-X", method)
        assert done == (501, "Not Implemented\n")
    assert daemon.admin("GET", f"/1.0/instances/{guest.name}")[1]["event_listeners"] == 0


@pytest.mark.parametrize("pieces, code", [
    ("frame(9, b'hi'), frame(8, struct.pack('>H', 1000))", 1000),
    ("frame(8)", 0),
    ("frame(8, struct.pack('>H', 4321) + b'why')", 4321),
    ("frame(8, b'x')", 1002),
    ("frame(8, struct.pack('>H', 1005))", 1002),
    ("frame(10, b'unasked'), frame(8)", 0),
    ("frame(1, b'hello')", 1003),
    ("frame(2, b'')", 1003),
    ("frame(0, b'')", 1003),
    ("frame(1, b'he', fin=0), frame(0, b'llo')", 1003),
    ("frame(1, length=1 << 62)", 1003),
    ("frame(2, length=1 << 20)[:2]", 1003),
    ("frame(1, b'hello', mask=False)", 1002),
    ("frame(9, b'hello', mask=False)", 1002),
    ("frame(3)", 1002), ("frame(11)", 1002), ("frame(15)", 1002),
    ("frame(9, rsv=4)", 1002), ("frame(1, rsv=1)", 1002),
    ("frame(9, b'x', fin=0)", 1002),
    ("frame(9, length=126)", 1002),
    ("frame(9, length=65536)", 1002),
])
def test_frames(inside, pieces, code):
    assert inside(f"closed_by({pieces})") == code
    # One byte at a time it is the same.
    assert inside(f"closed_by(*(bytes([b]) for p in ({pieces},) for b in p))") == code


def test_pings_are_answered(inside):
    inside.run("s = ws()")
    assert inside("next_frame(s)") == (9, b"")
    inside.run("s.sendall(frame(9, b'x' * 125))")
    assert inside("next_frame(s)") == (10, b"x" * 125)
    inside.run("s.sendall(frame(9))")
    assert inside("next_frame(s)") == (10, b"")


def test_ping_comes_with_the_request(inside):
    """What follows the handshake in one piece is not lost."""
    inside.run("""
s = connect()
s.sendall(("GET /1.0/events HTTP/1.1\\r\\n" + "".join(f"{k}: {v}\\r\\n" for k, v in SHAKE.items())
           + "\\r\\n").encode() + frame(9, b"early"))
head = b""
while not head.endswith(b"\\r\\n\\r\\n"):
    head += exactly(s, 1)
""")
    assert sorted(inside("[next_frame(s), next_frame(s)]")) == [(9, b""), (10, b"early")]


def listeners(daemon, guest):
    return daemon.admin("GET", f"/1.0/instances/{guest.name}")[1]["event_listeners"]


def test_limit(daemon, guest, inside):
    inside.run(f"all = [get('/1.0/events', {{}})[0] for _ in range({MAX_LISTENERS // 2})] + "
               f"[ws() for _ in range({MAX_LISTENERS // 2})]")
    assert listeners(daemon, guest) == MAX_LISTENERS
    assert f'devlxdfs_event_listeners{{instance="{guest.name}"}} {MAX_LISTENERS}\n' \
        in daemon.admin("GET", "/1.0/metrics")[1]
    status, head = inside("shake()[1:]")
    assert status == 429 and "Retry-After: " in head
    assert guest.curl("/1.0/events") == (429, "Too many event listeners\n")
    assert "too many event listeners" in daemon.log()
    # Clients that vanish, and ones that say goodbye to half of their connection.
    inside.run(f"for s in all[1::2]: s.close()")
    wait_until(lambda: listeners(daemon, guest) == MAX_LISTENERS // 2, "places to be free")
    inside.run("for s in all[0::2]: s.shutdown(socket.SHUT_WR)")
    wait_until(lambda: listeners(daemon, guest) == MAX_LISTENERS // 4, "the websockets to end")
    daemon.guest_record(guest, {"user.role": "other"})
    assert inside("all[0].recv(4096)").count(b'"user.role"') == 1  # lines go on
    inside.run("for s in all[0::2]: s.close()")
    wait_until(lambda: listeners(daemon, guest) == 0, "places to be free")
    wait_until(lambda: daemon.admin("GET", f"/1.0/instances/{guest.name}")[1]["connections"] == 0,
               "connections to be gone")


@pytest.mark.parametrize("end", ["devlxd", "socket", "match", "delete"])
def test_may_not_listen_any_more(daemon, guest, inside, end):
    """Both ways end at once, and what happens then is not heard."""
    lines = Curl(daemon, guest)
    inside.run("s = ws()")
    if end == "devlxd":
        daemon.guest_record(guest, {"security.devlxd": "false", "user.role": "secret"})
    elif end == "socket":
        daemon.guest_record(guest, {"security.devlxd.socket": "false", "user.role": "secret"})
    elif end == "match":
        daemon.record(guest.name, config={"user.role": "secret"}, match={"cgroup": "/elsewhere"})
    else:
        os.unlink(daemon.record_path(guest.name))
    assert inside("until_close(s)") == 1008
    assert lines.end() == 0


def test_daemon_stops(daemon, guest, inside):
    lines = Curl(daemon, guest)
    inside.run("s = ws()")
    start = time.monotonic()
    daemon.stop()
    assert time.monotonic() - start < 10
    assert inside("until_close(s)") == 1001
    assert lines.end() == 0


def test_slow_reader(daemon, guest, inside, new_guest):
    """Who never reads is dropped; another guest hears of its changes meanwhile."""
    other = new_guest("web2", mapped=True)
    daemon.guest_record(other, {"user.n": "0"})
    other.attach(daemon)
    lines = Curl(daemon, other)
    inside.run("s, t = ws(), get('/1.0/events', {})[0]")
    for n in range(1, 100):
        daemon.guest_record(guest, {"user.large": f"{n}" + "x" * 3000})
        daemon.guest_record(other, {"user.n": f"{n}"})
        start = time.monotonic()
        assert strip(lines.line())[1]["value"] == f"{n}"
        assert time.monotonic() - start < 5
    wait_until(lambda: listeners(daemon, guest) == 0, "slow readers to be dropped")
    assert inside("until_close(s)") in (None, 1008)


class HostLines:
    """GET /1.0/events on admin.sock."""

    def __init__(self, daemon, query=""):
        connection = UnixConnection(daemon.admin_sock, timeout=SECONDS)
        connection.request("GET", f"/1.0/events{query}")
        self.reply = connection.getresponse()
        assert self.reply.status == 200

    def event(self):
        event = json.loads(self.reply.readline())
        return event["type"], event["metadata"], event.get("instance")


@pytest.mark.parametrize("values", [False, True])
def test_host_listens(daemon, guest, values):
    lines = HostLines(daemon, "?values=1" if values else "")
    daemon.guest_record(guest, {"user.role": "backend"})
    kind, metadata, instance = lines.event()
    assert kind == "config" and metadata["key"] == "user.role" and guest.name in json.dumps(
        [metadata, instance])
    assert ("backend" in json.dumps(metadata)) == values
    assert lines.event()[1]["action"] == "instance-updated"
    os.unlink(daemon.record_path(guest.name))
    assert lines.event()[1]["action"] == "instance-deleted"
    assert guest.curl("/1.0")[0] in (403, 500)


def test_host_hears_of_refusals(daemon, guest, inside):
    lines = HostLines(daemon, "?type=lifecycle")
    inside.run(f"all = [ws() for _ in range({MAX_LISTENERS})]")
    assert inside("shake()[1]") == 429
    kind, metadata, _ = lines.event()
    assert (kind, metadata["action"]) == ("lifecycle", "limit-reached"), metadata
    assert guest.run(["curl", "-s", "--unix-socket", "/dev/lxd/sock", "x/1.0"], uid=1000).returncode == 0
    kind, metadata, _ = lines.event()
    assert (kind, metadata["action"]) == ("lifecycle", "identity-refused"), metadata


def test_host_is_told_what_it_missed(daemon, guest):
    """It reads nothing while more happens than is kept, and goes on behind that."""
    lines = HostLines(daemon, "?values=1&type=config")
    for letter in "abcd":
        daemon.guest_record(guest, {f"user.{n}": letter * 25000 for n in range(200)})
    daemon.guest_record(guest, {"user.last": "1"})
    n_lost = n_seen = 0
    while True:
        event = json.loads(lines.reply.readline())
        if event["type"] == "lost":
            n_lost += event["metadata"]["events"]
            continue
        n_seen += 1
        if event["metadata"]["key"] == "user.last":
            break
    assert n_lost > 0 and n_seen > 100
