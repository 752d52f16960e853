# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens, as the host hears of it: each event once, in order, at once, and without values."""

import json
import os
import select
import signal
import subprocess
import uuid

import pytest

from daemon import wait_until
from guest import Cgroup, cgroup2_root

START_SECONDS = 60  # a bound, not a wait
SECRET = "s3cret-value"


class Follower:
    """A devlxdfs that runs, and the lines it prints."""

    def __init__(self, daemon, *args, stdout=subprocess.PIPE):
        self.process = subprocess.Popen(
            [f"{daemon.build}/hostapi/ctl/devlxdfs", *daemon._dir_options(), *args],
            stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.all = b""
        self.unread = b""

    def line(self):
        """The next line; a bound, not a wait."""
        while b"\n" not in self.unread:
            assert select.select([self.process.stdout], [], [], START_SECONDS)[0], self.all
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, f"ended: {self.process.stderr.read()}"
            self.unread += more
            self.all += more
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode()

    def event(self):
        event = json.loads(self.line())
        assert event.pop("timestamp")
        return event

    def complaint(self):
        """The next line on standard error."""
        assert select.select([self.process.stderr], [], [], START_SECONDS)[0], "no complaint"
        return self.process.stderr.readline().decode()

    def end(self, status=0, by=None):
        """(standard output, standard error) of one that ends, by a signal if that is given."""
        if by:
            self.process.send_signal(by)
        out, err = self.process.communicate(timeout=START_SECONDS)
        assert self.process.returncode == status, (out, err)
        return (out or b"").decode(), err.decode()


@pytest.fixture
def follow(daemon):
    """follow("monitor", ...): starts it, and for a monitor returns when it listens."""
    made = []

    def start(*args, **options):
        made.append(Follower(daemon, *args, **options))
        return made[-1]

    yield start
    for follower in made:
        if follower.process.poll() is None:
            follower.process.kill()
        follower.process.communicate()


@pytest.fixture
def monitor(daemon, follow):
    """monitor(*options): one that listens; it has told of "probe" and of nothing else."""
    def start(*args, last="instance-deleted"):
        follower = follow("monitor", *args)
        for n in range(10000):
            daemon.record("probe", config={"user.n": str(n)})
            if select.select([follower.process.stdout], [], [], 0.01)[0]:
                break
        mark = uuid.uuid4().hex
        daemon.record("probe", config={f"user.{mark}": "1"})
        withdraw(daemon, "probe")
        while "probe" not in (line := follower.line()) or (last or mark) not in line:
            pass
        follower.all = b""
        return follower

    return start


def withdraw(daemon, name):
    os.unlink(daemon.record_path(name))
    daemon.admin("POST", f"/1.0/instances/{name}/load")


def lifecycle(action, name, **context):
    metadata = {"action": action, "source": f"/1.0/instances/{name}"}
    if context:
        metadata["context"] = context
    return {"type": "lifecycle", "metadata": metadata, "instance": name}


def config(name, key, **values):
    return {"type": "config", "metadata": {"key": key, **values}, "instance": name}


def device(name, action, device_name, **values):
    return {"type": "device", "metadata": {"action": action, "name": device_name, **values}, "instance": name}


@pytest.fixture
def cgroup():
    made = []

    def make(path=None):
        made.append(Cgroup(path or f"/devlxdfs-test-{uuid.uuid4().hex[:12]}"))
        return made[-1]

    yield make
    for one in made:
        if os.path.exists(one.dir):
            one.remove()


class Process:
    """In a cgroup until end()."""

    def __init__(self, cgroup):
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, preexec_fn=cgroup.add)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def test_a_record_through_its_life(daemon, monitor):
    follower = monitor()
    daemon.record("web1", config={"user.a": SECRET})
    assert follower.event() == lifecycle("instance-created", "web1")
    daemon.record("web1", config={"user.a": SECRET + "2", "cloud-init.user-data": "x"},
                  devices={"eth0": {"type": "nic", "network": SECRET}})
    assert [follower.event() for _ in range(3)] == [
        config("web1", "user.a"), device("web1", "added", "eth0"), lifecycle("instance-updated", "web1")]
    daemon.record("web1", config={"user.a": SECRET + "2", "cloud-init.user-data": "x"})
    assert follower.event() == device("web1", "removed", "eth0")
    assert follower.event() == lifecycle("instance-updated", "web1")
    with open(daemon.record_path("bad"), "w") as file:
        file.write('{"config": {"user.x": ["%s"]}}' % SECRET)
    for _ in range(2):
        daemon.admin("POST", "/1.0/instances/bad/load")
    event = follower.event()
    reason = event["metadata"]["context"]["reason"]
    assert event == lifecycle("record-rejected", "bad", reason=reason)
    assert "bad.json:1:" in reason and "user.x" in reason
    withdraw(daemon, "web1")
    assert follower.event() == lifecycle("instance-deleted", "web1")
    follower.end(by=signal.SIGTERM)
    assert SECRET.encode() not in follower.all


