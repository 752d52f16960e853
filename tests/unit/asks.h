#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests as the kernel writes them, answered by a session on the branches of branches.h
 */
#include <sys/socket.h>

#include "branches.h"
#include "core/settings.h"
#include "journal.h"
#include "ops.h"
#include "session.h"

#define ASKS_GUEST  4711
#define ASKS_HELPER 4712
#define ASKS_UNIQUE 77

struct asks {
	struct world *world;
	struct ops ops;
	struct session *session;
	struct journal *journal;
	int ours, theirs; /* the descriptor's two ends */
	/* Who asks. */
	uint32_t tid, uid;
	/* The last answer. */
	struct fuse_out_header head;
	size_t n; /* bytes behind that */
	_Alignas(8) char bytes[1 << 18];
};

/* What the kernel of 6.1 sends first. */
static inline void asks_put_init(struct shared *s)
{
	const struct {
		struct fuse_in_header head;
		struct fuse_init_in in;
	} m = {
		.head = {.len = sizeof(m), .opcode = FUSE_INIT, .unique = 1},
		.in = {.major = FUSE_KERNEL_VERSION,
		       .minor = 36,
		       .max_readahead = 131072,
		       .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
				FUSE_ATOMIC_O_TRUNC | FUSE_MAX_PAGES},
	};

	memcpy(s->init, &m, sizeof(m));
	s->init_len = sizeof(m);
}

/* A cmocka setup: *state is a struct asks. */
static inline int asks_setup(void **state)
{
	static const struct settings settings = {.max_event_readers = 16};
	static struct asks a;
	struct journal *journal = NULL;
	void *world;
	int pair[2], fd = -1, r;

	if (world_setup(&world) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	r = journal_make(&fd);
	if (r == 0)
		r = journal_new(fd, &journal);
	closep(&fd);
	if (r < 0)
		return r;
	a = (struct asks){.world = world,
			  .journal = journal,
			  .ours = pair[0],
			  .theirs = pair[1],
			  .tid = ASKS_GUEST};
	a.ops = (struct ops){
		.source = &a.world->fake.source,
		.branches = a.world->all,
		.stream = stream_new(a.world->hub, &settings, &a.world->fake.source, journal),
		.shared = a.world->shared};
	asks_put_init(a.world->shared);
	a.world->shared->helper_tid = ASKS_HELPER;
	*state = &a;
	return session_new(a.theirs, a.world->shared, ops_table(), &a.ops, &a.session);
}

static inline int asks_teardown(void **state)
{
	struct asks *a = *state;
	void *world = a->world;

	session_free(a->session);
	stream_free(a->ops.stream);
	journal_free(a->journal);
	close(a->ours);
	close(a->theirs);
	return world_teardown(&world);
}

/* Takes the answer if there is one. Whether there was. */
static inline bool asks_take(struct asks *a)
{
	struct iovec parts[] = {{&a->head, sizeof(a->head)}, {a->bytes, sizeof(a->bytes)}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n = recvmsg(a->ours, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return false;
	if ((size_t)n < sizeof(a->head) || a->head.len != (size_t)n ||
	    a->head.unique != ASKS_UNIQUE)
		abort();
	a->n = (size_t)n - sizeof(a->head);
	return true;
}

/* Has the request of @n bytes answered, once at most. Whether it was. */
static inline bool asks_process(struct asks *a, void *request, size_t n)
{
	bool r;

	journal_begin(a->journal, request);
	session_process(a->session, request, n);
	journal_end(a->journal);
	r = asks_take(a);
	if (r && asks_take(a))
		abort();
	return r;
}

/* Has the request answered: @arg of @n_arg bytes, then @name with its NUL unless NULL. Whether there was an answer. */
static inline bool asks_send(struct asks *a, uint32_t opcode, uint64_t id, const void *arg,
			     size_t n_arg, const char *name)
{
	size_t n_name = name ? strlen(name) + 1 : 0;
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + n_arg + n_name),
		.opcode = opcode,
		.unique = ASKS_UNIQUE,
		.nodeid = id,
		.uid = a->uid,
		.pid = a->tid,
	};
	char *request = malloc(head.len), *at = request; /* so that reading beyond is found */
	bool r;

	if (!request)
		abort();
	at = mempcpy(at, &head, sizeof(head));
	if (n_arg)
		at = mempcpy(at, arg, n_arg);
	if (n_name)
		memcpy(at, name, n_name);
	r = asks_process(a, request, head.len);
	free(request);
	return r;
}

/* The same for what is always answered. Returns 0 or a positive errno. */
static inline int asks_for(struct asks *a, uint32_t opcode, uint64_t id, const void *arg,
			   size_t n_arg, const char *name)
{
	if (!asks_send(a, opcode, id, arg, n_arg, name))
		abort();
	return -a->head.error;
}

#define ASK(A, OPCODE, ID, ARG) asks_for(A, OPCODE, ID, &(ARG), sizeof(ARG), NULL)

/* Returns 0 with a struct fuse_entry_out in bytes, or a positive errno. */
static inline int asks_lookup(struct asks *a, uint64_t parent, const char *name)
{
	return asks_for(a, FUSE_LOOKUP, parent, NULL, 0, name);
}

static inline const struct fuse_entry_out *asks_entry(const struct asks *a)
{
	if (a->n != sizeof(struct fuse_entry_out))
		abort();
	return (const void *)a->bytes;
}

/* The id of @path below the root, looked up name by name. 0: there is none. */
static inline uint64_t asks_id(struct asks *a, const char *path)
{
	char copy[1024], *rest = copy, *name;
	uint64_t id = TREE_ROOT_ID;

	snprintf(copy, sizeof(copy), "%s", path);
	while (id && (name = strsep(&rest, "/")))
		id = asks_lookup(a, id, name) == 0 ? asks_entry(a)->nodeid : 0;
	return id;
}

static inline int asks_getattr(struct asks *a, uint64_t id)
{
	const struct fuse_getattr_in in = {0};

	return ASK(a, FUSE_GETATTR, id, in);
}

static inline const struct fuse_attr_out *asks_attr(const struct asks *a)
{
	if (a->n != sizeof(struct fuse_attr_out))
		abort();
	return (const void *)a->bytes;
}

static inline int asks_open(struct asks *a, uint64_t id, uint32_t flags)
{
	const struct fuse_open_in in = {.flags = flags};

	return ASK(a, FUSE_OPEN, id, in);
}

static inline int asks_opendir(struct asks *a, uint64_t id)
{
	const struct fuse_open_in in = {0};

	return ASK(a, FUSE_OPENDIR, id, in);
}

static inline uint32_t asks_open_flags(const struct asks *a)
{
	if (a->n != sizeof(struct fuse_open_out))
		abort();
	return ((const struct fuse_open_out *)(const void *)a->bytes)->open_flags;
}

static inline int asks_read(struct asks *a, uint32_t opcode, uint64_t id, uint64_t offset,
			    uint32_t size)
{
	const struct fuse_read_in in = {.offset = offset, .size = size};

	return ASK(a, opcode, id, in);
}

static inline int asks_release(struct asks *a, uint64_t id)
{
	const struct fuse_release_in in = {0};

	return ASK(a, FUSE_RELEASE, id, in);
}
