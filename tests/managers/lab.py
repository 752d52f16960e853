# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the managers of a test session keep their things, none of them the machine's.

/etc, /var, /run and /root are the machine's to look at; what managers write there is in a file
system of this mount namespace alone. Cgroups, which no namespace hides, have names with `prefix` in
them and are removed at the end.
"""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import tempfile
import uuid

from account import let_through

FIRST_MAPPED_ID = 2097152  # systemd-nspawn wants a multiple of 65536
N_MAPPED_IDS = 65536
# Somebody who may start containers of his own.
USER, USER_ID, USER_FIRST_ID = "tester", 61185, FIRST_MAPPED_ID + N_MAPPED_IDS
REMAPPED = "remapped"  # whom dockerd's --userns-remap names
ACCOUNTS = {
    "/etc/passwd": f"{USER}:x:{USER_ID}:{USER_ID}::/nonexistent:/bin/sh\n"
                   f"{REMAPPED}:x:61186:61186::/nonexistent:/usr/sbin/nologin\n",
    "/etc/group": f"{USER}:x:{USER_ID}:\n{REMAPPED}:x:61186:\n",
    "/etc/subuid": "", "/etc/subgid": "",
}
RANGES = (f"root:{FIRST_MAPPED_ID}:{N_MAPPED_IDS}\n{REMAPPED}:{FIRST_MAPPED_ID}:{N_MAPPED_IDS}\n"
          f"{USER}:{USER_FIRST_ID}:{N_MAPPED_IDS}\n")
LOOKED_AT = ("/etc", "/var", "/run", "/root")


def libraries_of(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+)", listed)


def make_root(directory):
    """A root file system: Debian's busybox, and curl with its libraries."""
    for name in "bin dev etc lib mnt proc root run sys tmp usr var".split():
        os.makedirs(os.path.join(directory, name))
    programs = os.path.join(directory, "bin")
    shutil.copy("/bin/busybox", programs)
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    for applet in set(applets.stdout.split()) - {"busybox"}:
        os.symlink("busybox", os.path.join(programs, applet))
    curl = shutil.which("curl")
    shutil.copy(curl, programs)
    for library in libraries_of(curl):
        os.makedirs(directory + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, directory + library)
    for path, line in (("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
                       ("/etc/group", "root:x:0:\n")):
        with open(directory + path, "w") as file:
            file.write(line)


class Lab(contextlib.ExitStack):
    def __init__(self, directory):
        super().__init__()
        self.directory = directory
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        let_through(directory)
        self.callback(self._remove_cgroups)
        self.callback(self._unmount)
        self._cover()
        self.roots = {0: self.path("root0")}
        make_root(self.roots[0])
        self.n_copies = 0

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def root(self, first_id=0):
        """Another root file system, which shares files with others that have the same owner."""
        if first_id not in self.roots:
            self.roots[first_id] = self.path(f"root{first_id}")
            for words in (["cp", "-a", self.roots[0]], ["chown", "-hR", f"{first_id}:{first_id}"]):
                subprocess.run([*words, self.roots[first_id]], check=True)
        self.n_copies += 1
        copy = self.path(f"copy{self.n_copies}")
        subprocess.run(["cp", "-al", self.roots[first_id], copy], check=True)
        return copy

    def daemon_directory(self, is_shared):
        """A new one; what is mounted there is seen in mount namespaces made before, or is not."""
        top = self.path("shared" if is_shared else "private")
        if not os.path.isdir(top):
            os.mkdir(top)
            subprocess.run(["mount", "--bind", top, top], check=True)
            subprocess.run(["mount", "--make-shared" if is_shared else "--make-private", top],
                           check=True)
        return tempfile.mkdtemp(dir=top)

    def _cover(self):
        texts = {}
        for path, lines in ACCOUNTS.items():
            with open(path) as file:
                texts[path] = file.read() + lines
        ours = self.path("covers")
        os.mkdir(ours)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "covers", ours], check=True)
        for top in LOOKED_AT:
            upper, work = (os.path.join(ours, kind + top.replace("/", "-"))
                           for kind in ("upper", "work"))
            os.mkdir(upper)
            os.mkdir(work)
            os.chmod(upper, os.stat(top).st_mode & 0o7777)
            subprocess.run(["mount", "-t", "overlay", "-o",
                            f"lowerdir={top},upperdir={upper},workdir={work}", "covers", top],
                           check=True)
        for path, text in texts.items():
            with open(path, "w") as file:
                file.write(RANGES if path.startswith("/etc/sub") else text)

    def _unmount(self):
        """What is mounted below the directory, the last first, and the covers."""
        with open("/proc/self/mountinfo") as lines:
            targets = [line.split()[4] for line in lines]
        below = [t for t in targets if t.startswith(self.directory + "/")]
        for target in [*reversed(below), *LOOKED_AT]:
            subprocess.run(["umount", "--lazy", target], check=True)

    def _remove_cgroups(self):
        for top in glob.glob(f"/sys/fs/cgroup/**/*{self.prefix}*", recursive=True):
            for directory, _, _ in os.walk(top, topdown=False):
                os.rmdir(directory)
        # What nspawn leaves in hierarchies where it has no cgroup of its own.
        for name in "payload", "supervisor":
            for left in glob.glob(f"/sys/fs/cgroup/*/{name}"):
                with contextlib.suppress(OSError):
                    os.rmdir(left)
