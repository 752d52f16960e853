# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests do in a guest, of whatever kind, that can start programs in itself."""

import subprocess


class Commands:
    """For classes with name, children (those that popen() started) and popen(argv, **options)."""

    def run(self, argv, input=None, timeout=60, check=True, **options):
        """Runs argv inside; a CompletedProcess."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        child = self.popen(argv, **options)
        out, err = child.communicate(input, timeout)
        self.children.remove(child)
        if check and child.returncode:
            raise AssertionError(f"{argv} in {self.name}: exit {child.returncode}\n{out}{err}")
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def curl(self, path, *options, **run_options):
        """curl of path as the recipes have it; (status, body). Status 0: no answer."""
        done = self.run(["curl", "-s", "-w", "\n%{http_code}", "--unix-socket", "/dev/lxd/sock",
                         *options, f"http://lxd{path}"], check=False, **run_options)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body
