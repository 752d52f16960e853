/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mount of the tree: made, shaken hands with, taken down
 *
 * Numbers of newer kernels are repeated here because the headers of Debian 12 lack them
 * (include/uapi/linux/fuse.h).
 */
#include "mount.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/text.h"

/* In fuse_init_out::flags2. */
#define FLAG2_PASSTHROUGH (UINT32_C(1) << (37 - 32)) /* 6.9 */
#define FLAG2_NO_EXPORT_SUPPORT                                                                    \
	(UINT32_C(1) << (38 - 32))                  /* 6.9: nodes cannot be opened by number */
#define FLAG2_HAS_RESEND (UINT32_C(1) << (39 - 32)) /* 6.9 */

#define WANTED_FLAGS                                                                               \
	(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |          \
	 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |     \
	 FUSE_INIT_EXT)
#define WANTED_FLAGS2 (FLAG2_PASSTHROUGH | FLAG2_NO_EXPORT_SUPPORT | FLAG2_HAS_RESEND)

/* Only `state` is written, a word at a time; large values are read in few requests. */
#define WRITE_MAX 4096
#define PAGES_MAX 256
/* Read-ahead in flight, of all guests together: the queue in front of us is fair, the kernel's is not. */
#define BACKGROUND_MAX 1024

#define HANDSHAKE_MS 10000

/* No link either (5.10): the tree has none, and a worker must not lead the poker, or the host's root, elsewhere. */
#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW)

/* How many of ours are mounted at @path, or -errno; *ret_number is that of the last one. */
static int count_mounts(const char *path, uint32_t *ret_number)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;
	int n = 0;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) >= 0) {
		struct mountinfo m;
		uint64_t number = 0;

		if (mountinfo_parse(line, &m) < 0 || !streq(m.point, path) ||
		    !streq(m.type, MOUNT_TYPE))
			continue;
		n++;
		/* Such devices have no major number. */
		if (text_has_prefix(m.device, "0:"))
			(void)text_to_u64(m.device + 2, 0, UINT32_MAX, &number);
		*ret_number = (uint32_t)number;
	}
	return n;
}

uint32_t mount_number(const char *path)
{
	uint32_t number = 0;

	return count_mounts(path, &number) > 0 ? number : 0;
}

void mount_take_down(const char *path)
{
	uint32_t number;
	int n = count_mounts(path, &number);

	if (n < 0)
		n = 1;
	while (n-- > 0) {
		if (umount2(path, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
			log_warn("cannot unmount \"%s\", ignoring: %m", path);
	}
}

static int read_init(int fd, struct shared *s)
{
	_cleanup_(freep) unsigned char *request = malloc(FUSE_MIN_READ_BUFFER);
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	const struct fuse_in_header *head = (const void *)request;
	ssize_t n;

	if (!request)
		return -ENOMEM;
	if (poll(&readable, 1, HANDSHAKE_MS) != 1)
		return -ETIMEDOUT;
	n = read(fd, request, FUSE_MIN_READ_BUFFER);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(*head) + 16 || (size_t)n > sizeof(s->init) ||
	    head->opcode != FUSE_INIT)
		return -EPROTO;
	memcpy(s->init, request, n);
	s->init_len = (uint32_t)n;
	return 0;
}

static struct fuse_init_in offer_of(const struct shared *s)
{
	struct fuse_init_in offer = {0};
	size_t n = s->init_len - sizeof(struct fuse_in_header);

	memcpy(&offer, s->init + sizeof(struct fuse_in_header),
	       n < sizeof(offer) ? n : sizeof(offer));
	return offer;
}

bool mount_has_resend(const struct shared *s)
{
	struct fuse_init_in offer = offer_of(s);

	return !s->is_resend_off && (offer.flags & FUSE_INIT_EXT) &&
	       (offer.flags2 & FLAG2_HAS_RESEND);
}

bool mount_has_passthrough(const struct shared *s)
{
	struct fuse_init_in offer = offer_of(s);

	return (offer.flags & FUSE_INIT_EXT) && (offer.flags2 & FLAG2_PASSTHROUGH);
}

/* What we agree to, of what the kernel offers. */
static int answer_init(int fd, const struct shared *s)
{
	const struct fuse_in_header *head = (const void *)s->init;
	struct fuse_init_in offer = offer_of(s);
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .max_write = WRITE_MAX};
	struct fuse_out_header reply = {.len = sizeof(reply) + sizeof(out), .unique = head->unique};
	struct iovec parts[] = {{&reply, sizeof(reply)}, {&out, sizeof(out)}};

	if (offer.major != FUSE_KERNEL_VERSION || offer.minor < 31)
		return -EPROTO;
	out.minor =
		offer.minor < FUSE_KERNEL_MINOR_VERSION ? offer.minor : FUSE_KERNEL_MINOR_VERSION;
	out.max_readahead = offer.max_readahead;
	out.flags = offer.flags & WANTED_FLAGS;
	if (offer.flags & FUSE_INIT_EXT)
		out.flags2 = offer.flags2 & WANTED_FLAGS2;
	out.max_background = BACKGROUND_MAX;
	out.congestion_threshold = BACKGROUND_MAX / 4 * 3;
	out.time_gran = 1;
	out.max_pages = PAGES_MAX;
	if (out.flags2 & FLAG2_PASSTHROUGH)
		out.unused[0] = 1; /* max_stack_depth of 6.9 */
	return writev(fd, parts, 2) < 0 ? -errno : 0;
}

static int mount_at(const char *path, int fd)
{
	char options[128];

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40711,user_id=0,group_id=0,allow_other,default_permissions", fd);
	return mount("devlxdfs", path, MOUNT_TYPE, MOUNT_FLAGS, options) < 0 ? -errno : 0;
}

int mount_tree(const char *path, struct shared *s, int *ret_fd)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (mount_number(path) != 0)
		log_warn(
			"an earlier daemon ended and left \"%s\" mounted, unmounting it; what guests have "
			"of it is dead until they mount theirs anew",
			path);
	mount_take_down(path);
	r = file_mkdirs(path, 0755);
	if (r == 0) {
		fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0) {
			r = -errno;
			log_error("cannot open /dev/fuse: %m; load the module fuse, or start with "
				  "--no-fuse to serve the socket only");
			return r;
		}
		r = mount_at(path, fd);
	}
	if (r < 0) {
		log_error("cannot mount \"%s\": %s; --no-fuse serves the socket only", path,
			  strerror(-r));
		return r;
	}
	r = read_init(fd, s);
	if (r == 0)
		r = answer_init(fd, s);
	if (r < 0) {
		log_error("cannot agree with the kernel on \"%s\": %s", path, strerror(-r));
		mount_take_down(path);
		return r;
	}
	s->mount_number = mount_number(path);
	*ret_fd = steal_fd(&fd);
	return 0;
}