def test_values(daemon, monitor):
    follower = monitor("--values")
    daemon.record("web1", config={"user.a": SECRET})
    daemon.record("web1", config={"user.a": "new\nline"}, devices={"eth0": {"type": "nic", "n": "1"}})
    assert [follower.event() for _ in range(4)] == [
        lifecycle("instance-created", "web1"),
        config("web1", "user.a", old_value=SECRET, value="new\nline"),
        device("web1", "added", "eth0", config={"type": "nic", "n": "1"}),
        lifecycle("instance-updated", "web1")]


def test_types_and_names(daemon, monitor):
    typed = monitor("--type", "config", last=None)
    named = monitor("web2", "probe")
    daemon.record("web1", config={"user.a": "1"})
    daemon.record("web1", config={"user.a": "2"}, devices={"eth0": {"type": "nic"}})
    daemon.record("web2", config={})
    daemon.record("web1", config={"user.a": "3"}, devices={"eth0": {"type": "nic"}})
    daemon.record("web2", config={"user.b": "1"})
    assert [named.event() for _ in range(3)] == [
        lifecycle("instance-created", "web2"), config("web2", "user.b"), lifecycle("instance-updated", "web2")]
    events = [typed.event() for _ in range(3)]
    while events[0]["instance"] == "probe":
        events = events[1:] + [typed.event()]
    assert events == [config("web1", "user.a"), config("web1", "user.a"), config("web2", "user.b")]


def test_pretty(daemon, monitor):
    follower = monitor("--pretty", "--values", "--type", "config,lifecycle", "--type", "device")
    daemon.record("web1", config={"user.a": "x"})
    daemon.record("web1", config={"user.a": "y\n"}, devices={"eth0": {"type": "nic"}})
    lines = [follower.line().split(" ", 1) for _ in range(4)]
    assert all(time.startswith("20") for time, _ in lines)
    assert [text for _, text in lines] == [
        "web1 instance-created", 'web1 config user.a "x" -> "y\\n"', 'web1 device eth0 added {"type":"nic"}',
        "web1 instance-updated"]


def test_usage(daemon, follow):
    _, err = follow("monitor", "--type", "config,nonsense").end(2)
    assert '"nonsense"' in err
    assert '"Asleep"' in follow("wait", "web1", "--state", "Asleep").end(2)[1]
    assert '"soon"' in follow("wait", "web1", "--timeout", "soon").end(2)[1]
    assert "no such instance" in follow("wait", "web1").end(1)[1]


def test_without_a_daemon(daemon, follow):
    daemon.stop()
    assert "no daemon at" in follow("monitor").end(1)[1]
    assert "no daemon at" in follow("wait", "web1").end(1)[1]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(monitor, by):
    assert monitor().end(by=by) == ("", "")


def test_nobody_reads_any_more(daemon, monitor):
    follower = monitor()
    follower.process.stdout.close()
    assert follower.process.wait(START_SECONDS) == 0
    assert follower.process.stderr.read() == b""


def test_worker_replaced_and_daemon_stopped(daemon, monitor):
    follower = monitor()
    daemon.kill_worker()
    assert "may have been missed" in follower.complaint()
    for n in range(10000):
        daemon.record("web1", config={"user.n": str(n)})
        if select.select([follower.process.stdout], [], [], 0.01)[0]:
            break
    assert follower.event()["instance"] == "web1"
    daemon.stop()
    assert "no daemon at" in follower.end(1)[1]


