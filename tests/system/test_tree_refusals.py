# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing but `state` can be changed in the tree, by whom and how ever it is tried.

It is refused as on a file system that is mounted read-only, unless the kernel has an earlier reason. After each
test all is as before, for the guest and for the host, and the daemon is the one it was.
"""

import os

import pytest

TRIES = r"""
AT_FDCWD, AT_EMPTY_PATH, MS_BIND, MS_REMOUNT, MNT_DETACH = -100, 0x1000, 4096, 32, 2

def renameat2(old, new, flags):
    checked(libc.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags))

def with_fd(path, flags, action):
    fd = os.open(path, flags)
    try:
        return action(fd)
    finally:
        os.close(fd)

def fallocate(path, mode=0):
    with_fd(path, os.O_WRONLY, lambda fd: checked(
        libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(4096))))

def mount(source, target, kind=None, flags=0):
    checked(libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None))

def umount(path):
    checked(libc.umount2(path.encode(), MNT_DETACH))
"""

# What is tried, with the answer for the guest's root and for everybody else.
READ_ONLY = "EROFS", "EACCES"  # default_permissions lets nobody else write to what is 0555 and 0444
NOT_OWNER = "EROFS", "EPERM"

CREATE = {
    "os.open('new', os.O_WRONLY | os.O_CREAT)": READ_ONLY,
    "os.open('new', os.O_RDONLY | os.O_CREAT)": READ_ONLY,
    "os.open('config/user.new', os.O_WRONLY | os.O_CREAT | os.O_EXCL)": READ_ONLY,
    "os.open('devices/eth0/new', os.O_RDWR | os.O_CREAT)": READ_ONLY,
    "os.open('.', os.O_RDWR | os.O_TMPFILE)": ("ENOTSUP", "EACCES"),
    "os.mkdir('new')": READ_ONLY,
    "os.mkdir('config/user.new')": READ_ONLY,
    "os.mkdir('devices/eth1')": READ_ONLY,
    "os.mkdir('config')": ("EEXIST", "EEXIST"),
    "os.symlink('/etc/passwd', 'new')": READ_ONLY,
    "os.symlink('name', 'config/user.new')": READ_ONLY,
    "os.symlink('name', 'state')": ("EEXIST", "EEXIST"),
    "os.mknod('new', stat.S_IFREG | 0o666)": READ_ONLY,
    "os.mknod('new', stat.S_IFIFO | 0o666)": READ_ONLY,
    "os.mknod('new', stat.S_IFSOCK | 0o666)": READ_ONLY,
    "os.mknod('config/user.new', stat.S_IFIFO | 0o666)": READ_ONLY,
    "socket.socket(socket.AF_UNIX).bind('new')": READ_ONLY,
    "socket.socket(socket.AF_UNIX).bind('sock')": ("EADDRINUSE", "EADDRINUSE"),
    "socket.socket(socket.AF_UNIX).bind('.sock')": READ_ONLY,
}
DEVICE_NODES = {
    "os.mknod('new', stat.S_IFCHR | 0o666, os.makedev(1, 3))": READ_ONLY,
    "os.mknod('new', stat.S_IFBLK | 0o666, os.makedev(7, 0))": READ_ONLY,
}
WRITE = {
    "os.open('config/user.role', os.O_WRONLY)": READ_ONLY,
    "os.open('config/user.role', os.O_RDWR)": READ_ONLY,
    "os.open('config/user.role', os.O_WRONLY | os.O_APPEND)": READ_ONLY,
    "os.open('config/user.role', os.O_WRONLY | os.O_CREAT)": READ_ONLY,
    "os.open('config/user.role', os.O_RDONLY | os.O_TRUNC)": READ_ONLY,
    "os.open('config/user.open', os.O_RDWR)": ("EROFS", "EROFS"),  # a rule says 0666
    "os.open('config/user.open', os.O_RDONLY | os.O_TRUNC)": ("EROFS", "EROFS"),
    "os.open('name', os.O_WRONLY)": READ_ONLY,
    "os.open('meta-data', os.O_RDWR)": READ_ONLY,
    "os.open('devices/eth0/type', os.O_WRONLY)": READ_ONLY,
    "os.open('config', os.O_RDWR)": ("EISDIR", "EISDIR"),
    "os.open('sock', os.O_RDWR)": ("ENXIO", "ENXIO"),
    "os.truncate('config/user.role', 0)": READ_ONLY,
    "os.truncate('config/user.role', 100)": READ_ONLY,
    "os.truncate('config/user.open', 0)": ("EROFS", "EROFS"),
    "os.truncate('config', 0)": ("EISDIR", "EISDIR"),
    "os.truncate('sock', 0)": ("EINVAL", "EINVAL"),
    "with_fd('name', os.O_RDONLY, lambda fd: os.ftruncate(fd, 0))": ("EINVAL", "EINVAL"),
    "with_fd('name', os.O_RDONLY, lambda fd: os.write(fd, b'x'))": ("EBADF", "EBADF"),
    "fallocate('name')": READ_ONLY,
    "fallocate('config/user.open')": ("EROFS", "EROFS"),
}
STATE = {
    "os.truncate('state', 1)": READ_ONLY,
    "os.truncate('state', 1 << 40)": READ_ONLY,
    "with_fd('state', os.O_WRONLY, lambda fd: os.ftruncate(fd, 5))": READ_ONLY,
    "fallocate('state')": READ_ONLY,
    "fallocate('state', 3)": READ_ONLY,  # punches a hole
    "with_fd('state', os.O_RDWR, lambda fd: mmap.mmap(fd, 6))": ("ENODEV", "EACCES"),
    "write('state', b'Gone')": ("EINVAL", "EACCES"),
}
REMOVE = {
    "os.unlink('config/user.role')": READ_ONLY,
    "os.unlink('config/user.open')": READ_ONLY,
    "os.unlink('name')": READ_ONLY,
    "os.unlink('state')": READ_ONLY,
    "os.unlink('sock')": READ_ONLY,
    "os.unlink('config')": ("EISDIR", "EACCES"),
    "os.unlink('nothing')": ("ENOENT", "ENOENT"),
    "os.rmdir('config')": READ_ONLY,
    "os.rmdir('devices/eth0')": READ_ONLY,
    "os.rmdir('name')": ("ENOTDIR", "EACCES"),
}
RENAME = {
    "os.rename('name', 'new')": READ_ONLY,
    "os.rename('name', 'type')": READ_ONLY,
    "os.rename('name', 'state')": READ_ONLY,
    "os.rename('config/user.role', 'state')": READ_ONLY,
    "os.rename('state', 'name')": READ_ONLY,
    "os.rename('sock', 'new')": READ_ONLY,
    "os.rename('config/user.role', 'config/user.open')": READ_ONLY,
    "os.rename('config', 'new')": READ_ONLY,
    "os.rename('config', 'devices')": READ_ONLY,
    "os.rename('devices/eth0', 'config')": READ_ONLY,
    "os.rename('/tmp/theirs', 'new')": ("EXDEV", "EXDEV"),
    "os.rename('/tmp/theirs', 'state')": ("EXDEV", "EXDEV"),
    "os.rename('name', '/tmp/new')": ("EXDEV", "EXDEV"),
    "renameat2('name', 'new', 1)": READ_ONLY,  # not over anything
    "renameat2('name', 'state', 2)": READ_ONLY,  # one for the other
    "renameat2('name', 'new', 4)": READ_ONLY,  # a whiteout behind it
    "os.link('name', 'new')": NOT_OWNER,
    "os.link('config/user.role', 'config/user.new')": NOT_OWNER,
    "os.link('/tmp/theirs', 'new')": ("EXDEV", "EXDEV"),
    "os.link('name', '/tmp/new')": ("EXDEV", "EXDEV"),
    "with_fd('name', os.O_RDONLY, lambda fd: checked("
    "libc.linkat(fd, b'', AT_FDCWD, b'new', AT_EMPTY_PATH)))": NOT_OWNER,
}
ATTRIBUTES = {
    "os.chmod('name', 0o666)": NOT_OWNER,
    "os.chmod('config', 0o777)": NOT_OWNER,
    "os.chmod('.', 0o777)": NOT_OWNER,
    "os.chmod('state', 0o666)": NOT_OWNER,
    "with_fd('name', os.O_RDONLY, lambda fd: os.fchmod(fd, 0o666))": NOT_OWNER,
    "os.chown('name', 0, 0)": NOT_OWNER,
    "os.chown('name', 1000, 1000)": NOT_OWNER,
    "os.chown('config', 1000, 1000)": NOT_OWNER,
    "os.chown('.', 1000, -1)": NOT_OWNER,
    "os.lchown('state', 1000, 1000)": NOT_OWNER,
    "os.chown('name', -1, -1)": ("EROFS", "EROFS"),
    "os.utime('name')": READ_ONLY,
    "os.utime('name', (1, 1))": NOT_OWNER,
    "os.utime('config', (1, 1))": NOT_OWNER,
    "os.utime('.', (1, 1))": NOT_OWNER,
    "os.utime('state')": READ_ONLY,
    "os.utime('config/user.open')": ("EROFS", "EROFS"),
    "os.setxattr('name', 'user.x', b'1')": READ_ONLY,
    "os.setxattr('config', 'user.x', b'1')": READ_ONLY,
    "os.setxattr('state', 'user.x', b'1')": READ_ONLY,
    "os.setxattr('config/user.open', 'user.x', b'1')": ("EROFS", "EROFS"),
    "os.removexattr('name', 'user.x')": READ_ONLY,
}
# In a user namespace the kernel keeps these for the host's root.
ABOVE_THE_GUEST = {
    **DEVICE_NODES,
    "os.setxattr('name', 'trusted.x', b'1')": NOT_OWNER,
    "os.setxattr('name', 'security.x', b'1')": NOT_OWNER,
    "os.chmod('sock', 0o777)": NOT_OWNER,
    "os.chown('sock', 0, 0)": NOT_OWNER,
    "os.utime('sock', (1, 1))": NOT_OWNER,
}

LOOK = r"""{path: (lambda s: (s.st_ino, s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_nlink,
                            s.st_mtime_ns, s.st_ctime_ns, stat.S_ISREG(s.st_mode) and read(path)))
        (os.lstat(path))
 for path in ['.'] + [os.path.join(d, f) for d, ds, fs in os.walk('.') for f in ds + fs]}"""


def record(standing, role):
    standing.record({"user.role": role, "user.open": "for all"}, devices={"eth0": {"type": "nic"}},
                    files=[{"path": "config/user.open", "mode": "0666"}])


@pytest.fixture
def tried(standing):
    """A record to try it on."""
    record(standing, "frontend")
    for inside in standing.inside, standing.user:
        inside.run(TRIES)
    standing.inside("os.close(os.open('/tmp/theirs', os.O_CREAT, 0o666))")
    standing.inside("os.chown('/tmp/theirs', 1000, 1000)")
    return standing


@pytest.fixture
def unchanged(tried):
    """The same, of which nothing may have changed when the test ends."""
    standing = tried
    before = standing.inside(LOOK)
    daemon, tree = standing.daemon.worker_pid, sorted(os.listdir(standing.host()))
    yield standing
    assert standing.inside(LOOK) == before
    assert sorted(os.listdir(standing.host())) == tree
    assert standing.daemon.worker_pid == daemon
    assert standing.inside("ask('/1.0/config/user.role')") == (200, b"frontend")


def check(standing, tries):
    """Tries all, twice as the guest's root and once as another user: the second time the kernel knows more."""
    wrong = {}
    for what, answers in tries.items():
        found = (standing.inside.error(what), standing.inside.error(what), standing.user.error(what))
        if found != (answers[0], *answers):
            wrong[what] = found
    assert wrong == {}


