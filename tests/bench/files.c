/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * files [-s SECONDS] [-c THREADS] [-n TIMES] MODE PATH...: asks a file system as fast as it can
 *
 * MODE is what each thread does, in turn with each PATH, for SECONDS or TIMES; `storm` is what a
 * hostile guest does with the directory that it finds at /dev/lxd. Prints one JSON object: times a
 * second, latency percentiles, how many failed, and the errno of the first that did.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "clients.h"

#define STORM_KEYS 50

/* All return 0 or a negative errno; @turn is how often this thread did something before. */
typedef int (*operation)(const char *path, uint64_t turn);

struct files {
	operation once;
	char **paths;
	uint64_t n_paths, n_times;
	_Atomic uint64_t n_started;
	struct clients clients;
};

static struct files files = {.n_times = UINT64_MAX, .clients = {.n = 1, .seconds = 1}};

DEFINE_CLEANUP(DIR *, closedir);

static int read_file(const char *path, uint64_t turn)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char bytes[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, bytes, sizeof(bytes));
	while (n > 0);
	return n < 0 ? -errno : 0;
}

static int stat_file(const char *path, uint64_t turn)
{
	struct stat st;

	return stat(path, &st) < 0 ? -errno : 0;
}

static int access_file(const char *path, uint64_t turn)
{
	return access(path, F_OK) < 0 ? -errno : 0;
}

static int list_and(const char *path, bool is_long)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	if (!dir)
		return -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (is_long && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	return -errno;
}

static int list(const char *path, uint64_t turn)
{
	return list_and(path, false);
}

/* As `ls -l` does it. */
static int list_long(const char *path, uint64_t turn)
{
	return list_and(path, true);
}

static int write_state(const char *path, uint64_t turn)
{
	static const char *const words[] = {"Started\n", "Ready\n"};
	const char *word = words[turn % ARRAY_SIZE(words)];
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 || write(fd, word, strlen(word)) < 0 ? -errno : 0;
}

static int storm(const char *path, uint64_t turn)
{
	static const struct {
		operation once;
		const char *name; /* NULL: of a key */
	} mix[] = {
		{read_file, NULL}, {stat_file, NULL},      {list, "config"},
		{list_long, "."},  {write_state, "state"}, {access_file, "no-such-name"},
	};
	size_t i = turn % ARRAY_SIZE(mix);
	char key[32], whole[4096];
	int r;

	snprintf(key, sizeof(key), "config/user.key%04u", (unsigned)(turn % STORM_KEYS));
	snprintf(whole, sizeof(whole), "%s/%s", path, mix[i].name ? mix[i].name : key);
	r = mix[i].once(whole, turn / ARRAY_SIZE(mix));
	return r == -ENOENT && mix[i].once == access_file ? 0 : r;
}

static const struct {
	const char *name;
	operation once;
} modes[] = {
	{"read", read_file}, {"stat", stat_file}, {"access", access_file},
	{"list", list},      {"ls", list_long},   {"storm", storm},
};

static void *client(void *arg)
{
	uint64_t first = atomic_fetch_add(&files.n_started, 1), start_ns;

	for (uint64_t i = 0; i < files.n_times && clients_begin(&files.clients, &start_ns); i++) {
		const char *path = files.paths[(first + i) % files.n_paths];

		clients_end(&files.clients, start_ns, files.once(path, first + i));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int c, r = 0;

	while ((c = getopt(argc, argv, "s:c:n:")) != -1) {
		if (c == 'n')
			r |= text_to_u64(optarg, 1, UINT64_MAX, &files.n_times);
		else
			r |= clients_option(&files.clients, c, optarg);
	}
	for (size_t i = 0; argc - optind >= 2 && i < ARRAY_SIZE(modes); i++)
		files.once = streq(argv[optind], modes[i].name) ? modes[i].once : files.once;
	if (r < 0 || !files.once) {
		fprintf(stderr, "usage: files [-s SECONDS] [-c THREADS] [-n TIMES] "
				"read|stat|access|list|ls|storm PATH...\n");
		return 2;
	}
	files.paths = argv + optind + 1;
	files.n_paths = (uint64_t)(argc - optind - 1);
	return clients_run(&files.clients, client, NULL);
}
