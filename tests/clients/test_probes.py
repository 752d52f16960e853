# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that only look whether the socket is there."""

import json
import shutil

from here import cannot


def test_shell_probes(guest):
    guest.run(["sh", "-ec", "[ -e /dev/lxd/sock ]; [ -S /dev/lxd/sock ]; [ -d /dev/lxd ]; "
                            "[ ! -L /dev/lxd/sock ]"])
    guest.run(["sh", "-ec", "[ -S /dev/lxd/sock ]"], uid=1000)  # prompts of everybody


def test_ohai_sees_lxd(guest):
    if not shutil.which("ohai"):
        cannot("needs the package ohai")
    seen = json.loads(guest.run(["ohai", "virtualization"], env={
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}).stdout)
    assert (seen["system"], seen["role"]) == ("lxd", "guest")
