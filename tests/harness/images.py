# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of a daemon under test, written into its state directory as the command leaves them."""

import hashlib
import json
import os
import shutil
import time

from account import ID

SUFFIXES = (".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar.lzma", ".tar", ".squashfs", ".qcow2")


def directory_of(daemon, fingerprint, *names):
    return os.path.join(daemon.dirs["state"], "images", fingerprint, *names)


def _give(path, mode):
    os.chown(path, -1, ID)
    os.chmod(path, mode)


def load(daemon):
    """Has the daemon look; its answer."""
    status, answer = daemon.admin("POST", "/1.0/images/load")
    assert status == 200, answer
    return answer


def describe(daemon, fingerprint, **members):
    """Writes image.json anew with these members changed."""
    path = directory_of(daemon, fingerprint, "image.json")
    with open(path) as file:
        description = dict(json.load(file), **members)
    with open(path + ".new", "w") as file:
        json.dump(description, file)
    _give(path + ".new", 0o640)
    os.rename(path + ".new", path)
    if daemon.process:
        load(daemon)


def make_image(daemon, parts, public=True, cached=False, aliases=(), type="container"):
    """@parts: {name: bytes or the path of a file}, metadata first. Its fingerprint."""
    fingerprint = hashlib.sha256()
    contents = {}
    for name, part in parts.items():
        if not isinstance(part, bytes):
            with open(part, "rb") as file:
                part = file.read()
        contents[name] = part
        fingerprint.update(part)
    fingerprint = fingerprint.hexdigest()
    directory = directory_of(daemon, fingerprint)
    os.makedirs(directory, exist_ok=True)
    for path in os.path.dirname(directory), directory:
        _give(path, 0o2750)
    described = []
    for name, part in contents.items():
        path = os.path.join(directory, name)
        with open(path, "wb") as file:
            file.write(part)
        _give(path, 0o640)
        suffix = next((s for s in SUFFIXES if name.endswith(s)), "")
        described.append({"name": name, "suffix": suffix, "size": len(part),
                          "mtime_ns": os.stat(path).st_mtime_ns})
    with open(os.path.join(directory, "image.json"), "w") as file:
        json.dump({"fingerprint": fingerprint, "type": type, "public": public, "cached": cached,
                   "aliases": list(aliases), "parts": described,
                   "imported_ns": time.time_ns()}, file)
    _give(os.path.join(directory, "image.json"), 0o640)
    if daemon.process:
        load(daemon)
    return fingerprint


def remove_image(daemon, fingerprint):
    shutil.rmtree(directory_of(daemon, fingerprint))
    load(daemon)
