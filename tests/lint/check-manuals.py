# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tables in the code offer, the manuals name, and nothing the manuals name is missing."""
import re

from common import main

# Both sides as sets of words: file and pattern of the code, of the manual.
TABLES = [
    ('hostapi/api/guest.c', r'\.method = METHOD_(\w+),\s*\.path = "([^"]+)"',
     'docs/devlxd-api.7.scd', r'(?m)^\*(GET|PATCH|POST|PUT|DELETE) ([^*]+)\*$'),
    ('hostapi/core/settings.c', r'MEMBER\((\w+)\),',
     'docs/devlxdfsd.conf.5.scd', r'(?m)^\*(\w+)\*|, \*(\w+)\*$'),
    ('hostapi/store/parse.c', r'(?m)^\t\{"(\w+)", OF_',
     'docs/devlxdfs-record.5.scd', r'(?m)^\*(\w+)\*$'),
    ('fsd/options.c', r'(?m)^\t\{"([\w-]+)", (?:"\w+"|NULL),\s*"',
     'docs/devlxdfsd.8.scd', r'\*--([\w-]+)\*'),
    ('fsd/tree.c', r'(?s)\.path = "([^"]+)".*?\.mode = (\d+),(?:\s*\.by_(rules) = true)?',
     'docs/devlxdfs-tree.7.scd', r'(?m)^\*([^*\n]+)\* \((\d+)(?:, or by (rules))?\)$'),
    ('hostapi/base/log.c', r'"MESSAGE_ID=(\w+)"',
     'docs/devlxdfsd.8.scd', r'(?m)^:\[ ([0-9a-f]{32})$'),
]


def words(text, pattern):
    """word -> offset of its first appearance"""
    found = {}
    for match in re.finditer(pattern, text):
        found.setdefault(' '.join(filter(None, match.groups())).replace('\\', ''), match.start())
    return found


def check(tree, build):
    for code_name, code_pattern, manual_name, manual_pattern in TABLES:
        code_path, manual_path = tree.root / code_name, tree.root / manual_name
        if not code_path.exists():
            continue
        code_text, manual_text = code_path.read_text(), manual_path.read_text()
        offered = words(code_text, code_pattern)
        named = words(manual_text, manual_pattern)
        if not offered:
            yield tree.finding(code_path, 1, f'no table found; adapt the pattern in {__file__}')
        for word in sorted(set(offered) - set(named)):
            yield tree.finding(code_path, code_text.count('\n', 0, offered[word]) + 1,
                               f'"{word}" is not in {manual_name}; describe it')
        for word in sorted(set(named) - set(offered)):
            yield tree.finding(manual_path, manual_text.count('\n', 0, named[word]) + 1,
                               f'"{word}" is not in {code_name}; remove it')


main(check)
