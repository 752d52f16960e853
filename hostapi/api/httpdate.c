/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See httpdate.h. The names of days and months are the C locale's, which nothing here changes. */
#include "api/httpdate.h"

#include <time.h>

#include "base/cleanup.h"

#define FORM "%a, %d %b %Y %H:%M:%S GMT"

bool httpdate_format(int64_t seconds, char *ret)
{
	const time_t t = seconds;
	struct tm tm;

	return gmtime_r(&t, &tm) && strftime(ret, HTTPDATE_SIZE, FORM, &tm) > 0;
}

int httpdate_parse(const char *text, int64_t *ret)
{
	static const char *const forms[] = {FORM, "%A, %d-%b-%y %H:%M:%S GMT",
					    "%a %b %e %H:%M:%S %Y"};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);

		if (!end || *end)
			continue;
		*ret = timegm(&tm);
		return 0;
	}
	return -EINVAL;
}
