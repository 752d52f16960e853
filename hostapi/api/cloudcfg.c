/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cloud-config as a YAML document that can be changed
 *
 * Anchors and aliases stay what they are, never expanded, so that a small text
 * cannot become a large one. The text is read twice: yamlscan.c sees whether it
 * is small enough and holds nothing that libyaml's document forgets.
 */
#include "api/cloudcfg.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <strings.h>

#include "api/yamlscan.h"
#include "base/cleanup.h"

#define MARKER    "#cloud-config"
#define DEPTH_MAX YAMLSCAN_DEPTH_MAX

/* The length of the line at the start of @text, its '\n' included. */
static size_t line_length(const char *text, size_t n)
{
	const char *newline = memchr(text, '\n', n);

	return newline ? (size_t)(newline - text) + 1 : n;
}

static bool line_is_marker(const char *line, size_t n)
{
	while (n > 0 && memchr(" \t\r\n", line[n - 1], 4))
		n--;
	while (n > 0 && memchr(" \t\r", *line, 3)) {
		line++;
		n--;
	}
	return n == strlen(MARKER) && memcmp(line, MARKER, n) == 0;
}

static bool has_marker(const char *text, size_t n)
{
	size_t first = line_length(text, n);

	return line_is_marker(text, first) ||
	       line_is_marker(text + first, line_length(text + first, n - first));
}

/* The lines on top that are comments, indented or not. */
static size_t head_length(const char *text, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n;) {
		if (text[i] == '#') {
			len = i + line_length(text + i, n - i);
			i = len;
		} else if (text[i] == ' ' || text[i] == '\t') {
			i++;
		} else {
			break;
		}
	}
	return len;
}

static int load_document(const char *text, size_t n, yaml_document_t *ret)
{
	_cleanup_(yaml_parser_delete) yaml_parser_t parser = {0};
	int r = yamlscan_start(&parser, text, n);

	if (r == 0 && !yaml_parser_load(&parser, ret))
		r = yamlscan_error(&parser);
	return r;
}

/* An empty mapping in the place of a document without content. */
static int make_empty(struct cloudcfg *c)
{
	yaml_document_delete(&c->document);
	if (!yaml_document_initialize(&c->document, NULL, NULL, NULL, 1, 1)) {
		c->document = (yaml_document_t){0};
		return -ENOMEM;
	}
	return cloudcfg_add_mapping(c) < 0 ? -ENOMEM : 0;
}

static bool keys_are_scalars(struct cloudcfg *c)
{
	for (int id = 1; cloudcfg_node(c, id); id++) {
		const yaml_node_t *node = cloudcfg_node(c, id);

		if (node->type != YAML_MAPPING_NODE)
			continue;
		for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
		     p < node->data.mapping.pairs.top; p++) {
			if (cloudcfg_node(c, p->key)->type != YAML_SCALAR_NODE)
				return false;
		}
	}
	return true;
}

/* The child @i of a collection; 0 past the last one. A mapping's keys count too. */
static int child(struct cloudcfg *c, int id, size_t i)
{
	const yaml_node_t *node = cloudcfg_node(c, id);

	if (node->type == YAML_SEQUENCE_NODE) {
		const yaml_node_item_t *item = node->data.sequence.items.start + i;

		return item < node->data.sequence.items.top ? *item : 0;
	}
	if (node->type == YAML_MAPPING_NODE) {
		const yaml_node_pair_t *pair = node->data.mapping.pairs.start + i / 2;

		if (pair < node->data.mapping.pairs.top)
			return i % 2 ? pair->value : pair->key;
	}
	return 0;
}

/*
 * Whether no way down from @id, aliases followed, is longer than DEPTH_MAX:
 * a chain of aliases, or a circle, can be deeper than the text is nested.
 * @deepest: for each node the greatest depth it was seen at.
 */
static bool is_shallow(struct cloudcfg *c, int id, uint8_t depth, uint8_t *deepest)
{
	int next;

	if (depth > DEPTH_MAX)
		return false;
	if (deepest[id] >= depth)
		return true;
	deepest[id] = depth;
	for (size_t i = 0; (next = child(c, id, i)); i++) {
		if (!is_shallow(c, next, depth + 1, deepest))
			return false;
	}
	return true;
}

static int check_depth(struct cloudcfg *c)
{
	_cleanup_(freep) uint8_t *deepest = calloc((size_t)c->n_loaded + 1, 1);

	if (!deepest)
		return -ENOMEM;
	return is_shallow(c, 1, 1, deepest) ? 0 : -EINVAL;
}

int cloudcfg_load(const char *text, size_t n, struct cloudcfg *ret)
{
	_cleanup_(cloudcfg_finish) struct cloudcfg c = {.head = text};
	int r;

	if (n > 0 && !has_marker(text, n))
		return -EINVAL;
	c.head_len = head_length(text, n);
	r = yamlscan_check(text, n);
	if (r == 0)
		r = load_document(text, n, &c.document);
	if (r == 0 && (!cloudcfg_node(&c, 1) || cloudcfg_is_blank(&c, 1)))
		r = make_empty(&c);
	if (r < 0)
		return r;
	if (cloudcfg_node(&c, 1)->type != YAML_MAPPING_NODE || !keys_are_scalars(&c) ||
	    cloudcfg_member(&c, 1, "<<"))
		return -EINVAL;
	while (cloudcfg_node(&c, c.n_loaded + 1))
		c.n_loaded++;
	r = check_depth(&c);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct cloudcfg){0};
	return 0;
}

