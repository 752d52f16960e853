# SPDX-License-Identifier: GPL-2.0-or-later
"""Other programs' bytes: http.client (ubuntu-pro-client), the Go libraries of LXD and Incus, socat."""

import json
import re

import pytest

HTTP_CLIENT = r"""
import http.client, json, socket, sys

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/dev/lxd/sock")

answers = []
for method, path in (("GET", "/1.0/ubuntu-pro"), ("POST", "/1.0/ubuntu-pro/token")):
    connection = Connection("localhost")
    connection.request(method, path)
    reply = connection.getresponse()
    answers.append([reply.status, reply.headers["Content-Type"], reply.read().decode()])
keep = Connection("localhost")
for path in ("/1.0/config/user.role", "/1.0/config/user.none", "/1.0/config/user.role"):
    keep.request("GET", path)  # one connection
    reply = keep.getresponse()
    answers.append([reply.status, reply.headers["Content-Type"], reply.read().decode()])
print(json.dumps(answers))
"""


def test_pro_client(guest):
    off, token, *kept = guest.python(HTTP_CLIENT)
    assert off[:2] == [200, "application/json"] and json.loads(off[2]) == {"guest_attach": "off"}
    assert token[0] == 403
    raw, text = "application/octet-stream; charset=utf-8", "text/plain; charset=utf-8"
    assert kept == [[200, raw, "frontend"], [404, text, "Not Found\n"], [200, raw, "frontend"]]


def send(guest, request):
    """The raw reply to raw bytes; the sending side is shut as soon as they are sent."""
    return guest.run(["socat", "-t10", "-", "UNIX-CONNECT:/dev/lxd/sock"],
                     input=request.encode(), text=False).stdout.decode()


@pytest.mark.parametrize("host", ["", "Host: lxd\r\n"])
def test_http_1_0(guest, host):
    """printf | socat: no Host, and the client has shut its side before the answer comes."""
    head, _, body = send(guest, f"GET /1.0/config/user.role HTTP/1.0\r\n{host}\r\n") \
        .partition("\r\n\r\n")
    assert re.match(r"HTTP/1\.[01] 200 OK\r\n", head) and body == "frontend"


def test_half_close_with_keep_alive(guest):
    answer = send(guest, "GET /1.0/config/user.role HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert answer.count("frontend") == 3


@pytest.mark.parametrize("agent", ["devlxd", "Go-http-client/1.1"])
@pytest.mark.parametrize("path", ["/1.0", "/1.0/config", "/1.0/config/user.role", "/1.0/devices",
                                  "/1.0/meta-data"])
def test_go_client(guest, agent, path):
    """What ConnectDevLXD() sends; anything but 200 is an error to it, JSON must parse."""
    head, _, body = send(guest, f"GET {path} HTTP/1.1\r\nHost: lxd\r\nUser-Agent: {agent}\r\n"
                                "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n") \
        .partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Connection: close" in head
    assert "Content-Encoding" not in head
    assert f"Content-Length: {len(body)}" in head
    if "Content-Type: application/json" in head:
        json.loads(body)


def test_go_client_state(guest):
    body = '{"state":"Ready"}\n'
    answer = send(guest, "PATCH /1.0 HTTP/1.1\r\nHost: lxd\r\nUser-Agent: devlxd\r\n"
                         f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n"
                         f"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n{body}")
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    root = json.loads(guest.curl("/1.0")[1])
    assert root == {"state": "Ready", "api_version": "1.0", "instance_type": "container",
                    "location": root["location"], "auth": "untrusted",
                    "supported_storage_drivers": []}


@pytest.mark.parametrize("allowed, status", [("false", 403), ("true", 404)])
def test_nested_image_download(guest, daemon, allowed, status):
    """lxc and incus inside the guest ask here first and go to the network after any JSON error."""
    daemon.guest_record(guest, {"security.devlxd.images": allowed})
    answered, body = guest.curl(f"/1.0/images/{'ab' * 32}/export")
    assert answered == status
    error = json.loads(body)
    assert error["type"] == "error" and error["error_code"] == status


def test_incus_test_client(guest):
    assert json.loads(guest.curl("/", "-H", "Host: meshuggah-rocks")[1])[0] == "/1.0"


def test_uplink_empty_host(guest):
    """Elixir's Req for http:///1.0/...: an empty Host."""
    answer = send(guest, "GET /1.0/config/user.role HTTP/1.1\r\nhost: \r\nconnection: close\r\n\r\n")
    assert answer.endswith("\r\n\r\nfrontend")
