# SPDX-License-Identifier: GPL-2.0-or-later
"""What we do not write, each with what to write instead."""
import re

from common import code, functions, is_main, lines, main

# pattern, what to do, and where it does not hold (path from the root, or a folder's)
NEVER = [
    (r'\b(strto(u?ll?|[dfiu]\w*)|ato([ifl]|ll)|sscanf)\(', 'use text_to_u64()', []),
    (r'\bstrncmp\(', 'compare whole tokens, with streq()', []),
    (r'\b(u|nano|clock_nano)?sleep\(', 'wait for an event, not for time', []),
    (r'\b(strcpy|strcat|sprintf|gets)\(', 'use buf.h or snprintf()', []),
    (r'\b(accept|dup|pipe|creat|epoll_create|inotify_init)\(|\bF_DUPFD\b',
     'use the variant that is close-on-exec from birth', []),
    (r'\bSO_PEER\w+', 'who calls is decided in core/identity.c', ['hostapi/core/identity.c']),
    (r'#\s*include\s*<inotifytools', 'store/dir.c contains this library', ['hostapi/store/dir.c']),
    (r'\blog_(error|warn|info)\(|\bLOG_LEVEL_(ERROR|WARNING|INFO)\b',
     'return the error; lower layers log at debug only',
     ['hostapi/base/log', 'hostapi/store', 'hostapi/front', 'hostapi/attach', 'hostapi/ctl',
      'fsd']),
    (r'\b[45]\d\d\b', 'statuses come from the table in reply.c',
     ['hostapi/api/reply.c', 'hostapi/base', 'hostapi/core', 'hostapi/store', 'hostapi/front',
      'hostapi/attach', 'hostapi/ctl', 'fsd']),
]
OPENERS = r'\b(open|openat|open64|openat2|socket|socketpair|accept4|pipe2|epoll_create1|eventfd|' \
    r'memfd_create|timerfd_create|signalfd|inotify_init1|fopen|recvmsg)\('


def call(text, start):
    """The text from a call's name to its closing parenthesis."""
    depth = 0
    for i in range(text.index('(', start), len(text)):
        depth += {'(': 1, ')': -1}.get(text[i], 0)
        if depth == 0:
            return text[start:i + 1]
    return text[start:]


def descriptors(tree, path):
    text = '\n'.join(code(path))
    raw = path.read_text()
    for match in re.finditer(OPENERS, text):
        arguments = call(text, match.start())
        is_fopen_e = re.search(r'"[rwa]\+?e"', raw[match.start():match.start() + len(arguments)])
        if 'CLOEXEC' not in arguments and not is_fopen_e:
            yield tree.finding(path, text.count('\n', 0, match.start()) + 1,
                               f'{match.group(1)}() without CLOEXEC')


def check(tree, build):
    for path in tree.files('.c', '.h'):
        name = str(path.relative_to(tree.root))
        text = code(path)
        for number, line in enumerate(text, 1):
            for pattern, remedy, exempt in NEVER:
                match = re.search(pattern, line)
                if match and not name.startswith(tuple(exempt)):
                    yield tree.finding(path, number, f'{match.group().strip("(")}: {remedy}')
            if re.search(r'\bexit\(', line) and not is_main(path):
                yield tree.finding(path, number, 'exit: return the error; only main may end it')
        for number, line in enumerate(lines(path), 1):
            match = re.search(r'\b(TODO|XXX|FIXME)\b', line)
            if match:
                yield tree.finding(path, number, f'{match.group()}: do it, or leave it unsaid')
        for first, last in functions(path):
            for number in range(first, last):
                if re.match(r'\s*#\s*(if|ifdef|ifndef)\b', text[number - 1]):
                    yield tree.finding(path, number, '#if in a function; use a second file '
                                       'with the same header, chosen by meson')
        yield from descriptors(tree, path)


main(check)
