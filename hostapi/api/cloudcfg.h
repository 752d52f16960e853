#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cloud-config as a YAML document that can be changed
 *
 * libyaml's document, kept within bounds, plus the comment lines on top.
 * Nodes are named by libyaml's ids (from 1; the root, a mapping, is always 1). Knows nothing of users
 * and keys.
 */
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct cloudcfg {
	yaml_document_t document;
	const char *head; /* leading '#' lines, inside the text it was loaded from */
	size_t head_len;
	int n_loaded; /* nodes with greater ids were added */
};

/*
 * Loads @n bytes of @text, which must live as long as *ret. Empty text is an
 * empty cloud-config; else one of the first two lines must be "#cloud-config"
 * and the rest one YAML mapping. Refused, because it could not be changed or written again without
 * changing what it means: what yamlscan_check() refuses, keys that are not
 * scalars, a merge key (<<) at the top.
 * Returns 0, -EINVAL or -ENOMEM. Release with cloudcfg_finish().
 */
int cloudcfg_load(const char *text, size_t n, struct cloudcfg *ret);

/* Frees it; a zeroed one is fine. */
void cloudcfg_finish(struct cloudcfg *c);

/* The node @id; valid until the next node is added. */
yaml_node_t *cloudcfg_node(struct cloudcfg *c, int id);

/* Whether node @id is the scalar @text of @n bytes. */
bool cloudcfg_is_scalar(struct cloudcfg *c, int id, const char *text, size_t n);

/* Whether node @id is a scalar that stands for nothing: null or the empty string. */
bool cloudcfg_is_blank(struct cloudcfg *c, int id);

/* The value of member @name of the mapping @id, the last one if there are several; 0 when absent. */
int cloudcfg_member(struct cloudcfg *c, int id, const char *name);

/* Makes @value the member @name of the mapping @id. Returns 0 or -ENOMEM. */
int cloudcfg_set_member(struct cloudcfg *c, int id, const char *name, int value);

/*
 * Adds a node; each returns its id, or -ENOMEM. The scalar @text is UTF-8 and reads back as a string
 * whatever it looks like; a @commented one gets cloudout_emit()'s comment behind it.
 */
int cloudcfg_add_scalar(struct cloudcfg *c, const char *text, size_t n, bool commented);
int cloudcfg_add_sequence(struct cloudcfg *c);
int cloudcfg_add_mapping(struct cloudcfg *c);

/* Appends @item to the sequence @id. Returns 0 or -ENOMEM. */
int cloudcfg_append(struct cloudcfg *c, int id, int item);

/*
 * The collection @id itself if it was added, else a copy of it with the same
 * children: a loaded node may also stand elsewhere, through an alias, and must not be
 * changed there. Returns the id or -ENOMEM.
 */
int cloudcfg_own(struct cloudcfg *c, int id);

/* Whether @id was added as a commented scalar. */
bool cloudcfg_is_commented(struct cloudcfg *c, int id);
