/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deny WHAT... -- COMMAND...: runs the command on an older kernel, as far as identity can tell
 *
 * WHAT is a kernel (6.13: nothing is denied; 6.12; 6.5; 6.1) or a call by its name. A denied call
 * fails the way it does on a kernel that never heard of it. The filter stays for all that the
 * command starts.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/pidfd.h"

#define PEERPIDFD 77 /* not in the headers of Debian 12 */
#define IS(n, x)  SCMP_CMP(n, SCMP_CMP_MASKED_EQ, UINT32_MAX, (x))

enum {
	DENY_GET_INFO = 1 << 0,
	DENY_PEERPIDFD = 1 << 1,
	DENY_PIDFD_OPEN = 1 << 2,
	DENY_PIDFD_THREAD = 1 << 3, /* the flag of pidfd_open */
};

static const struct {
	const char *word;
	int denies;
} words[] = {
	{"6.13", 0},
	{"6.12", DENY_GET_INFO},
	{"6.5", DENY_GET_INFO | DENY_PIDFD_THREAD},
	{"6.1", DENY_GET_INFO | DENY_PIDFD_THREAD | DENY_PEERPIDFD},
	{"PIDFD_GET_INFO", DENY_GET_INFO},
	{"SO_PEERPIDFD", DENY_PEERPIDFD},
	{"pidfd_open", DENY_PIDFD_OPEN},
	{"PIDFD_THREAD", DENY_PIDFD_THREAD},
};

static int denied_by(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i].word, word))
			return words[i].denies;
	return -EINVAL;
}

static int install(int denies)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	if (r == 0 && denies & DENY_GET_INFO)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1,
				     IS(1, PIDFD_GET_INFO));
	if (r == 0 && denies & DENY_PEERPIDFD)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOPROTOOPT), SCMP_SYS(getsockopt), 2,
				     IS(1, SOL_SOCKET), IS(2, PEERPIDFD));
	if (r == 0 && denies & DENY_PIDFD_OPEN)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(pidfd_open), 0);
	else if (r == 0 && denies & DENY_PIDFD_THREAD)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(pidfd_open), 1,
				     SCMP_CMP(1, SCMP_CMP_MASKED_EQ, PIDFD_THREAD, PIDFD_THREAD));
	if (r == 0)
		r = seccomp_load(filter); /* sets no_new_privs */
	seccomp_release(filter);
	return r;
}

int main(int argc, char **argv)
{
	int denies = 0, i = 1, r;

	for (; i < argc && !streq(argv[i], "--"); i++) {
		r = denied_by(argv[i]);
		if (r < 0) {
			fprintf(stderr, "deny: what is '%s'?\n", argv[i]);
			return 2;
		}
		denies |= r;
	}
	if (i + 1 >= argc) {
		fprintf(stderr, "usage: deny WHAT... -- COMMAND...\n");
		return 2;
	}
	r = install(denies);
	if (r < 0) {
		fprintf(stderr, "deny: no filter: %s\n", strerror(-r));
		return 2;
	}
	execvp(argv[i + 1], &argv[i + 1]);
	fprintf(stderr, "deny: %s: %m\n", argv[i + 1]);
	return 127;
}
