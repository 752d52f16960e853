# SPDX-License-Identifier: GPL-2.0-or-later
"""Images over the socket, as curl, Python's parser of forms and nested LXD take them."""

import email.parser
import email.policy
import email.utils
import hashlib
import json
import os
import time

import pytest

from images import describe_image, image_path, make_image, remove_image

SIZE = (5 << 20) + 7
LXD_FORM = "multipart/form-data"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def path_of(fingerprint):
    return f"/1.0/images/{fingerprint}/export"


@pytest.fixture
def guest(daemon, new_guest):
    guest = new_guest("web1", mapped=True)
    daemon.guest_record(guest, {"security.devlxd.images": "true"})
    return guest.attach(daemon)


@pytest.fixture
def data():
    return os.urandom(SIZE)


@pytest.fixture
def fingerprint(daemon, data):
    return make_image(daemon, {"image.tar.gz": data})


def fetch(guest, path, *options, check=True):
    """(status, headers, body) of the last reply that curl got."""
    done = guest.run(["curl", "-s", "-i", "--unix-socket", "/dev/lxd/sock", *options,
                      f"http://lxd{path}"], text=False, check=check)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def is_error(body, status):
    error = json.loads(body)
    return error["type"] == "error" and error["error_code"] == status


def test_unified(guest, daemon, data, fingerprint):
    status, headers, body = fetch(guest, path_of(fingerprint))
    assert status == 200
    assert sha256(body) == fingerprint
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == f"inline;filename={fingerprint}.tar.gz"
    assert headers["Content-Length"] == str(SIZE)
    assert headers["Accept-Ranges"] == "bytes"
    mtime = os.stat(image_path(daemon, fingerprint, "image.tar.gz")).st_mtime
    assert headers["Last-Modified"] == email.utils.formatdate(int(mtime), usegmt=True)


def test_head(guest, data, fingerprint):
    status, headers, body = fetch(guest, path_of(fingerprint), "--head")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == str(SIZE)
    # The connection goes on: nothing of the body is in it.
    assert guest.python(r"""
import hashlib, http.client, json, socket, sys
connection = http.client.HTTPConnection("lxd")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/dev/lxd/sock")
connection.auto_open = False
digests = []
for method in "HEAD", "GET", "HEAD", "GET":
    connection.request(method, sys.argv[1])
    digests.append(hashlib.sha256(connection.getresponse().read()).hexdigest())
print(json.dumps(digests))
""", path_of(fingerprint)) == [sha256(b""), fingerprint] * 2


@pytest.mark.parametrize("wanted, first, end", [
    ("0-0", 0, 1), ("5-9", 5, 10), (f"{SIZE - 1}-", SIZE - 1, SIZE), ("-7", SIZE - 7, SIZE),
    ("1000000-3999999", 1000000, 4000000), (f"4000000-{SIZE * 2}", 4000000, SIZE)])
def test_range(guest, data, fingerprint, wanted, first, end):
    status, headers, body = fetch(guest, path_of(fingerprint), "--range", wanted)
    assert status == 206
    assert body == data[first:end]
    assert headers["Content-Range"] == f"bytes {first}-{end - 1}/{SIZE}"
    assert headers["Content-Length"] == str(end - first)


def test_range_that_is_not_there(guest, fingerprint):
    status, headers, body = fetch(guest, path_of(fingerprint), "--range", f"{SIZE}-")
    assert status == 416 and is_error(body, 416)
    assert headers["Content-Range"] == f"bytes */{SIZE}"


def test_several_ranges_are_the_whole(guest, data, fingerprint):
    status, headers, body = fetch(guest, path_of(fingerprint), "--range", "0-1,5-6")
    assert status == 200 and body == data
    assert "Content-Range" not in headers


def test_resume(guest, data, fingerprint):
    """What curl -C - asks for when it was interrupted."""
    guest.run(["dd", "of=/tmp/half"], input=data[:3000000], text=False)
    guest.run(["curl", "-s", "-f", "-C", "-", "-o", "/tmp/half", "--unix-socket", "/dev/lxd/sock",
               f"http://lxd{path_of(fingerprint)}"])
    assert guest.run(["sha256sum", "/tmp/half"]).stdout.split()[0] == fingerprint


def test_conditions(guest, data, fingerprint):
    def ask(*headers):
        options = [word for header in headers for word in ("--header", header)]
        return fetch(guest, path_of(fingerprint), *options)

    date = fetch(guest, path_of(fingerprint), "--head")[1]["Last-Modified"]
    later = email.utils.formatdate(time.time() + 1000, usegmt=True)
    earlier = email.utils.formatdate(time.time() - 1000, usegmt=True)
    for same_or_later in date, later:
        status, headers, body = ask(f"If-Modified-Since: {same_or_later}")
        assert (status, body) == (304, b"")
        assert headers["Last-Modified"] == date
    status, _, body = ask(f"If-Unmodified-Since: {earlier}")
    assert status == 412 and is_error(body, 412)
    for header in f"If-Modified-Since: {earlier}", f"If-Unmodified-Since: {date}":
        assert ask(header)[::2] == (200, data)
    assert ask("Range: bytes=5-9", f"If-Range: {date}")[::2] == (206, data[5:10])
    assert ask("Range: bytes=5-9", f"If-Range: {earlier}")[::2] == (200, data)
    assert ask("Range: bytes=5-9", 'If-Range: "tag"')[::2] == (200, data)


