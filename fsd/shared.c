/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shared state: what outlives a worker
 *
 * A worker of another build may find it: the version changes with the struct.
 */
#include "shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#define MAGIC   UINT64_C(0x6465766c78646673) /* "devlxdfs" */
#define VERSION 9

size_t shared_size(void)
{
	return (sizeof(struct shared) + 4095) / 4096 * 4096;
}

/* NULL and errno when it fails. */
static struct shared *map(int fd)
{
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

int shared_new(int *ret_fd, struct shared **ret)
{
	_cleanup_(closep) int fd = memfd_create("devlxdfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_(shared_freep) struct shared *s = NULL;
	unsigned char id[sizeof(s->mount_id) / 2];

	/* A worker that made it shorter would end all that map it. */
	if (fd < 0 || ftruncate(fd, (off_t)shared_size()) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	s = map(fd);
	if (!s)
		return -errno;
	if (getrandom(s->secret, sizeof(s->secret), 0) != sizeof(s->secret) ||
	    getrandom(id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(s->mount_id + 2 * i, 3, "%02x", id[i]);
	s->magic = MAGIC;
	s->version = VERSION;
	s->size = sizeof(*s);
	*ret_fd = steal_fd(&fd);
	*ret = steal_ptr(&s);
	return 0;
}

int shared_map(int fd, struct shared **ret)
{
	_cleanup_(shared_freep) struct shared *s = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)shared_size())
		return -EINVAL;
	s = map(fd);
	if (!s)
		return -errno;
	if (s->magic != MAGIC || s->version != VERSION || s->size != sizeof(*s) ||
	    s->init_len > sizeof(s->init))
		return -EINVAL;
	*ret = steal_ptr(&s);
	return 0;
}

struct shared *shared_free(struct shared *s)
{
	if (s)
		munmap(s, sizeof(*s));
	return NULL;
}
