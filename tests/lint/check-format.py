# SPDX-License-Identifier: GPL-2.0-or-later
"""C files are as clang-format writes them."""
import re
import subprocess

from common import main, need


def check(tree, build):
    need('clang-format')
    files = [str(f) for f in tree.files('.c', '.h', under=('hostapi', 'fsd', 'tests'))]
    if not files:
        return
    output = subprocess.run(['clang-format', '--dry-run', '-Werror', *files],
                            capture_output=True, text=True).stderr
    for name, line in dict.fromkeys(re.findall(r'^(/.*?):(\d+):\d+: error: ', output, re.M)):
        yield tree.finding(tree.root / name, line, 'not as the formatter has it; clang-format -i')
    if 'error:' in output and not re.search(r'^/', output, re.M):
        yield output


main(check)
