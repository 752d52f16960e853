# SPDX-License-Identifier: GPL-2.0-or-later
"""Where this run finds things, and what it does about what it cannot find."""

import os

import pytest

HARNESS = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(HARNESS, "..", "..", "build")))
PYTHON = "/usr/bin/python3"
# A sanitizer keeps what was freed and takes its time.
IS_INSTRUMENTED = any(word in os.path.basename(BUILD) for word in ("asan", "tsan"))


def cannot(reason):
    """Skips, or fails where everything is known to work."""
    if os.environ.get("MUST_WORK") == "1":
        pytest.fail(f"must work here: {reason}")
    pytest.skip(reason)


# The next worker is sent again what the last one did not answer, or finds it by itself (kernels before 6.9).
TAKE_OVERS = pytest.mark.parametrize("options", [[], ["--no-resend"]], ids=["resend", "journal"])
