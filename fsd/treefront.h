#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree as a front: a way in beside the sockets
 *
 * Assembles source, branches, operations, libfuse session and request loop on a mount that the keeper made, and has the
 * HTTP server listen on the sockets in the tree.
 */
#include "api/request.h"
#include "asker.h"
#include "channel.h"
#include "source-local.h"

struct http_server;
struct images;
struct snapshot;
struct treefront;

struct treefront_options {
	int fuse_fd, shared_fd, journal_fd; /* borrowed */
	int listen_fd; /* the socket for all, perhaps not bound yet; taken over by the HTTP server */
	int keeper_fd;       /* borrowed */
	int poke_fd;         /* borrowed; to the poker */
	struct asker *asker; /* borrowed; of the keeper */
	const char *run_dir;
	struct source_local source; /* copied */
	struct images *images;      /* borrowed, as the next two */
	struct hub *hub;
	const struct settings *settings;
	unsigned n_threads;
};

/* Takes up what earlier workers left; serves nothing yet. Logs what is wrong. Returns 0 or -errno. */
int treefront_new(const struct treefront_options *options, struct treefront **ret);

/* Guests are served from now on, @http listens on the tree's sockets. Returns 0 or -errno. */
int treefront_start(struct treefront *t, struct http_server *http);

/* The HTTP server is not used any more. Files are served all the same. NULL-safe. */
void treefront_leave_http(struct treefront *t);

/*
 * Answers what was read and ends serving. The rest stays, because changes may still be told of (treefront_changed()). NULL-safe.
 */
void treefront_stop(struct treefront *t);

/* Whether requests have been answered, or there were none to answer, since the last call. By one thread. */
bool treefront_gets_on(struct treefront *t);

/* What the keeper says of a socket; @fd is taken over. */
void treefront_message(struct treefront *t, const struct channel_message *m, int fd);

/* The instance @name has changed, come or gone. */
void treefront_changed(struct treefront *t, const char *name);

/*
 * Before it was served by this worker, an instance was shown as @s: who has something of that open may read on. Before the start.
 */
void treefront_was(struct treefront *t, struct snapshot *s);

/* For the admin API; lives as long as the front. */
const struct api_tree *treefront_api(struct treefront *t);
