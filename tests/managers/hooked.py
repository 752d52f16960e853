# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of hooks have in common: how they are called for a daemon, and what they leave."""

import json
import os

from here import BUILD


def command(daemon):
    """The words that begin a command for this daemon."""
    return [f"{BUILD}/hostapi/ctl/devlxdfs", *daemon._dir_options()]


def attached(daemon):
    """The names in the ledger."""
    directory = os.path.join(daemon.dirs["run"], "attached")
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def mounts():
    """What is mounted where, for those who start containers."""
    with open("/proc/self/mountinfo") as lines:
        return sorted(line.split(" ", 2)[2] for line in lines)


def state_of(daemon, name):
    return next(item["state"] for item in json.loads(daemon.ctl("list", "-f", "json"))
                if item["name"] == name)


def serves(container, value):
    return container.cat("config/user.role") == value
