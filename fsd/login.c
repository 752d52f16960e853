/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The account that the worker runs as
 *
 * Asks the host's databases, so neither a caged process nor one with threads may come here.
 */
#include "login.h"

#include <grp.h>
#include <pwd.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text.h"

static struct passwd *look_up(const char *user)
{
	struct passwd *entry = getpwnam(user);
	uint64_t uid;

	if (!entry && text_to_u64(user, 0, UINT32_MAX - 1, &uid) == 0)
		entry = getpwuid((uid_t)uid);
	return entry;
}

static void name_group(struct login *a)
{
	const struct group *entry = getgrgid(a->gid);

	if (!entry || strlen(entry->gr_name) >= sizeof(a->group))
		snprintf(a->group, sizeof(a->group), "%u", a->gid);
	else
		memcpy(a->group, entry->gr_name, strlen(entry->gr_name) + 1);
}

int login_find(const char *user, struct login *ret)
{
	struct login a = {.uid = geteuid(), .gid = getegid(), .is_own = true};
	const struct passwd *entry = NULL;
	int r = 0;

	if (user || a.uid == 0) {
		errno = 0;
		entry = look_up(user ?: LOGIN_DEFAULT);
		/* Not found is said in several ways. */
		if (!entry && errno != 0 && errno != ENOENT && errno != ESRCH && errno != EPERM)
			return -errno;
		if (!entry && user)
			return -ENOENT;
		r = entry ? 0 : LOGIN_E_ABSENT;
	}
	if (entry) {
		a.is_own = entry->pw_uid == a.uid && entry->pw_gid == a.gid;
		a.uid = entry->pw_uid;
		a.gid = entry->pw_gid;
	}
	name_group(&a);
	*ret = a;
	return r;
}
