# SPDX-License-Identifier: GPL-2.0-or-later
"""The account that the daemon's worker runs as: here it is one of this mount namespace alone."""

import os
import subprocess
import tempfile

NAME = "devlxdfs"
ID = 61184  # uid and gid; what systemd gives to dynamic users, which nobody else has
LINES = {"/etc/passwd": f"{NAME}:x:{ID}:{ID}::/nonexistent:/usr/sbin/nologin\n",
         "/etc/group": f"{NAME}:x:{ID}:\n"}


def without(text):
    """The lines of text that are of other accounts."""
    return "".join(line for line in text.splitlines(True) if not line.startswith(f"{NAME}:"))


def put_over(directory, has_account=True):
    """Has this namespace's databases know the account, or not, until they are unmounted."""
    for path, line in LINES.items():
        with open(path) as file:
            text = without(file.read())
        copy = os.path.join(directory, f"{os.path.basename(path)}-{has_account}")
        with open(copy, "w") as file:
            file.write(text + line if has_account else text)
        os.chmod(copy, 0o644)
        subprocess.run(["mount", "--bind", copy, path], check=True)


def take_away():
    """The databases are as before the last put_over()."""
    for path in LINES:
        subprocess.run(["umount", path], check=True)


def let_through(directory):
    """Temporary directories are ours alone; the account shall get through to this one."""
    top = os.path.realpath(tempfile.gettempdir())
    directory = os.path.realpath(directory)
    while directory.startswith(top + os.sep):
        os.chmod(directory, os.stat(directory).st_mode & 0o7777 | 0o111)
        directory = os.path.dirname(directory)
