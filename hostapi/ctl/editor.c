/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See editor.h. The editor's command may have words of its own ("code -w"), so a shell splits it. */
#include "ctl/editor.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "ctl/input.h"
#include "ctl/say.h"

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		n -= (size_t)done;
	}
	return 0;
}

/* posix_spawn() with SIGINT and SIGQUIT as they were before we began to ignore them. */
static int spawn_shell(pid_t *ret_pid, char **argv)
{
	posix_spawnattr_t attr;
	sigset_t signals;
	int r = posix_spawnattr_init(&attr);

	if (r != 0)
		return r;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	posix_spawnattr_setsigdefault(&attr, &signals);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn(ret_pid, "/bin/sh", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return r;
}

static int run_editor(const char *subject, const char *path)
{
	const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
	_cleanup_(freep) char *script = NULL;
	char *argv[] = {(char *)"sh", (char *)"-c", NULL, (char *)"sh", (char *)path, NULL};
	int status, r;
	pid_t pid;

	if (visual && *visual)
		editor = visual;
	if (!editor || !*editor)
		editor = "vi";
	if (asprintf(&script, "%s \"$1\"", editor) < 0)
		script = NULL;
	argv[2] = script;
	r = script ? spawn_shell(&pid, argv) : ENOMEM;
	if (r != 0)
		return say_errno(subject, -r, "cannot start the editor");
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return say_errno(subject, -errno, "cannot wait for the editor");
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return say(SAY_REFUSED, subject,
			   "the editor failed, nothing changed; set $EDITOR to another one");
	return 0;
}

/* What is typed at the editor is the editor's: Ctrl-C there must not leave the file behind. */
static int spawn(const char *subject, const char *path)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction interrupt, quit;
	int r;

	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	r = run_editor(subject, path);
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	return r;
}

int editor_run(const char *subject, struct buf *b)
{
	const char *directory = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	_cleanup_(buf_finish) struct buf edited = {0};
	_cleanup_(closep) int fd = -1, again = -1;
	_cleanup_(freep) char *path = NULL;
	int r;

	if (asprintf(&path, "%s/devlxdfs-XXXXXX.yaml", directory) < 0) {
		path = NULL;
		return say_errno(subject, -ENOMEM, "cannot start the editor");
	}
	fd = mkostemps(path, 5, O_CLOEXEC);
	r = fd < 0 ? -errno : write_all(fd, b->data, b->len);
	if (r == 0) {
		r = spawn(subject, path);
		/* Editors replace the file: what stands there now is another one. */
		again = open(path, O_RDONLY | O_CLOEXEC);
		if (r == 0)
			r = again < 0 ? -errno : input_bytes(again, &edited);
	}
	if (fd >= 0)
		unlink(path);
	if (r < 0)
		return say_errno(subject, r, "cannot use a temporary file");
	if (r == 0) {
		buf_finish(b);
		*b = edited;
		edited = (struct buf){0};
	}
	return r;
}
