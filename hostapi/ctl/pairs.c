/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See pairs.h. */
#include "ctl/pairs.h"

#include "base/buf.h"
#include "base/text.h"
#include "ctl/input.h"
#include "ctl/say.h"

static int add(const struct call *c, const char *key, size_t n_key, const char *value,
	       json_t *table)
{
	_cleanup_(buf_finish) struct buf bytes = {0};
	_cleanup_(freep) char *name = strndup(key, n_key);
	json_t *text;
	int r = 0;

	if (!name)
		return say_errno(c->command->name, -ENOMEM, "cannot read the keys");
	if (n_key == 0)
		return command_misused(c, "a key is empty");
	if (!text_is_utf8(key, n_key))
		return command_misused(c, "a key is not UTF-8 text");
	if (!streq(value, "-"))
		r = buf_puts(&bytes, value);
	else
		r = input_bytes(STDIN_FILENO, &bytes);
	if (r < 0)
		return say_errno(name, r, "cannot read its value from standard input");
	text = memchr(bytes.data ? bytes.data : "", 0, bytes.len)
		       ? NULL
		       : json_stringn(bytes.data ? bytes.data : "", bytes.len);
	if (json_object_set_new(table, name, text) < 0)
		return say(SAY_REFUSED, name,
			   "its value is not UTF-8 text; encode it, e.g. in base64");
	return 0;
}

int pairs_add(const struct call *c, const char *word, json_t *table)
{
	const char *equals = strchr(word, '=');

	if (!equals)
		return command_misused(c, "a word that is no KEY=VALUE");
	return add(c, word, (size_t)(equals - word), equals + 1, table);
}

int pairs_parse(const struct call *c, const char *const *words, size_t n, json_t **ret)
{
	json_auto_t *table = json_object();
	int r = 0;

	if (!table)
		return say_errno(c->command->name, -ENOMEM, "cannot read the keys");
	if (n == 2 && !strchr(words[0], '='))
		r = add(c, words[0], strlen(words[0]), words[1], table);
	else
		for (size_t i = 0; i < n && r == 0; i++)
			r = pairs_add(c, words[i], table);
	if (r == 0)
		*ret = steal_ptr(&table);
	return r;
}

void pairs_warn(const char *subject, const json_t *table)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)table, key, value) {
		_cleanup_(buf_finish) struct buf warning = {0};

		if (parse_warn_key(key, &warning) == 0)
			say_lines(subject, &warning);
	}
}
