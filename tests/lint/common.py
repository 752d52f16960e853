# SPDX-License-Identifier: GPL-2.0-or-later
"""What the checks share: the files, C text without comments, and reporting.

A check is `check(tree, build)`, a generator of findings, run by main(). It exits with 0, or 1 after
printing each finding as file:line: what is wrong; what to do. Exit 77: a tool it needs is missing.
"""
import re
import shutil
import sys
from pathlib import Path

LAYERS = ['base', 'core', 'store', 'api', 'front', 'attach', 'images', 'ctl']


class Tree:
    """The sources under one root; paths are reported relative to it."""

    def __init__(self, root):
        self.root = Path(root).resolve()

    def files(self, *suffixes, under=('hostapi', 'fsd')):
        return sorted(path for top in under for path in (self.root / top).rglob('*')
                      if path.suffix in suffixes)

    def finding(self, path, line, text):
        return f'{path.relative_to(self.root)}:{line}: {text}'


def lines(path):
    return path.read_text().split('\n')


def code(path):
    """The lines of a C file with comments and the insides of literals blanked."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        text = match.group()
        if text[0] != '/' and re.search(r'#\s*include[^\n]*$', path_text[:match.start()]):
            return text
        inside = re.sub(r'[^\n]', ' ', text)
        return inside if text[0] == '/' else text[0] + inside[1:-1] + text[-1]

    path_text = path.read_text()
    return token.sub(blank, path_text).split('\n')


def functions(path):
    """(first line, last line) of each function with its signature, counted from 1. The formatter
    puts a function's opening brace, and nothing else, alone in the first column."""
    text = code(path)
    for start, line in enumerate(text):
        if line == '{':
            first = start
            while first and text[first - 1].strip() and not re.search('[;}#]', text[first - 1]):
                first -= 1
            yield first + 1, text.index('}', start) + 1


def is_main(path):
    return any(re.match(r'int main\(', line) for line in lines(path))


def includes(path):
    """(line, name) of each include of ours."""
    for number, line in enumerate(code(path), 1):
        match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if match:
            yield number, match.group(1)


def need(tool):
    if not shutil.which(tool):
        print(f'skipped: {tool} is not installed')
        sys.exit(77)


def main(check):
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2])
    build = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
    findings = list(check(Tree(root), build))
    for finding in findings:
        print(finding)
    sys.exit(any(not re.match(r'\S+ warning: ', f) for f in findings))
