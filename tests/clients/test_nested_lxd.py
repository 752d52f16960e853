# SPDX-License-Identifier: GPL-2.0-or-later
"""LXD in a guest, client and daemon, takes an image from its host and not from who has it."""

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import threading

import pytest

from daemon import START_SECONDS
from here import cannot
from images import make_image

CONFIG = """
default-remote: far
remotes: {far: {addr: "https://127.0.0.1:PORT", protocol: simplestreams, public: true}}
"""
PLACE = "/tmp/client"
NESTED = f"{PLACE}/lxd"
ENVIRONMENT = ("env", f"HOME={PLACE}", f"LXD_CONF={PLACE}", f"LXD_DIR={NESTED}")
PRODUCT = "busybox:1:amd64:default"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.asked.append(self.path)


class FarServer:
    """A public server of images (simplestreams)."""

    def __init__(self, directory):
        self.directory = directory
        self.certificate = os.path.join(directory, "certificate")
        key = os.path.join(directory, "key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=far", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=directory))
        self.server.asked = []
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def write(self, name, what):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(what if isinstance(what, bytes) else json.dumps(what).encode())

    def offer(self, metadata, rootfs):
        """Says that it has them, as one image, and has them."""
        items = {}
        for name, kind, data in (("lxd.tar.xz", "lxd.tar.xz", metadata),
                                 ("root.squashfs", "squashfs", rootfs)):
            items[name] = {"ftype": kind, "path": f"files/{name}", "size": len(data),
                           "sha256": hashlib.sha256(data).hexdigest()}
            self.write(f"files/{name}", data)
        combined = hashlib.sha256(metadata + rootfs).hexdigest()
        items["lxd.tar.xz"]["combined_squashfs_sha256"] = combined
        version = {"items": items}
        self.write("streams/v1/index.json", {
            "format": "index:1.0", "index": {"images": {
                "datatype": "image-downloads", "format": "products:1.0", "products": [PRODUCT],
                "path": "streams/v1/images.json"}}})
        self.write("streams/v1/images.json", {
            "content_id": "images", "datatype": "image-downloads", "format": "products:1.0",
            "products": {PRODUCT: {
                "aliases": "busybox", "arch": "amd64", "os": "busybox", "release": "1",
                "release_title": "1", "variant": "default", "versions": {"20260101": version}}}})


@pytest.fixture(params=["mapped", "privileged"])
def guest(request, daemon, new_guest):
    guest = new_guest("web1", mapped=request.param == "mapped")
    daemon.guest_record(guest)
    return guest.attach(daemon)


@pytest.fixture
def far(tmp_path):
    if not shutil.which("lxc"):
        cannot("needs lxc, of Debian's package lxd-client")
    directory = tmp_path / "far"
    directory.mkdir()
    server = FarServer(str(directory))
    yield server
    server.close()


@pytest.fixture
def lxc(guest, far):
    """lxc in the guest, as root, who knows the far server."""
    guest.run(["mkdir", "-p", f"{PLACE}/servercerts"])
    with open(far.certificate) as certificate:
        guest.run(["dd", f"of={PLACE}/servercerts/far.crt"], input=certificate.read())
    guest.run(["dd", f"of={PLACE}/config.yml"],
              input=CONFIG.replace("PORT", str(far.server.server_port)))

    def run(*args):
        return guest.run([*ENVIRONMENT, "lxc", *args])

    return run


def digests_in(guest, directory):
    """Of the files there."""
    lines = guest.run(["sh", "-c", f"cd {directory} && sha256sum *"]).stdout.splitlines()
    return sorted(line.split()[0] for line in lines)


def digests_of(*parts):
    return sorted(hashlib.sha256(data).hexdigest() for data in parts)


def files_asked(far):
    return [path for path in far.server.asked if "files" in path]


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_client(daemon, guest, far, lxc, allowed):
    """With the flag on, the host's; with it off, the refusal is quick and the far server's."""
    parts = os.urandom(100000), os.urandom(3 << 20)
    far.offer(*parts)
    daemon.guest_record(guest, {"security.devlxd.images": allowed})
    fingerprint = make_image(daemon, dict(zip(("metadata.tar.xz", "rootfs.squashfs"), parts)))
    guest.run(["mkdir", f"{PLACE}/got"])
    lxc("image", "export", f"far:{fingerprint}", f"{PLACE}/got/image")
    assert digests_in(guest, f"{PLACE}/got") == digests_of(*parts)
    assert bool(files_asked(far)) == (allowed == "false"), far.server.asked


def make_metadata():
    text = b"{architecture: x86_64, creation_date: 1, properties: {description: a test's}}"
    member = tarfile.TarInfo("metadata.yaml")
    member.size = len(text)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:xz") as tar:
        tar.addfile(member, io.BytesIO(text))
    return made.getvalue()


@pytest.mark.parametrize("guest", ["privileged"], indirect=True)
def test_daemon(daemon, guest, far, lxc):
    """lxd, which is asked to copy the far server's image, has it in its store afterwards."""
    if not shutil.which("lxd"):
        cannot("needs lxd, of Debian's package of that name")
    parts = make_metadata(), os.urandom(3 << 20)
    far.offer(*parts)
    daemon.guest_record(guest, {"security.devlxd.images": "true"})
    fingerprint = make_image(daemon, dict(zip(("metadata.tar.xz", "rootfs.squashfs"), parts)))
    guest.run(["mkdir", NESTED])
    guest.popen([*ENVIRONMENT, "lxd", "--group", "root", "--logfile", f"{PLACE}/log"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    guest.run([*ENVIRONMENT, "lxd", "waitready", f"--timeout={START_SECONDS}"])
    lxc("image", "copy", f"far:{fingerprint}", "local:")
    assert fingerprint[:12] in lxc("image", "list", "local:").stdout
    assert digests_in(guest, f"{NESTED}/images") == digests_of(*parts)
    assert files_asked(far) == []
