/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a changed cloud-config
 *
 * What comes out means to cloud-init what went in. LXD re-types scalars on the
 * way (`yes` becomes `true`); here they keep their spelling and style, which
 * means the same. Folded scalars come out literal: same text, fewer rules.
 *
 * A comment behind a scalar is something libyaml cannot write. Such scalars
 * are written with a mark at their end, chosen so that it occurs nowhere else,
 * and each mark is then replaced by the comment, behind a closing quote if there is one.
 */
#include "api/cloudout.h"

#include <inttypes.h>
#include <stdint.h>

#include "api/cloudcfg.h"
#include "base/cleanup.h"

struct mark {
	char text[32];
	size_t len;
};

/* The greatest number N of a "zqN" in @text, if greater than *max. */
static void note_marks(const char *text, size_t n, uint64_t *max)
{
	const char *end = text + n;

	while ((text = memmem(text, (size_t)(end - text), "zq", 2))) {
		uint64_t number = 0;

		for (text += 2;
		     text < end && *text >= '0' && *text <= '9' && number < UINT64_C(1) << 58;)
			number = number * 10 + (uint64_t)(*text++ - '0');
		if (number > *max)
			*max = number;
	}
}

/* A mark that no scalar and no tag contains, nor an escape in the writing of one. */
static struct mark choose_mark(struct cloudcfg *c)
{
	uint64_t max = 0;
	struct mark mark;

	for (int id = 1; cloudcfg_node(c, id); id++) {
		const yaml_node_t *node = cloudcfg_node(c, id);

		note_marks((const char *)node->tag, strlen((const char *)node->tag), &max);
		if (node->type == YAML_SCALAR_NODE)
			note_marks((const char *)node->data.scalar.value, node->data.scalar.length,
				   &max);
	}
	mark.len = (size_t)snprintf(mark.text, sizeof(mark.text), "zq%" PRIu64 "qz", max + 1);
	return mark;
}

static int append_mark(yaml_node_t *node, const struct mark *mark)
{
	size_t len = node->data.scalar.length;
	yaml_char_t *value = realloc(node->data.scalar.value, len + mark->len + 1);

	if (!value)
		return -ENOMEM;
	memcpy(value + len, mark->text, mark->len + 1);
	node->data.scalar.value = value;
	node->data.scalar.length = len + mark->len;
	return 0;
}

/* By key; equal keys in the order of the text, so that the last one still counts. */
static int compare_pairs(const void *a, const void *b, void *ctx)
{
	const yaml_node_pair_t *x = a, *y = b;
	const yaml_node_t *x_key = cloudcfg_node(ctx, x->key), *y_key = cloudcfg_node(ctx, y->key);
	int r = strcmp((const char *)x_key->data.scalar.value,
		       (const char *)y_key->data.scalar.value);

	if (r != 0)
		return r;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

static int prepare(struct cloudcfg *c, const struct mark *mark)
{
	for (int id = 1; cloudcfg_node(c, id); id++) {
		yaml_node_t *node = cloudcfg_node(c, id);
		int r = 0;

		if (node->type == YAML_MAPPING_NODE) {
			qsort_r(node->data.mapping.pairs.start,
				(size_t)(node->data.mapping.pairs.top -
					 node->data.mapping.pairs.start),
				sizeof(*node->data.mapping.pairs.start), compare_pairs, c);
			node->data.mapping.style = YAML_BLOCK_MAPPING_STYLE;
		} else if (node->type == YAML_SEQUENCE_NODE) {
			node->data.sequence.style = YAML_BLOCK_SEQUENCE_STYLE;
		} else if (cloudcfg_is_commented(c, id)) {
			r = append_mark(node, mark);
		} else if (node->data.scalar.style == YAML_FOLDED_SCALAR_STYLE) {
			node->data.scalar.style = YAML_LITERAL_SCALAR_STYLE;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_to_buf(void *ctx, unsigned char *bytes, size_t n)
{
	return buf_append(ctx, bytes, n) == 0;
}

static int dump(struct cloudcfg *c, struct buf *b)
{
	_cleanup_(yaml_emitter_delete) yaml_emitter_t emitter = {0};
	int done;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output(&emitter, write_to_buf, b);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	c->document.start_implicit = c->document.end_implicit = 1;
	done = yaml_emitter_dump(&emitter, &c->document);
	c->document = (yaml_document_t){0}; /* freed by the emitter, also on failure */
	if (done && yaml_emitter_close(&emitter))
		return 0;
	return emitter.error == YAML_EMITTER_ERROR ? -EINVAL : -ENOMEM;
}

/* Copies @raw to @b; what is marked gets " @comment" at the end of its line. */
static int replace_marks(const struct buf *raw, const struct mark *mark, const char *comment,
			 struct buf *b)
{
	const char *p = raw->data, *end = raw->data + raw->len;
	int r = 0;

	while (r >= 0 && p < end) {
		const char *at = memmem(p, (size_t)(end - p), mark->text, mark->len) ?: end;
		size_t rest;

		r = buf_append(b, p, (size_t)(at - p));
		p = at + (at < end ? mark->len : 0);
		if (at == end || r < 0)
			break;
		rest = strcspn(p, "\n");
		r = buf_append(b, p, rest);
		if (r >= 0)
			r = buf_printf(b, " %s", comment);
		p += rest;
	}
	return r;
}

int cloudout_emit(struct cloudcfg *c, const char *comment, struct buf *b)
{
	_cleanup_(buf_finish) struct buf raw = {0}, out = {0};
	struct mark mark = choose_mark(c);
	int r = prepare(c, &mark);

	if (r >= 0)
		r = dump(c, &raw);
	if (r >= 0 && c->head_len > 0)
		r = buf_append(&out, c->head, c->head_len);
	if (r >= 0 && (out.len == 0 || out.data[out.len - 1] != '\n'))
		r = buf_puts(&out, out.len ? "\n" : "#cloud-config\n");
	if (r >= 0)
		r = replace_marks(&raw, &mark, comment, &out);
	return r < 0 ? r : buf_append(b, out.data, out.len);
}
