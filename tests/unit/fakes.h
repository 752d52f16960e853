#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source whose instances show what the test says
 *
 * Thread-safe. Allocates nothing when it is asked, so that only what is tested runs out of memory.
 */
#include <pthread.h>

#include "core/instance.h"
#include "source.h"

enum fake_kind {
	FAKE_END,
	FAKE_KEY,      /* a config key */
	FAKE_UNLISTED, /* the same, not listed */
	FAKE_DEVICE,   /* a device; with a key when that is given */
	FAKE_TEXT,
	FAKE_RULE, /* of `files`: the path is the key */
	FAKE_SOCKET,
	FAKE_OWN_SOCKET,
	FAKE_IMAGES,     /* the images are shown */
	FAKE_OWN_IMAGES, /* the same, to whoever holds the directory */
};

struct fake_item {
	enum fake_kind kind;
	const char *device, *key, *value;
	size_t len; /* 0: of the string */
	enum source_text which;
	mode_t mode;
	uid_t id;
};

#define KEY(K, V)         ((struct fake_item){FAKE_KEY, .key = (K), .value = (V)})
#define UNLISTED(K, V)    ((struct fake_item){FAKE_UNLISTED, .key = (K), .value = (V)})
#define DEVICE(D, K, V)   ((struct fake_item){FAKE_DEVICE, .device = (D), .key = (K), .value = (V)})
#define TEXT(W, V)        ((struct fake_item){FAKE_TEXT, .which = (W), .value = (V)})
#define RULE(P, MODE, ID) ((struct fake_item){FAKE_RULE, .key = (P), .mode = (MODE), .id = (ID)})
#define SOCKET            ((struct fake_item){FAKE_SOCKET})
#define OWN_SOCKET        ((struct fake_item){FAKE_OWN_SOCKET})

#define IMAGES     ((struct fake_item){FAKE_IMAGES})
#define OWN_IMAGES ((struct fake_item){FAKE_OWN_IMAGES})

/* A file of an image, which is called @fingerprint and @alias. */
struct fake_file {
	const char *fingerprint, *alias, *name;
	const char *bytes; /* what is on disk; NULL: nothing any more */
	bool is_hidden;    /* guests may not have it */
	int64_t mtime_ns;
};

/* Threads that are not the instance; all others are. */
#define FAKE_STRANGER 666
#define FAKE_HOST     1

#define FAKES_MAX      16
#define FAKE_FILES_MAX 100

struct fake {
	struct source source;
	pthread_mutex_t lock;
	unsigned n_views; /* that are held */
	struct source_images *images;
	unsigned n_images; /* sets of them that are held, but for that one */
	struct fake_instance {
		struct instance *instance;
		struct source_view *view;
		bool is_there, is_ready;
		struct source_owner owner; /* told when is_known */
		uint64_t run;
	} instances[FAKES_MAX];
};

void fake_init(struct fake *f);
/* Returns 0, or -1 when somebody holds a view yet. */
int fake_finish(struct fake *f);

/* From now on @name shows @items, a list that ends with FAKE_END; copied. */
void fake_show(struct fake *f, const char *name, const struct fake_item *items);
#define SHOW(F, NAME, ...) fake_show(F, NAME, (const struct fake_item[]){__VA_ARGS__, {FAKE_END}})
/* From now on the images are these, one file each, a list that ends with one that has no fingerprint; borrowed. Sorted by fingerprint. */
void fake_set_images(struct fake *f, const struct fake_file *files);
#define SET_IMAGES(F, ...) fake_set_images(F, (const struct fake_file[]){__VA_ARGS__, {0}})
/* It shows nothing, but is there. */
void fake_hide(struct fake *f, const char *name);
/* It is not there. */
void fake_remove(struct fake *f, const char *name);
/* The instance's own; made if missing. For what has no function here. */
struct fake_instance *fake_get(struct fake *f, const char *name);
