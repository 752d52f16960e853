# SPDX-License-Identifier: GPL-2.0-or-later
"""An imported record answers as LXD's own socket does, byte for byte: the container asks both."""

import dataclasses
import json
import socket
import urllib.parse

import pytest

from lxd_fixtures import give, lxd  # noqa: F401 (fixtures)

pytestmark = pytest.mark.xdist_group("lxd-answers")

CONFIG = {"user.role": "frontend", "user.percent": "100%d %s", "user.a/b": "slash",
          "user.utf8": "gr\u00fc\u00df", "user.lines": "one\n\ntwo\n", "user.large": "x" * 70000,
          "user.meta-data": "x: y\n", "user.vendor-data": "no YAML",
          "cloud-init.user-data": "#cloud-config\npackages: [jq]\n", "security.nesting": "true"}
PATHS = ["/", "/1.0", "/1.0/config", "/1.0/meta-data", "/1.0/devices", "/1.0/config/user.none",
         "/1.0/config/cloud-init.none", "/1.0/config/limits.cpu", "/1.0/config/user.a/b",
         "/1.0/config/user.a%2Fb", "/1.0/config/user.ro%6ce", "/1.0/config/user.role?x=y",
         "/1.0/images/0123/export", "/1.0/nothing", "/1.0/config/user.role/", "/2.0"]
# Asks each of two sockets each request, and reads files; prints what it got.
ASK = r"""
import json, socket, sys
def ask(path, request):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(request.encode())
    data = b""
    while more := s.recv(65536):
        data += more
    return data.decode("latin-1")
what = json.load(open(0))
print(json.dumps([[ask(path, request) for path in what["sockets"]] for request in what["requests"]]
                 if "requests" in what else
                 [open(path, "rb").read().decode("latin-1") for path in what["files"]]))
"""


@dataclasses.dataclass
class Answer:
    status: str
    headers: dict  # without Date
    body: str      # of latin-1: bytes

    @classmethod
    def of(cls, text):
        head, _, body = text.partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines), "a header is there twice"
        assert headers.pop("Date").endswith(" GMT")
        return cls(status, headers, body)

    def set_body(self, body):
        self.body = body
        self.headers["Content-Length"] = str(len(body))


def sorted_list(theirs):
    theirs.set_body(json.dumps(sorted(json.loads(theirs.body)), separators=(",", ":")) + "\n")


def with_charset(theirs):
    theirs.headers["Content-Type"] += "; charset=utf-8"


def with_length(theirs):
    """Out of one chunk."""
    del theirs.headers["Transfer-Encoding"]
    size, _, rest = theirs.body.partition("\r\n")
    theirs.set_body(rest[:int(size, 16)])
    assert rest[int(size, 16):] == "\r\n0\r\n\r\n"


def reason_phrase(theirs):
    theirs.set_body(theirs.status.split(" ", 2)[2] + "\n")


def envelope(theirs):
    theirs.headers["Content-Type"] = "application/json"
    theirs.set_body('{"type":"error","status":"","status_code":0,"operation":"","error_code":403,'
                    '"error":"Forbidden","metadata":null}\n\n')


def newer_members(theirs):
    ours = json.loads(theirs.body)
    assert ours["state"] == "" and ours["location"] == "none"
    ours |= {"state": "Started", "location": socket.gethostname(), "auth": "untrusted",
             "supported_storage_drivers": []}
    theirs.set_body(json.dumps(ours, separators=(",", ":")) + "\n")


def without_comment(theirs):
    first, _, rest = theirs.body.partition("\n")
    assert first == "#cloud-config"
    theirs.set_body(rest)


def without_our_device(theirs):
    ours = json.loads(theirs.body)
    del ours["files"]
    theirs.set_body(json.dumps(ours, separators=(",", ":")) + "\n")


