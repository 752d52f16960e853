/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names in the record directories
 *
 * Pure: looks at names, never at files.
 */
#include "store/names.h"

#include "base/text.h"

static const struct {
	const char *suffix;
	enum record_format format;
} suffixes[NAMES_N_SUFFIXES] = {
	{".json", RECORD_JSON},
	{".yaml", RECORD_YAML},
	{".yml", RECORD_YAML},
};

const char *names_suffix(size_t i)
{
	return suffixes[i].suffix;
}

enum record_format names_format(size_t i)
{
	return suffixes[i].format;
}

const char *names_directory(enum record_kind kind)
{
	return kind == RECORD_PROFILE ? "profiles" : "instances";
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), n_end = strlen(end);

	return n >= n_end && streq(text + n - n_end, end);
}

static bool is_leftover(const char *entry)
{
	static const char *const ends[] = {"~",          ".swp",    ".swx",      ".tmp",
					   ".bak",       ".orig",   ".dpkg-new", ".dpkg-old",
					   ".dpkg-dist", ".rpmnew", ".rpmsave"};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends_in(entry, ends[i]))
			return true;
	/* vim tries a directory by making a file called 4913 or a little more. */
	return *entry == '.' || *entry == '#' || strspn(entry, "0123456789") == strlen(entry);
}

int names_split(const char *entry, bool in_state, char ret_name[NAMES_RECORD_MAX + 1],
		size_t *ret_suffix)
{
	size_t n_suffixes = in_state ? NAMES_N_SUFFIXES_STATE : NAMES_N_SUFFIXES;

	if (is_leftover(entry))
		return NAMES_E_LEFTOVER;
	for (size_t i = 0; i < n_suffixes; i++) {
		char name[NAMES_RECORD_MAX + 1];
		size_t n = strlen(entry) - strlen(suffixes[i].suffix);

		if (!ends_in(entry, suffixes[i].suffix) || n > NAMES_RECORD_MAX)
			continue;
		memcpy(name, entry, n);
		name[n] = '\0';
		if (!text_is_name(name))
			return NAMES_E_ODD;
		memcpy(ret_name, name, n + 1);
		*ret_suffix = i;
		return 0;
	}
	return NAMES_E_ODD;
}
