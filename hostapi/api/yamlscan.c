/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a YAML text may be loaded as a libyaml document
 *
 * Looks at events only, so a text that is refused has cost no memory.
 */
#include "api/yamlscan.h"

#include <stdbool.h>

#include "base/cleanup.h"

#define NODES_MAX 16384 /* a document takes 160 bytes a node, and 1.5 us to read and write */

int yamlscan_error(const yaml_parser_t *parser)
{
	return parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

/* libyaml's document does not tell `!!str 5` from `5`. */
static bool loses_its_tag(const yaml_event_t *event)
{
	const char *tag = (const char *)event->data.scalar.tag;

	return tag && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (streq(tag, YAML_STR_TAG) || streq(tag, "!"));
}

struct scan {
	unsigned n_nodes, n_documents, depth;
	bool done;
};

static int scan_event(struct scan *scan, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_STREAM_END_EVENT:
		scan->done = true;
		break;
	case YAML_DOCUMENT_START_EVENT:
		if (event->data.document_start.tag_directives.start !=
		    event->data.document_start.tag_directives.end)
			return -EINVAL;
		scan->n_documents++;
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		scan->depth++;
		scan->n_nodes++;
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		scan->depth--;
		break;
	case YAML_SCALAR_EVENT:
		if (loses_its_tag(event))
			return -EINVAL;
		scan->n_nodes++;
		break;
	case YAML_ALIAS_EVENT:
		scan->n_nodes++;
		break;
	default:
		break;
	}
	if (scan->n_documents > 1 || scan->n_nodes > NODES_MAX || scan->depth > YAMLSCAN_DEPTH_MAX)
		return -EINVAL;
	return 0;
}

int yamlscan_start(yaml_parser_t *parser, const char *text, size_t n)
{
	if (!yaml_parser_initialize(parser))
		return -ENOMEM;
	yaml_parser_set_input_string(parser, (const unsigned char *)text, n);
	yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
	return 0;
}

int yamlscan_check(const char *text, size_t n)
{
	_cleanup_(yaml_parser_delete) yaml_parser_t parser = {0};
	struct scan scan = {0};
	int r = yamlscan_start(&parser, text, n);

	while (r == 0 && !scan.done) {
		_cleanup_(yaml_event_delete) yaml_event_t event = {0};

		if (!yaml_parser_parse(&parser, &event))
			return yamlscan_error(&parser);
		r = scan_event(&scan, &event);
	}
	return r;
}
