# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share: rounds in turn, medians, and programs to compare with."""

import contextlib
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from here import BUILD  # noqa: E402

QUICK = "--quick" in sys.argv[1:]
ROUNDS, SECONDS, MANY = (3, 1, 1000) if QUICK else (7, 2, 10000)
IS_SPREAD = "--spread" in sys.argv[1:]


class Yardstick:
    """A program of this directory that prints "ready" and serves until stop()."""

    def __init__(self, name, *arguments, input=b""):
        self.process = subprocess.Popen([f"{BUILD}/tests/bench/{name}", *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):  # not all read it
            self.process.stdin.write(input)
            self.process.stdin.close()
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def pin():
    """Puts this process and what it starts on one processor, unless the kernel is to choose."""
    if not IS_SPREAD:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def interleaved(modes, targets, measure):
    """{mode: {target: [measure(mode, target) of each round]}}: a busy machine is busy for all."""
    results = {mode: {target: [] for target in targets} for mode in modes}
    for _ in range(ROUNDS):
        for mode, taken in results.items():
            for target, values in taken.items():
                values.append(measure(mode, target))
    return results


def median(results, field="rate"):
    return statistics.median(result[field] for result in results)


def ratio(ours, theirs, field="rate"):
    """Median of each round's own ratio: what else the machine did then, it did to both."""
    return statistics.median(a[field] / b[field] for a, b in zip(ours, theirs))
