#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source: what the tree reads from
 *
 * A vtable, so that the same tree can be served from this host's registry (source-local.h) or, in an
 * agent, from a remote API. The tree asks for contents and for who may see them; it knows neither records
 * nor cgroups.
 *
 * A view is one instance as it stands: immutable and counted. Two views of one instance are the same pointer
 * exactly when nothing has changed between them. All functions are thread-safe and none waits for another process.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"

struct instance;
struct source_ids; /* the source's own, as the next two */
struct source_images;
struct source_view;

/* Bytes of a value; finish with source_bytes_finish(). */
struct source_bytes {
	const char *at; /* lives as long as the view, or is owned */
	size_t len;
	char *owned; /* NULL unless made for this call */
};

/* Frees what it owns and zeroes it. */
static inline void source_bytes_finish(struct source_bytes *b)
{
	free(b->owned);
	*b = (struct source_bytes){0};
}

/* The values that are one to an instance. */
enum source_text {
	SOURCE_META_DATA,
	SOURCE_DEVICES,
	SOURCE_NAME,
	SOURCE_TYPE,
	SOURCE_LOCATION,
	_SOURCE_TEXT_N
};

/* Who asks: a thread that sleeps in the kernel until it has its answer. */
struct source_caller {
	pid_t tid;
	uid_t uid;
};

enum {
	_SOURCE_E_SUCCESS,
	SOURCE_E_HOST,   /* the host's root: may read everything and write nothing */
	SOURCE_E_DENIED, /* anybody else than the instance */
	SOURCE_E_ABSENT, /* no such key, device or instance */
};

/* How the instance's own ids look from here; the run of the guest they were read of. */
struct source_owner {
	bool is_known;
	uint64_t run[3]; /* told apart from another run by being equal */
	uid_t uid;       /* of the guest's root; 0 while not known */
	gid_t gid;
};

#define SOURCE_FINGERPRINT_LEN 64

/* A file of an image, and what tells it from another one of that name. */
struct source_file {
	char fingerprint[SOURCE_FINGERPRINT_LEN + 1];
	uint32_t part;
	uint64_t size;
	int64_t mtime_ns;
};

/* Called for each of a list; stops when it returns non-zero. */
typedef int (*source_each)(void *arg, const char *name, bool is_listed);
typedef int (*source_each_file)(void *arg, const struct source_file *file);

struct source_ops {
	/* A new reference to the instance @name, or NULL when there is none now. */
	struct instance *(*find)(void *ctx, const char *name);
	/* The same also when there is none now, but may have been and may be again. NULL = no memory. */
	struct instance *(*remember)(void *ctx, const char *name);
	/* All such names, in no order. Returns 0, what @each returned, or -ENOMEM. */
	int (*each)(void *ctx, source_each each, void *arg);

	/* A new reference to what @i shows now; NULL: nothing, it is switched off or gone. */
	struct source_view *(*view)(void *ctx, struct instance *i);
	void (*view_unref)(struct source_view *v);

	/* Config keys with a value; those not listed can be opened by name. Names live as long as the view. */
	int (*each_key)(struct source_view *v, source_each each, void *arg);
	int (*each_device)(struct source_view *v, source_each each, void *arg);
	int (*each_device_key)(struct source_view *v, const char *device, source_each each,
			       void *arg);
	/* Values. Return 0, SOURCE_E_ABSENT or -ENOMEM. */
	int (*key)(struct source_view *v, const char *key, struct source_bytes *ret);
	int (*device_key)(struct source_view *v, const char *device, const char *key,
			  struct source_bytes *ret);
	int (*text)(void *ctx, struct source_view *v, enum source_text which,
		    struct source_bytes *ret);
	/* When what the view shows was last written. */
	struct timespec (*written)(const struct source_view *v);
	/* Whether it has a socket, and whether that is one of its own, by which it is recognised. */
	bool (*has_socket)(const struct source_view *v, bool *ret_is_own);

	/*
	 * Whether it shows images, and whether those who can reach its directory are the instance, so that nothing else tells who
	 * may open them.
	 */
	bool (*shows_images)(const struct source_view *v, bool *ret_is_by_mount);
	/* A new reference to all images as they stand: the same pointer as long as they do. NULL: there are none. */
	struct source_images *(*images)(void *ctx);
	void (*images_unref)(struct source_images *i); /* NULL-safe */
	/* Names of those that guests may have: fingerprints, and aliases. They live as long as @i. */
	int (*each_image)(struct source_images *i, source_each each, void *arg);
	/* Names of the files of the image that has the name @image. */
	int (*each_image_file)(struct source_images *i, const char *image, source_each each,
			       void *arg);
	/* The file @name of the image @image. False: there is none. */
	bool (*image_file)(struct source_images *i, const char *image, const char *name,
			   struct source_file *ret);
	/* All files, whether guests may have them or not. */
	int (*each_file)(struct source_images *i, source_each_file each, void *arg);
	/*
	 * Whether @caller, whichever instance that is, may open @file now. Returns 0, SOURCE_E_HOST, SOURCE_E_DENIED,
	 * SOURCE_E_ABSENT, or -errno.
	 */
	int (*check_file)(void *ctx, const struct source_caller *caller,
			  const struct source_file *file);
	/* A descriptor, the caller's; -ESTALE: it is not what it was; or -errno. */
	int (*open_file)(void *ctx, const struct source_file *file);

	/* Whether @caller is the host's root. */
	bool (*is_host)(void *ctx, const struct source_caller *caller);
	/*
	 * Whether @caller is @i. Returns 0, SOURCE_E_HOST, SOURCE_E_DENIED, or -errno. *ret_run (0: not
	 * known) differs when another run of the guest may be going on than at an earlier call.
	 */
	int (*check)(void *ctx, struct instance *i, const struct source_caller *caller,
		     uint64_t *ret_run);
	/*
	 * Who owns the nodes of @i. Keeps *owner when none of its runs is known to go on and, unless @anew, when the
	 * run of *owner does, which is quickly seen: but what was read while a guest was being started may be wrong.
	 */
	void (*refresh_owner)(void *ctx, struct instance *i, struct source_owner *owner, bool anew);
	/* How the guest's other ids look from here, now. NULL: not known. Freed by free_ids(). */
	struct source_ids *(*ids)(void *ctx, struct instance *i);
	void (*free_ids)(struct source_ids *ids); /* NULL-safe */
	/*
	 * What `files` says of @path: permission bits and the owner as seen from here, @ids (may be NULL) and
	 * @owner being those of the instance. False: nothing, it is 0400 and the guest's root.
	 */
	bool (*rule)(const struct source_view *v, const struct source_ids *ids,
		     const struct source_owner *owner, const char *path, mode_t *ret_mode,
		     uid_t *ret_uid, gid_t *ret_gid);

	/* The word for the state of @i: "Started" or "Ready". */
	const char *(*state)(void *ctx, struct instance *i);
	/* Sets it, for the run going on. Returns 0 or -errno. */
	int (*set_state)(void *ctx, struct instance *i, bool ready);
};

struct source {
	const struct source_ops *ops;
	void *ctx;
};
