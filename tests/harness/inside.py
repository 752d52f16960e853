# SPDX-License-Identifier: GPL-2.0-or-later
"""Python inside a guest, one process for many questions: what a guest sees, as a guest asks it.

    inside = Inside(guest)
    inside("os.stat('config/user.x').st_size")      # the value, or the OSError that the guest got
    inside.error("open('name', 'w')")               # the errno's name, or None
    inside.run("count = 0")                         # statements; what they define stays

Its working directory is /dev/lxd. Values are what ast.literal_eval() understands, bytes too. Besides
the modules below a question can use read(), write(), ask() and checked().
"""

import ast
import errno

SOURCE = r"""
import ctypes, http.client, mmap, os, socket, stat, sys
libc = ctypes.CDLL(None, use_errno=True)

def checked(result):
    "What a libc function returned, or the OSError it means."
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def read(path):
    "What there is now: the log of events has no end."
    with open(path, "rb", 0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        return file.readall()

def write(path, data, flags=os.O_WRONLY):
    fd = os.open(path, flags)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)

def ask(path, method="GET", body=None):
    "(status, body) of the socket that is in the directory."
    connection = http.client.HTTPConnection("lxd")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("sock")
    connection.request(method, path, body)
    reply = connection.getresponse()
    return reply.status, reply.read()

uid, gid, groups = map(eval, sys.argv[1:])
os.setgroups(groups)
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
os.chdir("/dev/lxd")
names = dict(globals())
print("there", flush=True)
for line in sys.stdin:
    kind, source = eval(line)
    try:
        value = eval(source, names) if kind != "exec" else exec(source, names)
        answer = ("is", value if kind == "eval" else None)
    except OSError as e:
        answer = ("errno", e.errno)
    except Exception as e:
        answer = ("wrong", f"{type(e).__name__}: {e}")
    print(repr(answer), flush=True)
"""


class Inside:
    """As the guest's root, or as what it is told to become (ids of the guest)."""

    def __init__(self, guest, uid=0, gid=None, groups=(), **options):
        gid = uid if gid is None else gid
        self.child = guest.start_python(SOURCE, uid, gid, list(groups), **options)
        assert self.child.stdout.readline() == "there\n"

    def __call__(self, expression):
        return self._ask("eval", expression)

    def run(self, statements):
        self._ask("exec", statements)

    def error(self, expression):
        try:
            self._ask("try", expression)
        except OSError as e:
            return errno.errorcode[e.errno]
        return None

    def _ask(self, kind, source):
        self.child.stdin.write(repr((kind, source)) + "\n")
        self.child.stdin.flush()
        kind, answer = ast.literal_eval(self.child.stdout.readline())
        if kind == "errno":
            raise OSError(answer, f"{errno.errorcode[answer]}: {source}")
        assert kind == "is", f"{answer}: {source}"
        return answer

    def close(self):
        self.child.communicate()
