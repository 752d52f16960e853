/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's cage
 *
 * The order matters: limits and capabilities while there is the right to lower them, then the ids, then what needs none.
 */
#include "cage.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "login.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cage-private.h"
#include "config.h"

#define SECUREBITS                                                                                 \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |                    \
	 SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |                                   \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* Not of processes: the kernel counts those of all that run as the account, and the filter allows none. */
static int lower_limits(void)
{
	static const int none[] = {RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_RTPRIO};
	const struct rlimit zero = {0, 0};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (setrlimit(none[i], &zero) < 0)
			return -errno;
	return 0;
}

/* What a program that is executed could get. EPERM: a manager has taken the right to give up more. */
static int drop_bounds(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EPERM)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	if (prctl(PR_SET_SECUREBITS, SECUREBITS) < 0 && errno != EPERM)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static int become(const struct login *a)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
	    setresuid(a->uid, a->uid, a->uid) < 0)
		return -errno;
	return a->uid != 0 && setresuid(0, 0, 0) == 0 ? -ENOTRECOVERABLE : 0;
}

/* As become(), staying the child that ends with its parent: the kernel forgets that when ids change. */
static int become_as_child(const struct login *a)
{
	pid_t parent = getppid();
	int signal = 0, r;

	if (prctl(PR_GET_PDEATHSIG, &signal) < 0)
		return -errno;
	r = become(a);
	if (r < 0 || signal == 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, signal) < 0)
		return -errno;
	return getppid() == parent ? 0 : -EOWNERDEAD;
}

static int restrict_files(const struct cage *c)
{
	_cleanup_(freep) char *volatile_dir = NULL;
	_cleanup_(freep) char *published_dir = NULL;
	int r;

	if (asprintf(&volatile_dir, "%s/volatile", c->state_dir) < 0) {
		volatile_dir = NULL;
		return -ENOMEM;
	}
	if (asprintf(&published_dir, "%s/published", c->run_dir) < 0) {
		published_dir = NULL;
		return -ENOMEM;
	}
	r = cage_restrict_files((const char *const[]){volatile_dir, published_dir}, 2);
	if (r == 0)
		log_debug("this kernel has no Landlock: the account alone keeps the worker from "
			  "writing");
	return r < 0 ? r : 0;
}

static int give_up_rights(const struct login *a)
{
	int r = lower_limits();

	if (r == 0)
		r = drop_bounds();
	if (r == 0)
		r = become_as_child(a);
	if (r == 0)
		r = drop_capabilities();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r < 0)
		log_error("cannot run as \"%u:%u\": %s", a->uid, a->gid, strerror(-r));
	return r;
}

int cage_enter(const struct cage *c)
{
	int r = give_up_rights(c->account);

	if (r < 0)
		return r;
	/* A sanitizer looks at its own process from outside. */
	if (CAGE_HAS_SANITIZER && prctl(PR_SET_DUMPABLE, 1) < 0)
		return -errno;
	r = restrict_files(c);
	if (r < 0) {
		log_error("cannot restrict what is written: %s", strerror(-r));
		return r;
	}
	r = cage_filter_calls();
	if (r < 0)
		log_error("cannot filter kernel calls: %s; a kernel with CONFIG_SECCOMP_FILTER is "
			  "needed",
			  strerror(-r));
	return r;
}
