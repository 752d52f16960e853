#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records that an operator hands over: files, directories, standard input
 *
 * Each is checked as the daemon would; complaints are printed as "FILE:LINE:COLUMN: text", so that
 * editors find the place. Accepted are this project's records and what `lxc query` and `lxc config show` print.
 */
#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "store/parse.h"

struct input_record {
	enum record_kind kind;
	char *name;
	char *source;
	json_t *json; /* without its `name` */
};

struct input {
	const char *name; /* the one record is called so, whatever it says; NULL: as it says */
	struct input_record *records;
	size_t n;
};
void input_finish(struct input *in);

/*
 * Adds the records of @path: "-", a file, or a directory with instances/, profiles/ and files. Files in a
 * directory called instances or profiles are of that kind and named by their file; others are instances named by their `name`, else by their file.
 * Returns 0 or SAY_REFUSED, having said everything that is wrong; the good ones are there then too.
 */
int input_read(struct input *in, const char *path);

/* Adds the one record in @text, called in->name. @source is for complaints. Returns as above. */
int input_text(struct input *in, enum record_kind kind, enum record_format format,
	       const char *source, const char *text, size_t n);

/* Appends what the descriptor holds to its end. Returns 0, -EFBIG past 64 MiB, or -errno. */
int input_bytes(int fd, struct buf *ret);
