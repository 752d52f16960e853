# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-tidy has nothing to say, with the checks of .clang-tidy."""
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import lines, main, need

UTHASH = re.compile(r'\s*(HASH|[DL]L)_') # expands to what the analyzer cannot follow


def tidy(build, path):
    # gcc's options are not all known to clang
    return subprocess.run(['clang-tidy', '--quiet', '-p', build,
                           '--extra-arg=-Wno-unknown-warning-option', path],
                          capture_output=True, text=True)


def check(tree, build):
    need('clang-tidy')
    commands = json.loads((build / 'compile_commands.json').read_text())
    paths = {(Path(c['directory']) / c['file']).resolve() for c in commands}
    ours = sorted(paths & set(tree.files('.c')))
    seen = set()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for path, run in zip(ours, pool.map(lambda p: tidy(build, p), ours)):
            found = re.findall(r'^([^:\s]+):(\d+):\d+: ((?:error|warning): .*)', run.stdout, re.M)
            for name, line, text in found:
                source = (build / name).resolve()
                finding = tree.finding(source, line, text)
                is_noise = 'clang-analyzer' in text and UTHASH.match(lines(source)[int(line) - 1])
                if not is_noise and finding not in seen: # a header's, once
                    seen.add(finding)
                    yield finding
            if run.returncode and not found:
                yield tree.finding(path, 1, f'clang-tidy failed: {run.stdout}{run.stderr}')


main(check)