void cloudcfg_finish(struct cloudcfg *c)
{
	yaml_document_delete(&c->document);
	*c = (struct cloudcfg){0};
}

yaml_node_t *cloudcfg_node(struct cloudcfg *c, int id)
{
	return yaml_document_get_node(&c->document, id);
}

bool cloudcfg_is_scalar(struct cloudcfg *c, int id, const char *text, size_t n)
{
	const yaml_node_t *node = cloudcfg_node(c, id);

	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == n &&
	       memcmp(node->data.scalar.value, text, n) == 0;
}

bool cloudcfg_is_blank(struct cloudcfg *c, int id)
{
	const yaml_node_t *node = cloudcfg_node(c, id);
	static const char *const nulls[] = {"~", "null", "Null", "NULL"};

	if (node->type != YAML_SCALAR_NODE)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(nulls); i++) {
		if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    streq((const char *)node->data.scalar.value, nulls[i]))
			return true;
	}
	return node->data.scalar.length == 0;
}

int cloudcfg_member(struct cloudcfg *c, int id, const char *name)
{
	const yaml_node_t *node = cloudcfg_node(c, id);
	int found = 0;

	assert(node->type == YAML_MAPPING_NODE);
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		if (cloudcfg_is_scalar(c, p->key, name, strlen(name)))
			found = p->value;
	}
	return found;
}

int cloudcfg_set_member(struct cloudcfg *c, int id, const char *name, int value)
{
	yaml_node_t *node = cloudcfg_node(c, id);
	int key;

	assert(node->type == YAML_MAPPING_NODE);
	for (yaml_node_pair_t *p = node->data.mapping.pairs.top;
	     p-- > node->data.mapping.pairs.start;) {
		if (cloudcfg_is_scalar(c, p->key, name, strlen(name))) {
			p->value = value;
			return 0;
		}
	}
	key = cloudcfg_add_scalar(c, name, strlen(name), false);
	if (key < 0)
		return key;
	return yaml_document_append_mapping_pair(&c->document, id, key, value) ? 0 : -ENOMEM;
}

/* Letters, digits and a few signs, not read as anything but a string in any place. */
static bool is_plain(const char *text, size_t n)
{
	static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
					    "off", "true", "false", "null"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) == n && strncasecmp(text, words[i], n) == 0)
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		bool is_letter = (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
		bool is_inside = i > 0 && i + 1 < n;
		bool after_space = i > 0 && text[i - 1] == ' ';

		if (is_letter || (i > 0 && memchr("0123456789+/=_.-@", text[i], 17)))
			continue;
		if (!is_inside || (text[i] != ' ' && text[i] != ':') || after_space ||
		    (text[i] == ':' && text[i + 1] == ' '))
			return false;
	}
	return n > 0;
}

int cloudcfg_add_scalar(struct cloudcfg *c, const char *text, size_t n, bool commented)
{
	yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
	int id;

	assert(n <= INT_MAX);
	if (!is_plain(text, n))
		style = YAML_SINGLE_QUOTED_SCALAR_STYLE;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
			style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	}
	id = yaml_document_add_scalar(&c->document, NULL, (const unsigned char *)text, (int)n,
				      style);
	if (id == 0)
		return -ENOMEM;
	cloudcfg_node(c, id)->start_mark.index = commented; /* not used in added nodes */
	return id;
}

int cloudcfg_add_sequence(struct cloudcfg *c)
{
	return yaml_document_add_sequence(&c->document, NULL, YAML_BLOCK_SEQUENCE_STYLE) ?: -ENOMEM;
}

int cloudcfg_add_mapping(struct cloudcfg *c)
{
	return yaml_document_add_mapping(&c->document, NULL, YAML_BLOCK_MAPPING_STYLE) ?: -ENOMEM;
}

int cloudcfg_append(struct cloudcfg *c, int id, int item)
{
	return yaml_document_append_sequence_item(&c->document, id, item) ? 0 : -ENOMEM;
}

int cloudcfg_own(struct cloudcfg *c, int id)
{
	bool is_mapping = cloudcfg_node(c, id)->type == YAML_MAPPING_NODE;
	int copy, r = 0;

	if (id > c->n_loaded)
		return id;
	copy = is_mapping ? cloudcfg_add_mapping(c) : cloudcfg_add_sequence(c);
	for (size_t i = 0; copy >= 0 && r >= 0; i++) {
		const yaml_node_t *node = cloudcfg_node(c, id); /* nodes move when one is added */

		if (is_mapping) {
			const yaml_node_pair_t *p = node->data.mapping.pairs.start + i;

			if (p == node->data.mapping.pairs.top)
				return copy;
			if (!yaml_document_append_mapping_pair(&c->document, copy, p->key,
							       p->value))
				return -ENOMEM;
		} else {
			const yaml_node_item_t *item = node->data.sequence.items.start + i;

			if (item == node->data.sequence.items.top)
				return copy;
			r = cloudcfg_append(c, copy, *item);
		}
	}
	return copy < 0 ? copy : r;
}

bool cloudcfg_is_commented(struct cloudcfg *c, int id)
{
	return id > c->n_loaded && cloudcfg_node(c, id)->start_mark.index;
}
