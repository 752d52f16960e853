#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The account that the worker runs as
 */
#include <stdbool.h>
#include <sys/types.h>

#define LOGIN_DEFAULT "devlxdfs"

struct login {
	uid_t uid;
	gid_t gid;      /* its main group */
	char group[64]; /* the name of that, or its number */
	bool is_own;    /* the one we have already: nothing changes hands */
};

enum {
	_LOGIN_E_SUCCESS,
	LOGIN_E_ABSENT, /* the default one does not exist: *ret is ours */
};

/*
 * Finds @user, a name or an id, NULL: the default one. Who is not root has no choice but its own.
 * Returns 0, LOGIN_E_ABSENT, -ENOENT when one that was asked for does not exist, or -errno.
 */
int login_find(const char *user, struct login *ret);
