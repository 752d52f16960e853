# SPDX-License-Identifier: GPL-2.0-or-later
"""The script that people copy: acts at once, then on each change of its key, in any small shell."""

import os
import select

import pytest

from daemon import START_SECONDS
from here import HARNESS, cannot

EXAMPLE = os.path.join(HARNESS, "..", "..", "examples", "watch", "reload-on-change.sh")


def lines_of(child):
    def line():
        assert select.select([child.stdout], [], [], START_SECONDS)[0], "nothing was done"
        return child.stdout.readline()

    return line


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"]], ids=["dash", "busybox"])
def test_acts_on_each_change_of_its_key(daemon, new_guest, shell):
    guest = new_guest("web1", mapped=True)
    if guest.run(["which", shell[0]], check=False).returncode:
        cannot(f"there is no {shell[0]}")
    daemon.guest_record(guest, {"user.role": "1"})
    guest.attach_tree(daemon)
    with open(EXAMPLE) as script:
        text = script.read()
    act = "cat /dev/lxd/config/user.role 2>/dev/null || echo -n none; echo"
    child = guest.popen([*shell, "-c", text, "reload", "user.role", "sh", "-c", act], bufsize=1)
    line = lines_of(child)
    assert line() == "1\n"
    for n in range(2, 6):
        daemon.guest_record(guest, {"user.role": str(n), "user.other": str(n)})
        assert line() == f"{n}\n"
        daemon.guest_record(guest, {"user.role": str(n), "user.other": f"{n}+"})  # nobody acts
    daemon.guest_record(guest, {})
    assert line() == "none\n"
    child.kill()