def test_started_and_stopped(daemon, monitor, cgroup):
    before, nested = cgroup(), f"/devlxdfs-test-{uuid.uuid4().hex[:12]}"
    follower = monitor()
    daemon.record("a", match={"cgroup": before.path})
    daemon.record("b", match={"cgroup": f"{nested}/x/y"})
    assert [follower.event() for _ in range(2)] == [
        lifecycle("instance-created", "a"), lifecycle("instance-created", "b")]
    for _ in range(3):
        for name, group in ("a", before), ("b", cgroup(nested + "/x/y")):
            if not os.path.exists(group.dir):
                os.makedirs(group.dir)
            process = Process(group)
            assert follower.event() == lifecycle("instance-started", name)
            process.end()
            assert follower.event() == lifecycle("instance-stopped", name)
        for path in f"{nested}/x/y", f"{nested}/x", nested, before.path:
            os.rmdir(cgroup2_root() + path)
    process = Process(cgroup())
    daemon.record("c", match={"cgroup": "/none"})
    daemon.admin("POST", "/1.0/instances/c/bind", {"pid": process.process.pid})
    assert [follower.event() for _ in range(2)] == [
        lifecycle("instance-created", "c"), lifecycle("instance-started", "c")]
    process.end()
    assert follower.event() == lifecycle("instance-stopped", "c")


def test_many_at_once(daemon, monitor, cgroup):
    base, names = cgroup(), [f"many{i}" for i in range(200)]
    for name in names:
        daemon.record(name, match={"cgroup": f"{base.path}/{name}"})
    follower = monitor("--type", "lifecycle")
    groups = [cgroup(f"{base.path}/{name}") for name in names]
    processes = [Process(group) for group in groups]
    events = [follower.event() for _ in names]
    assert sorted(event["instance"] for event in events) == sorted(names)
    assert {event["metadata"]["action"] for event in events} == {"instance-started"}
    for process in processes:
        process.end()
    events = [follower.event() for _ in names]
    assert sorted(event["instance"] for event in events) == sorted(names)
    assert {event["metadata"]["action"] for event in events} == {"instance-stopped"}
    # Nothing else was told.
    daemon.record("end", config={})
    assert follower.event() == lifecycle("instance-created", "end")


@pytest.mark.parametrize("how", ["socket", "file"])
def test_wait_for_ready(daemon, follow, monitor, new_guest, how):
    guest = new_guest("web1")
    daemon.guest_record(guest)
    guest.attach(daemon) if how == "socket" else guest.attach_tree(daemon)
    events, waiting = monitor("web1", "probe"), follow("wait", "web1")

    def say_ready():
        if how == "socket":
            assert guest.curl("/1.0", "-X", "PATCH", "-d", '{"state": "Ready"}')[0] == 200
        else:
            guest.run(["sh", "-c", "echo Ready >/dev/lxd/state"])

    say_ready()
    assert waiting.end() == ("", "")
    assert follow("wait", "web1", "--state", "ready").end() == ("", "")
    assert follow("wait", "web1", "--state", "Started").end() == ("", "")
    say_ready()  # each time
    assert [events.event() for _ in range(2)] == 2 * [lifecycle("instance-ready", "web1")]
    waiting = follow("wait", "web1", "--state", "Stopped", "--timeout", "60")
    guest.close()
    assert waiting.end() == ("", "")
    assert follow("wait", "web1", "--state", "Stopped").end() == ("", "")
    assert "not Ready within 1 second" in follow("wait", "web1", "--timeout", "1").end(1)[1]


def listens(follower):
    """Waits until it has a connection."""
    fds = f"/proc/{follower.process.pid}/fd"

    def is_socket(fd):
        try:
            return os.readlink(f"{fds}/{fd}").startswith("socket:")
        except FileNotFoundError:
            return False  # closed meanwhile

    wait_until(lambda: any(map(is_socket, os.listdir(fds))), "a connection")


def test_deleted_while_waiting(daemon, follow):
    daemon.record("web1", config={})
    waiting = follow("wait", "web1")
    listens(waiting)
    withdraw(daemon, "web1")
    err = waiting.end(1)[1]
    assert "web1: deleted while waiting for Ready" in err or "no such instance" in err


def test_worker_replaced_while_waiting(daemon, follow, cgroup):
    group = cgroup()
    daemon.record("web1", match={"cgroup": group.path})
    waiting = follow("wait", "web1", "--state", "Started")
    listens(waiting)
    daemon.kill_worker()
    process = Process(group)
    assert waiting.end() == ("", "")
    process.end()


def test_wait_for_who_is_known_by_mount(daemon, follow):
    daemon.record("web1", match={"mount": True})
    assert "recognised by its mount" in follow("wait", "web1", "--state", "Started").end(1)[1]