@pytest.mark.parametrize("tries", [CREATE, WRITE, STATE, REMOVE, RENAME, ATTRIBUTES],
                         ids=["create", "write", "state", "remove", "rename", "attributes"])
def test_refused(unchanged, tries):
    check(unchanged, tries)


def test_refused_to_who_is_root_only_inside(unchanged):
    if unchanged.guest.mapped:
        check(unchanged, {what: ("EPERM", answers[1]) for what, answers in ABOVE_THE_GUEST.items()})
    else:
        check(unchanged, ABOVE_THE_GUEST)


def test_refused_on_descriptors_held_from_before(unchanged):
    """A directory that was opened first is no way around it."""
    inside = unchanged.inside
    inside.run("top = os.open('.', os.O_RDONLY); keys = os.open('config', os.O_PATH)")
    for what in ("os.open('new', os.O_WRONLY | os.O_CREAT, dir_fd=top)",
                 "os.open('user.role', os.O_WRONLY, dir_fd=keys)",
                 "os.unlink('user.role', dir_fd=keys)", "os.mkdir('new', dir_fd=keys)",
                 "os.rename('user.role', 'state', src_dir_fd=keys, dst_dir_fd=top)",
                 "os.fchmod(top, 0o777)", "os.fchown(top, 1000, 1000)"):
        assert inside.error(what) == "EROFS", what
    inside.run("os.close(top); os.close(keys)")


