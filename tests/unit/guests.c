/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real cgroups and real processes for tests of identity
 *
 * No namespace, cgroup or process outlives the test: a child ends with its control socket, so
 * also when the test dies.
 */
#include "guests.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/text.h"
#include "core/diff.h"
#include "core/identity.h"
#include "core/registry.h"
#include "records.h"

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #x);                \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void write_file(int dir_fd, const char *path, const char *text)
{
	_cleanup_(closep) int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void listen_somewhere(struct guests *g)
{
	struct sockaddr_un any = {.sun_family = AF_UNIX};

	g->listen_fd = guests_socket();
	/* An address of the kernel's choice. */
	CHECK(bind(g->listen_fd, (struct sockaddr *)&any, sizeof(any.sun_family)) == 0);
	CHECK(listen(g->listen_fd, 64) == 0);
}

bool guests_init(struct guests *g, size_t cache_max)
{
	*g = (struct guests){.root_fd = cgroup_open_root(NULL), .listen_fd = -1};
	if (g->root_fd < 0) {
		printf("skipped: no cgroup2 hierarchy: %s\n", strerror(-g->root_fd));
		return false;
	}
	for (unsigned i = 0; g->base[0] == '\0' || errno == EEXIST; i++) {
		snprintf(g->base, sizeof(g->base), "/devlxdfs-test-%d-%u", getpid(), i);
		errno = 0;
		if (mkdirat(g->root_fd, g->base + 1, 0755) == 0)
			break;
		if (errno != EEXIST) {
			printf("skipped: cannot make a cgroup: %m\n");
			closep(&g->root_fd);
			return false;
		}
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	g->registry = registry_new();
	CHECK(g->registry && identity_new(g->registry, cache_max, &g->identity) == 0);
	listen_somewhere(g);
	return true;
}

bool guests_are_possible(void)
{
	struct guests g;
	bool are = guests_init(&g, 1);

	if (are)
		guests_finish(&g);
	return are;
}

const char *guests_path(struct guests *g, const char *name)
{
	static char paths[8][256]; /* enough for one expression */
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s%s%s", g->base, *name ? "/" : "", name);
	return path;
}

uint64_t guests_make(struct guests *g, const char *name)
{
	_cleanup_(freep) char *path = strdup(guests_path(g, name));
	uint64_t id;

	for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		CHECK(mkdirat(g->root_fd, path + 1, 0755) == 0 || errno == EEXIST);
	}
	CHECK(mkdirat(g->root_fd, path + 1, 0755) == 0 || errno == EEXIST);
	CHECK(cgroup_id(g->root_fd, path, &id) == 0);
	return id;
}

void guests_remove(struct guests *g, const char *name)
{
	CHECK(unlinkat(g->root_fd, guests_path(g, name) + 1, AT_REMOVEDIR) == 0);
}

void guests_move(struct guests *g, const char *name, pid_t pid)
{
	char file[300], text[16];

	snprintf(file, sizeof(file), "%s/cgroup.procs", guests_path(g, name) + 1);
	snprintf(text, sizeof(text), "%d", pid);
	write_file(g->root_fd, file, text);
}

void guests_record(struct guests *g, const char *instance, const char *name, int64_t root_uid)
{
	struct record *record = records_new(instance, NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
	_cleanup_(diff_freep) struct diff *diff = NULL;

	record->match_cgroup = name ? strdup(guests_path(g, name)) : NULL;
	record->has_root = root_uid >= 0;
	record->root_uid = root_uid >= 0 ? (uint32_t)root_uid : 0;
	s = records_snapshot(record, NULL);
	CHECK(registry_publish(g->registry, s, &diff) == 0);
}

void guests_withdraw(struct guests *g, const char *instance)
{
	_cleanup_(diff_freep) struct diff *diff = NULL;

	CHECK(registry_withdraw(g->registry, instance, &diff) == 0);
}

int guests_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	return fd;
}

int guests_accept(struct guests *g)
{
	int fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static void connect_to(int listen_fd, int fd)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);

	CHECK(getsockname(listen_fd, (struct sockaddr *)&address, &size) == 0);
	CHECK(connect(fd, (struct sockaddr *)&address, size) == 0);
}

