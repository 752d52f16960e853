# SPDX-License-Identifier: GPL-2.0-or-later
"""Images in the daemon's store, written as an import leaves them."""

import hashlib
import json
import os
import shutil
import time

from account import ID

SUFFIXES = (".tar.bz2", ".tar.gz", ".tar.xz", ".tar.lzma", ".tar.zst", ".tar", ".squashfs",
            ".qcow2")


def _suffix_of(name):
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def _directory(path):
    os.makedirs(path, exist_ok=True)
    os.chown(path, 0, ID)
    os.chmod(path, 0o2750)
    return path


def _write(path, data):
    """For the group to read; how it is described."""
    with open(path, "wb") as file:
        file.write(data)
    os.chown(path, 0, ID)
    os.chmod(path, 0o640)
    return {"name": os.path.basename(path), "suffix": _suffix_of(path), "size": len(data),
            "mtime_ns": os.stat(path).st_mtime_ns}


def image_path(daemon, *names):
    return os.path.join(daemon.dirs["state"], "images", *names)


def load_images(daemon):
    """Has a daemon that runs look at them; its answer."""
    if not daemon.process:
        return None
    status, answer = daemon.admin("POST", "/1.0/images/load")
    assert status == 200, answer
    return answer


def describe_image(daemon, fingerprint, /, **members):
    """Changes what its image.json says."""
    path = image_path(daemon, fingerprint, "image.json")
    said = {}
    if os.path.exists(path):
        with open(path) as file:
            said = json.load(file)
    _write(path + ".new", json.dumps(said | members).encode())
    os.rename(path + ".new", path)
    load_images(daemon)


def make_image(daemon, parts, public=True, cached=False, vm=False, aliases=()):
    """An image of one part, or of metadata and root file system, {name: bytes}; its fingerprint."""
    digest = hashlib.sha256()
    for data in parts.values():
        digest.update(data)
    fingerprint = digest.hexdigest()
    _directory(image_path(daemon))
    _directory(image_path(daemon, fingerprint))
    described = [_write(image_path(daemon, fingerprint, name), data)
                 for name, data in parts.items()]
    describe_image(daemon, fingerprint, fingerprint=fingerprint, parts=described, public=public,
                   cached=cached, type="virtual-machine" if vm else "container",
                   aliases=list(aliases), imported_ns=time.time_ns())
    return fingerprint


def remove_image(daemon, fingerprint):
    shutil.rmtree(image_path(daemon, fingerprint))
    load_images(daemon)
