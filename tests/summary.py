# SPDX-License-Identifier: GPL-2.0-or-later
"""summary.py JUNIT-FILE...: adds up what meson and pytest wrote, prints one plain line.
Fails when a test failed, none ran, or MUST_WORK=1 and one was skipped."""

import os
import sys
import xml.etree.ElementTree


def main():
    tests = failed = skipped = 0
    for path in sys.argv[1:]:
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            kinds = {child.tag for child in case}
            tests += 1
            failed += bool(kinds & {"failure", "error"})
            skipped += "skipped" in kinds
    passed = tests - failed - skipped
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    must_work = os.environ.get("MUST_WORK") == "1"
    return failed > 0 or passed == 0 or (must_work and skipped > 0)


sys.exit(main())