def test_remounting_changes_nothing(unchanged):
    """A guest may be able to make its mount of the directory writable; that is all it then is."""
    inside = unchanged.inside
    options = "MS_REMOUNT | MS_BIND"
    assert inside.error(f"mount('none', '/dev/lxd', None, {options})") in (None, "EPERM")
    check(unchanged, WRITE)
    assert unchanged.user.error(f"mount('none', '/dev/lxd', None, {options})") == "EPERM"


def test_mounts_on_top_are_the_guests_own(tried):
    """What a guest mounts over its files it alone sees, and below it all goes on."""
    inside, host = tried.inside, tried.host
    inside("mount('none', 'config', 'tmpfs')")
    inside("mount('/tmp/theirs', 'name', None, MS_BIND)")
    inside("mount('/tmp/theirs', 'state', None, MS_BIND)")
    assert inside("write('config/user.role', b'mine', os.O_WRONLY | os.O_CREAT)") == 4
    assert inside("write('state', b'mine')") == 4
    for what in "os.unlink('name')", "os.rename('name', 'new')", "os.rmdir('config')", \
            "os.rename('type', 'state')":
        assert inside.error(what) == "EBUSY", what
    with open(host("config", "user.role")) as role, open(host("state")) as state:
        assert (role.read(), state.read()) == ("frontend", "Started\n")
    record(tried, "backend")
    for path in "config", "name", "state":
        inside(f"umount({path!r})")
    assert inside("read('config/user.role')") == b"backend"
    assert inside("read('state')") == b"Started\n"


def test_a_mount_of_one_file_is_as_good_as_the_file(unchanged):
    """Bind-mounted elsewhere it is still the tree's, and refuses the same."""
    inside = unchanged.inside
    inside("mount('config/user.open', '/tmp/theirs', None, MS_BIND)")
    assert inside("read('/tmp/theirs')") == b"for all"
    assert inside.error("os.open('/tmp/theirs', os.O_WRONLY)") == "EROFS"
    assert inside.error("os.truncate('/tmp/theirs', 0)") == "EROFS"
    inside("umount('/tmp/theirs')")
    inside("mount('config', '/mnt', None, MS_BIND)")
    assert inside.error("os.unlink('/mnt/user.role')") == "EROFS"
    assert inside.error("os.mkdir('/mnt/new')") == "EROFS"
    inside("umount('/mnt')")
