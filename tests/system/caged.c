/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caged STATE RUN WHAT [ARGUMENT]: tries WHAT from inside the worker's cage
 *
 * Prints "done", or the name of the error. A call that the cage answers with death ends it so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "cage.h"
#include "login.h"

static int try_exec(const char *path)
{
	char *const argv[] = {(char *)path, NULL};

	return execv(path, argv);
}

static int try_fork(const char *unused)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return (int)pid;
}

static int try_mount(const char *path)
{
	return mount("none", path, "tmpfs", 0, NULL);
}

static int try_trace(const char *pid)
{
	uint64_t n = 0;

	(void)text_to_u64(pid, 1, INT32_MAX, &n);
	return (int)ptrace(PTRACE_ATTACH, (pid_t)n, NULL, NULL);
}

static int try_read(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : 0;
}

static int try_write(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? -1 : (int)write(fd, "x", 1);
}

static int try_remove(const char *path)
{
	return unlink(path);
}

static int try_inet(const char *unused)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : 0;
}

static int try_unix(const char *unused)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : 0;
}

/* On the one kind of socket that there is. */
static int try_connect(const char *path)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static int try_root(const char *unused)
{
	return setresuid(0, 0, 0);
}

static int try_kill(const char *pid)
{
	uint64_t n = 0;

	(void)text_to_u64(pid, 1, INT32_MAX, &n);
	return kill((pid_t)n, 0);
}

static int try_code(const char *unused)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	return at == MAP_FAILED ? -1 : 0;
}

static int try_nothing(const char *unused)
{
	return 0;
}

static const struct {
	const char *word;
	int (*try)(const char *argument);
} all[] = {
	{"exec", try_exec}, {"fork", try_fork},       {"mount", try_mount},   {"trace", try_trace},
	{"read", try_read}, {"write", try_write},     {"remove", try_remove}, {"inet", try_inet},
	{"unix", try_unix}, {"connect", try_connect}, {"root", try_root},     {"kill", try_kill},
	{"code", try_code}, {"nothing", try_nothing},
};

int main(int argc, char **argv)
{
	struct login account;
	const struct cage cage = {&account, argc > 2 ? argv[1] : "", argc > 2 ? argv[2] : ""};

	log_init("caged", LOG_LEVEL_INFO);
	if (argc < 4 || login_find(NULL, &account) != 0 || cage_enter(&cage) < 0)
		return 2;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!streq(all[i].word, argv[3]))
			continue;
		errno = 0;
		puts(all[i].try(argc > 4 ? argv[4] : "") >= 0 ? "done" : strerrorname_np(errno));
		return 0;
	}
	return 2;
}