static void tell(int control)
{
	CHECK(write(control, "x", 1) == 1);
}

/* Whether there was a byte; false at the end of the other side. */
static bool hear(int control)
{
	char c;

	return read(control, &c, 1) == 1;
}

static void be_child(struct guests *g, const struct start *start, int control)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	guests_move(g, start->cgroup ? start->cgroup : "", 0);
	CHECK(unshare(start->unshare) == 0);
	tell(control); /* now the parent can write the map */
	CHECK(hear(control));
	if (start->uid)
		CHECK(setresuid(start->uid, start->uid, start->uid) == 0);
	else if (start->map)
		CHECK(setresuid(0, 0, 0) == 0);
	if (start->connect_fd > 0)
		connect_to(g->listen_fd, start->connect_fd);
	if (start->then)
		_exit(start->then(start->data, control));
	tell(control);
	hear(control);
	_exit(0);
}

/* fork(2), or a process with a wanted id. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1};

	return pid ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : fork();
}

static struct child *find_child(struct guests *g, pid_t pid)
{
	for (size_t i = 0; i < g->n_children; i++)
		if (g->children[i].pid == pid)
			return &g->children[i];
	abort();
}

void guests_hear(struct guests *g, pid_t pid)
{
	CHECK(hear(find_child(g, pid)->control));
}

pid_t guests_start(struct guests *g, const struct start *start)
{
	int control[2];
	pid_t pid;

	CHECK(g->n_children < GUESTS_MAX);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0);
	pid = fork_as(start->pid);
	CHECK(pid >= 0);
	if (pid == 0) {
		/* Else the earlier children would not see their end while this one lives. */
		for (size_t i = 0; i < g->n_children; i++)
			close(g->children[i].control);
		close(control[0]);
		be_child(g, start, control[1]);
	}
	close(control[1]);
	g->children[g->n_children++] = (struct child){pid, control[0]};
	guests_hear(g, pid);
	if (start->map) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
		write_file(AT_FDCWD, path, start->map);
	}
	tell(control[0]);
	guests_hear(g, pid);
	return pid;
}

void guests_end(struct guests *g, pid_t pid)
{
	struct child *child = find_child(g, pid);

	close(child->control);
	CHECK(waitpid(pid, NULL, 0) == pid);
	*child = g->children[--g->n_children];
}

static void *wait_for_ever(void *data)
{
	for (;;)
		pause();
	return NULL;
}

int guests_two_threads(void *data, int control)
{
	pthread_t thread;
	char c;

	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0 || write(control, "x", 1) != 1)
		return 1;
	return read(control, &c, 1) == 0 ? 0 : 1;
}

pid_t guests_second_thread(pid_t pid)
{
	char path[32];
	struct dirent *entry;
	uint64_t tid = 0, found = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	CHECK(tasks);
	while ((entry = readdir(tasks)))
		if (text_to_u64(entry->d_name, 1, INT32_MAX, &tid) == 0 && (pid_t)tid != pid)
			found = tid;
	closedir(tasks);
	CHECK(found != 0);
	return (pid_t)found;
}

int guests_caller(struct guests *g, struct start start, pid_t *ret_pid)
{
	_cleanup_(closep) int fd = guests_socket();
	pid_t pid;

	start.connect_fd = fd;
	pid = guests_start(g, &start);
	if (ret_pid)
		*ret_pid = pid;
	return guests_accept(g);
}

static int remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return type == FTW_DP ? rmdir(path) : 0;
}

void guests_finish(struct guests *g)
{
	char kill_file[80], path[128];

	if (g->root_fd < 0)
		return;
	snprintf(kill_file, sizeof(kill_file), "%s/cgroup.kill", g->base + 1);
	write_file(g->root_fd, kill_file, "1");
	while (g->n_children)
		guests_end(g, g->children[0].pid);
	while (waitpid(-1, NULL, 0) > 0) /* what they left behind */
		;
	closep(&g->listen_fd);
	identity_free(g->identity);
	registry_free(g->registry);
	snprintf(path, sizeof(path), "/proc/self/fd/%d%s", g->root_fd, g->base);
	CHECK(nftw(path, remove_cgroup, 16, FTW_DEPTH | FTW_PHYS) == 0);
	closep(&g->root_fd);
}
