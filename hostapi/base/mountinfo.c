/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of mountinfo(5): "ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS"
 */
#include "base/mountinfo.h"

#include "base/cleanup.h"
#include "base/text.h"

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

/* White space and backslashes are written in octal. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '\\' && is_octal(s + 1)) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

int mountinfo_parse(char *line, struct mountinfo *ret)
{
	struct mountinfo m = {0};
	char *fields[6], *field;

	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!(fields[i] = strsep(&line, " ")))
			return -EINVAL;
	while ((field = strsep(&line, " ")) && !streq(field, "-"))
		m.is_shared = m.is_shared || text_has_prefix(field, "shared:");
	m.type = strsep(&line, " ");
	if (!m.type || text_to_u64(fields[0], 0, UINT64_MAX, &m.id) < 0 ||
	    text_to_u64(fields[1], 0, UINT64_MAX, &m.parent) < 0)
		return -EINVAL;
	unescape(fields[3]);
	unescape(fields[4]);
	m.device = fields[2];
	m.root = fields[3];
	m.point = fields[4];
	*ret = m;
	return 0;
}
