#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tree: the const table of everything there is under an instance's directory
 *
 * One row is a path template, what kind of node that is, its mode, how its names are listed and its value
 * is read. The table drives lookup, listing, attributes, opening, reading and writing, and
 * devlxdfs-tree(7) is checked against it. Also node ids, which are computed from what a node is and never counted.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "source.h"

enum tree_row {
	TREE_TOP,
	TREE_CONFIG,
	TREE_CONFIG_KEY,
	TREE_DEVICES,
	TREE_DEVICE,
	TREE_DEVICE_KEY,
	TREE_DEVICES_JSON,
	TREE_EVENTS,
	TREE_IMAGES,
	TREE_IMAGE,
	TREE_IMAGE_FILE,
	TREE_LOCATION,
	TREE_META_DATA,
	TREE_NAME,
	TREE_SOCK,
	TREE_STATE,
	TREE_TYPE,
	_TREE_N_ROWS,
};

enum tree_kind {
	TREE_DIRECTORY,
	TREE_CONTENT, /* immutable: another value is another node */
	TREE_STREAM,  /* one node whatever it says; never cached */
	TREE_LOG,     /* grows; past the window its name gets another node */
	TREE_SOCKET,
	TREE_FILE, /* bytes on disk that never change; one node for all instances */
};

/* The names that stand for {…} on the way to a node, outermost first, decoded. */
#define TREE_PARAMS_MAX 2

/* What an instance shows. */
struct tree_shown {
	const struct source *source;
	struct source_view *view;
	struct source_images *images; /* NULL: none */
};

struct tree_node {
	const char *path; /* "config/{key}"; "" is the instance's directory */
	enum tree_row parent;
	enum tree_kind kind;
	mode_t mode;   /* permission bits */
	bool by_rules; /* the record's `files` may say otherwise */
	bool is_writable;
	bool is_of_images; /* there when images are shown */
	/* Names of the children that stand for {…}; NULL: its children have fixed names. */
	int (*list)(const struct tree_shown *s, const char *const *params, source_each each,
		    void *arg);
	/* The value of a TREE_CONTENT; as source_ops::key. */
	int (*read)(const struct tree_shown *s, const char *const *params,
		    struct source_bytes *ret);
	const char *help;
};

/* The row; constant. */
const struct tree_node *tree_row(enum tree_row row);

/* The last component of the row's template: a name, or "{…}". */
const char *tree_row_name(const struct tree_node *n);
/* Whether that is a parameter. */
bool tree_row_is_parameter(const struct tree_node *n);

/*
 * Node ids: the instance's serial (from 1), then 36 bits that say which node. Serial 0, and what has the first bit, all share.
 */
#define TREE_LOW_BITS   36
#define TREE_LOW_MASK   ((UINT64_C(1) << TREE_LOW_BITS) - 1)
#define TREE_SERIAL_MAX ((UINT32_C(1) << (63 - TREE_LOW_BITS)) - 1)
/* Of a TREE_FILE that all share; the rest is a hash of all it is. */
#define TREE_FILE_BIT (UINT64_C(1) << 63)

#define TREE_ROOT_ID        UINT64_C(1) /* the root of the mount: FUSE_ROOT_ID */
#define TREE_SOCKET_ID      UINT64_C(2) /* the socket for all instances */
#define TREE_TOP_LOW        UINT64_C(1) /* an instance's own directory */
#define TREE_OWN_SOCKET_LOW UINT64_C(2) /* an instance's own socket */
#define TREE_LOG_LOW        UINT64_C(3) /* in its index, and its number for people: a TREE_LOG */
#define TREE_GONE_LOW       UINT64_C(4) /* stands for one that was removed (branch-poke.c) */
/* The nodes of a TREE_LOG: the low 32 bits of the position of their first byte. Nothing else is from here on. */
#define TREE_LOG_FIRST (TREE_LOW_MASK & ~(uint64_t)UINT32_MAX)

static inline uint32_t tree_serial(uint64_t id)
{
	return (uint32_t)(id >> TREE_LOW_BITS);
}

/* Whether it is a TREE_FILE that all share. */
static inline bool tree_id_is_file(uint64_t id)
{
	return id & TREE_FILE_BIT;
}

/* Whether it is one of a TREE_LOG. */
static inline bool tree_id_is_log(uint64_t id)
{
	return tree_serial(id) != 0 && !tree_id_is_file(id) &&
	       (id & TREE_LOW_MASK) >= TREE_LOG_FIRST;
}

static inline uint64_t tree_id(uint32_t serial, uint64_t low)
{
	return (uint64_t)serial << TREE_LOW_BITS | (low & TREE_LOW_MASK);
}