# What is different on purpose: why, of which answers, and what makes ours of LXD's.
DIFFERENCES = [
    ("its order is random there", lambda path, _: path == "/1.0/config", sorted_list),
    ("clients guess the charset, wrongly, where none is said",
     lambda _, a: a.headers["Content-Type"] == "application/octet-stream", with_charset),
    ("Go sends what is large in chunks; the length is known",
     lambda _, a: "Transfer-Encoding" in a.headers, with_length),
    ("5.0's error texts; LXD says the reason phrase since 5.21",
     lambda path, a: "images" not in path and " 200 " not in a.status, reason_phrase),
    ("LXD answers so for images since 5.21, whose clients parse it",
     lambda path, _: "images" in path, envelope),
    ("5.0 knows no state of a guest, and no location outside of a cluster; others are of 6.x",
     lambda path, _: path == "/1.0", newer_members),
    ("5.0's first line of it, which LXD dropped as it is no user-data",
     lambda path, _: path == "/1.0/meta-data", without_comment),
    ("the device was added when the record had been made",
     lambda path, _: path == "/1.0/devices", without_our_device),
]


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n"


def url(key):
    return "/1.0/config/" + urllib.parse.quote(key, safe="")


@pytest.fixture
def container(lxd):  # noqa: F811
    container = lxd.container(config=CONFIG)
    container.add_device("eth0", "nic", nictype="p2p", mtu="1400")
    lxd.lxc("profile", "set", "default", "user.profile=of the profile")
    return container.start()


def ask_both(container, paths):
    """[(path, LXD's answer, ours)]"""
    answers = container.python(ASK, input=json.dumps({
        "sockets": ["/dev/lxd/sock", "/dev/lxd-files/sock"],
        "requests": [request(path) for path in paths]}))
    return [(path, *map(Answer.of, both)) for path, both in zip(paths, answers)]


def import_plainly(daemon, container):
    """As LXD prints it, with its profile; it is recognised by being attached."""
    lxc = container.lxd.lxc
    daemon.ctl("profile", "edit", "default", input=lxc("query", "/1.0/profiles/default"))
    daemon.ctl("import", "-", input=lxc("query", f"/1.0/instances/{container.name}"))
    container.add_device("files", "disk", source=daemon.tree(container.name),
                         path="/dev/lxd-files")
    daemon.ctl("attach", container.name, f"--pid={container.pid}", "--path=/dev/lxd-files")


@pytest.mark.parametrize("way", ["plainly", "as the example does it"])
def test_same_answers(daemon, container, give, way):  # noqa: F811
    import_plainly(daemon, container) if way == "plainly" else give(container)
    keys = container.lxd.query(f"/1.0/instances/{container.name}")["expanded_config"]
    assert {*CONFIG, "user.profile", "volatile.eth0.hwaddr"} <= set(keys)
    used = set()
    for path, theirs, ours in ask_both(container, PATHS + [url(key) for key in keys]):
        if path == "/1.0/devices":
            assert "hwaddr" in json.loads(ours.body)["eth0"]
        for reason, is_concerned, change in DIFFERENCES:
            if is_concerned(path, theirs):
                change(theirs)
                used.add(reason)
        assert ours == theirs, path
    assert used == {reason for reason, _, _ in DIFFERENCES}, "what is no difference any more"


def test_same_in_files(container, give):  # noqa: F811
    """What LXD's socket says of a key is what its file has."""
    give(container)
    listed = json.loads(ask_both(container, ["/1.0/config"])[0][1].body)
    keys = [path.removeprefix("/1.0/config/") for path in listed]
    assert set(keys) == {key for key in CONFIG if key != "security.nesting"} | {"user.profile"}
    names = [key.replace("%", "%25").replace("/", "%2F") for key in keys]
    files = container.python(ASK, input=json.dumps({
        "files": [f"/dev/lxd-files/config/{name}" for name in names]}))
    answers = ask_both(container, [url(key) for key in keys])
    for (path, theirs, _), text in zip(answers, files):
        if "Transfer-Encoding" in theirs.headers:
            with_length(theirs)
        assert text == theirs.body, path