@pytest.mark.parametrize("vm, suffix", [(False, "squashfs"), (True, "qcow2")])
def test_split(guest, daemon, vm, suffix):
    metadata, rootfs = b"\r\n--" + os.urandom(70000), os.urandom(SIZE)
    fingerprint = make_image(daemon, {"metadata.tar.xz": metadata, f"rootfs.{suffix}": rootfs},
                             public=False, cached=True, vm=vm)
    status, headers, body = fetch(guest, path_of(fingerprint))
    assert status == 200
    assert headers["Content-Length"] == str(len(body))
    assert "Last-Modified" not in headers and "Accept-Ranges" not in headers
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
    assert message.get_content_type() == LXD_FORM and not message.defects
    parts = list(message.iter_parts())
    assert [(part.get_param("name", header="content-disposition"), part.get_filename(),
             part.get_content_type()) for part in parts] == [
        ("metadata", f"meta-{fingerprint}.tar.xz", "application/octet-stream"),
        ("rootfs.img" if vm else "rootfs", f"{fingerprint}.{suffix}", "application/octet-stream")]
    # By the lengths: the parser of mail mends line ends.
    boundary = message.get_boundary().encode()
    start = body.index(b"\r\n\r\n") + 4
    assert body[start:].startswith(metadata + b"\r\n--" + boundary)
    tail = b"\r\n--" + boundary + b"--\r\n"
    assert body.endswith(rootfs + tail)
    assert sha256(metadata + rootfs) == fingerprint
    # A part of it cannot be had, so all of it is sent; a header alone can.
    status, headers, again = fetch(guest, path_of(fingerprint), "--range", "0-9")
    assert (status, len(again)) == (200, len(body))
    status, headers, nothing = fetch(guest, path_of(fingerprint), "--head")
    assert (status, headers["Content-Length"], nothing) == (200, str(len(body)), b"")


def raw(guest, path):
    """(status, body) for a path that curl would not send so."""
    return guest.python(r"""
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/dev/lxd/sock")
s.sendall(b"GET " + sys.argv[1].encode() + b" HTTP/1.0\r\n\r\n")
reply = b""
while piece := s.recv(65536):
    reply += piece
head, _, body = reply.partition(b"\r\n\r\n")
print(json.dumps([int(head.split()[1]), body.decode("latin-1")]))
""", path)


def test_fingerprints(guest, daemon, fingerprint):
    """What is hidden, what is not there and what is no fingerprint are the same answer."""
    hidden = make_image(daemon, {"image.tar": b"hidden"}, public=False)
    _, expected = raw(guest, path_of("f" * 64))
    assert is_error(expected, 404)
    for name in (hidden, "0", "abc", fingerprint[:12], fingerprint[:-1], fingerprint + "0",
                 fingerprint.upper().replace("1", "A"), fingerprint + "%2fimage.tar.gz",
                 f"%2e%2e%2fimages%2f{fingerprint}", "...", ".image.json", fingerprint + ".",
                 fingerprint + "%20", fingerprint + "%0d%0a", "%F0%9F%92%A9", "x" * 10000):
        assert raw(guest, path_of(name)) == [404, expected], name
    for query in "project=other", "project=Default", "project=default%20", "project=%zz":
        assert raw(guest, f"{path_of(fingerprint)}?{query}") == [404, expected], query
    for name in ".", "..", "%2e", "%2e%2e", fingerprint + "%00", fingerprint + "%g":
        assert raw(guest, path_of(name))[0] == 400, name
    # Nor are there ways to the file itself.
    for path in (f"/1.0/images/{fingerprint}", "/1.0/images", path_of(fingerprint) + "/x",
                 f"/1.0/images/{fingerprint}/image.tar.gz", f"/1.0/images/x/{fingerprint}/export"):
        assert raw(guest, path)[0] == 404, path


@pytest.mark.parametrize("query", ["", "?project=", "?project=default", "?secret=x"])
def test_good_queries(guest, fingerprint, query):
    digits = "%" + f"{ord(fingerprint[0]):02x}" + fingerprint[1:]
    for name in fingerprint, digits:
        assert sha256(fetch(guest, path_of(name) + query)[2]) == fingerprint


@pytest.mark.parametrize("agent", ["LXD 5.0.2", "Incus 6.0.4"])
def test_nested_managers(guest, daemon, fingerprint, agent):
    """Their request, and what they read of the answer: the name from Content-Disposition."""
    status, headers, body = fetch(guest, path_of(fingerprint), "-A", agent,
                                  "-H", "Host: unix.socket")
    assert status == 200
    name = headers["Content-Disposition"].partition("filename=")[2]
    assert name.partition(".")[0] == sha256(body)
    daemon.guest_record(guest, {})
    status, _, body = fetch(guest, path_of(fingerprint), "-A", agent)
    assert status == 403 and is_error(body, 403)


def test_changes_count_at_once(guest, daemon, fingerprint):
    def statuses():
        return fetch(guest, path_of(fingerprint))[0], fetch(guest, path_of(fingerprint), "-I")[0]

    assert statuses() == (200, 200)
    describe_image(daemon, fingerprint, public=False)
    assert statuses() == (404, 404)
    describe_image(daemon, fingerprint, cached=True)
    assert statuses() == (200, 200)
    for key, value in (("security.devlxd", "false"), ("security.devlxd.socket", "false"),
                       ("security.devlxd.images", "false")):
        daemon.guest_record(guest, {"security.devlxd.images": "true", key: value})
        assert statuses() == (403, 403)
    daemon.guest_record(guest, {"security.devlxd.images": "true"})
    assert statuses() == (200, 200)
    remove_image(daemon, fingerprint)
    assert statuses() == (404, 404)
