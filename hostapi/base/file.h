#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole files
 *
 * Reading is bounded; writing is atomic: temporary name in the same directory,
 * fsync, rename, fsync of the directory, so that a reader and a crash see the
 * old bytes or the new ones. Directories are given as descriptors (AT_FDCWD
 * allowed) so that a path is resolved once.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* For _cleanup_; with it goes the descriptor that it was made of. */
static inline void file_closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Lists @dir_fd, which stays the caller's and as it is. NULL and errno. */
DIR *file_opendir(int dir_fd);

/*
 * Reads the regular file @name in @dir_fd, at most @max bytes. *ret_bytes is
 * NUL-terminated, owned by the caller. Returns 0, -EFBIG when the file is
 * larger, -EINVAL when it is not a regular file (never blocks on a FIFO), or
 * -errno.
 */
int file_read(int dir_fd, const char *name, size_t max, char **ret_bytes, size_t *ret_len);

/*
 * Reads what a /proc or cgroup file says, for files whose size is not known
 * before: into @buf (@size bytes, NUL-terminated). Returns the number of bytes
 * or -errno; -EFBIG when it does not fit.
 */
ssize_t file_read_proc(int dir_fd, const char *name, char *buf, size_t size);

/* All @n bytes to @fd, where it stands. Returns 0 or -errno. */
int file_write_all(int fd, const char *bytes, size_t n);

enum file_sync {
	FILE_SYNC_NONE, /* atomic for readers, not durable: volatile state */
	FILE_SYNC_FULL, /* file and directory are on disk when it returns */
};

/*
 * Replaces @name in @dir_fd with @n bytes, mode @mode. The temporary name is
 * ".NAME.<random>" and is removed on failure; the old file stays whole.
 * Returns 0 or -errno (-ENOSPC, -EROFS, ...).
 */
int file_write(int dir_fd, const char *name, mode_t mode, const void *bytes, size_t n,
	       enum file_sync sync);

/* Removes @name and syncs the directory. Returns 0 or -errno (-ENOENT when absent). */
int file_remove(int dir_fd, const char *name);

/*
 * Takes an exclusive flock on @name in @dir_fd, made if missing (0600). With
 * @wait it blocks, else -EWOULDBLOCK. Returns the descriptor that holds the
 * lock (close it to unlock) or -errno.
 */
int file_lock(int dir_fd, const char *name, bool wait);

/*
 * Makes the directory @path and its missing parents; the last one with
 * @mode, parents 0755. Existing directories are left as they are.
 * Returns 0 or -errno (-ENOTDIR when something else is there).
 */
int file_mkdirs(const char *path, mode_t mode);

/*
 * openat2(2) (5.6), close-on-exec: @resolve is its RESOLVE_* flags, which say where links and ".." may lead. Returns the
 * descriptor or -errno.
 */
int file_open_at(int dir_fd, const char *path, int flags, uint64_t resolve);
