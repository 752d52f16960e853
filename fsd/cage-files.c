/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cage's wall of Landlock
 *
 * Reading is left to modes and owners, because records may be links to anywhere. Structs and numbers of newer kernels are
 * repeated here because the headers of Debian 12 lack them (include/uapi/linux/landlock.h).
 */
#include "cage.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "cage-private.h"

#define ACCESS_FS_TRUNCATE    (UINT64_C(1) << 14) /* version 3 */
#define ACCESS_FS_IOCTL_DEV   (UINT64_C(1) << 15) /* version 5 */
#define ACCESS_NET_TCP        UINT64_C(3)         /* version 4: bind and connect */
#define SCOPE_ABSTRACT_SIGNAL UINT64_C(3)         /* version 6: abstract sockets and signals */

#define ACCESS_FS_1                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                              \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                            \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_FS_WRITABLE                                                                         \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
	 LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_FS_TRUNCATE)

struct ruleset {
	uint64_t fs, net, scoped;
};

/* How much of the struct the version knows. */
static size_t ruleset_for(int version, struct ruleset *ret)
{
	*ret = (struct ruleset){.fs = ACCESS_FS_1};
	if (version >= 2)
		ret->fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		ret->fs |= ACCESS_FS_TRUNCATE;
	if (version >= 5)
		ret->fs |= ACCESS_FS_IOCTL_DEV;
	if (version >= 4)
		ret->net = ACCESS_NET_TCP;
	if (version >= 6)
		ret->scoped = SCOPE_ABSTRACT_SIGNAL;
	return version >= 6   ? sizeof(*ret)
	       : version >= 4 ? offsetof(struct ruleset, scoped)
			      : offsetof(struct ruleset, net);
}

static int allow(int ruleset_fd, const char *path, uint64_t what)
{
	_cleanup_(closep) int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const struct landlock_path_beneath_attr rule = {.allowed_access = what, .parent_fd = fd};

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

int cage_restrict_files(const char *const *writable, size_t n)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_(closep) int fd = -1;
	struct ruleset ruleset;
	size_t size;
	int r = 0;

	if (version < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM ? 0 : -errno;
	size = ruleset_for((int)version, &ruleset);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n && r == 0; i++)
		r = allow(fd, writable[i], ACCESS_FS_WRITABLE & ruleset.fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return r < 0 ? r : (int)version;
}
