/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of the records in a directory
 *
 * Looks at names only: whether a file can be read is found out by who reads it.
 */
#include "store/listing.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/cleanup.h"
#include "store/names.h"

void listing_finish(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
	*l = (struct listing){0};
}

int listing_add(struct listing *l, const char *name)
{
	/* Grows when the number is a power of two, to twice that and the NULL. */
	if ((l->n & (l->n - 1)) == 0) {
		char **names = reallocarray(l->names, l->n ? 2 * l->n + 1 : 2, sizeof(*names));

		if (!names)
			return -ENOMEM;
		l->names = names;
	}
	l->names[l->n] = strdup(name);
	if (!l->names[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

int listing_read(struct listing *l, int fd, enum record_kind kind, bool in_state)
{
	_cleanup_(closep) int sub_fd = -1;
	_cleanup_(file_closedirp) DIR *d = NULL;
	struct dirent *entry;

	sub_fd = openat(fd, names_directory(kind), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sub_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	d = fdopendir(sub_fd);
	if (!d)
		return -errno;
	sub_fd = -1; /* consumed */
	for (errno = 0; (entry = readdir(d)); errno = 0) {
		char name[NAMES_RECORD_MAX + 1];
		size_t suffix;

		if (names_split(entry->d_name, in_state, name, &suffix) == 0 &&
		    listing_add(l, name) < 0)
			return -ENOMEM;
	}
	return -errno;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int listing_steal(struct listing *l, char ***ret, size_t *ret_n)
{
	size_t kept = 0;

	if (!l->names)
		l->names = calloc(1, sizeof(*l->names));
	if (!l->names)
		return -ENOMEM;
	qsort(l->names, l->n, sizeof(*l->names), compare);
	for (size_t i = 0; i < l->n; i++) {
		if (kept > 0 && streq(l->names[kept - 1], l->names[i]))
			free(l->names[i]);
		else
			l->names[kept++] = l->names[i];
	}
	l->names[kept] = NULL;
	*ret_n = kept;
	*ret = steal_ptr(&l->names);
	l->n = 0;
	return 0;
}
