#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pokes: what the poker is asked to do, so that watchers learn of changed names
 *
 * One request of an instance is in flight, in its lane; the next is sent when that is answered, so that it is plain what the
 * poker is to be shown meanwhile (pokeops.h). A lane holds POKE_LANE_MAX at most, and there is one only while something waits in
 * it. What is not sent, or was lost with a poker, was not poked: nothing else depends on it.
 */
#include <sys/stat.h>

#include "inval.h"
#include "poker.h"

#define POKE_LANE_MAX 256

struct poke;

/* A name of which watchers are to be told. */
struct poke_item {
	enum poker_op op;
	uint64_t parent; /* the directory's node */
	/* What the name stood for, if the poker is to see that: 0 with POKER_ADD. */
	uint64_t old_id, old_generation;
	struct stat old;
	uint64_t new_id;               /* what it stands for now; 0: nothing */
	struct poke_item *prev, *next; /* a list, of the caller's or of a lane */
	size_t name_at;                /* the name, in path */
	char path[];                   /* below the root of the mount */
};

/* A zeroed one for the name @name in the directory @dir, a path. NULL = no memory, or too long. */
struct poke_item *poke_item_new(const char *dir, const char *name);
const char *poke_item_name(const struct poke_item *item);
/* Frees a list. NULL-safe. */
void poke_items_free(struct poke_item *items);

/* @fd, the channel, @inval and @shared are borrowed. Starts a thread. Returns 0 or -errno. */
int poke_new(int fd, struct inval *inval, struct shared *shared, struct poke **ret);
struct poke *poke_free(struct poke *p); /* ends it; NULL-safe; always NULL */
DEFINE_CLEANUP(struct poke *, poke_free);

/*
 * The kernel has been told that @items, a list that is taken over, of the instance @serial are old. Those of which the kernel
 * remembers neither directory nor old node, so that nobody can be watching, are dropped. Never waits.
 */
void poke_submit(struct poke *p, uint32_t serial, struct poke_item *items);

/* Whether anything is in flight. */
bool poke_is_busy(const struct poke *p);

/* What is in flight of the instance @serial; its name, old node and so on; *ret is a copy. False: nothing. */
struct poke_shown {
	struct poke_item item; /* without its path */
	char name[256];
};
bool poke_in_flight(struct poke *p, uint32_t serial, struct poke_shown *ret);

struct poke_stats {
	/* Sent; of those, answered otherwise than done; never sent. */
	uint64_t n_sent, n_failed, n_dropped;
};
void poke_count(const struct poke *p, struct poke_stats *ret);
