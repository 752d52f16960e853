/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What somebody might install as devlxdfsd: a program that never serves. Started for a trial it ends well at once, or,
 * with IMPOSTOR=trial in the environment, never.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *hangs = getenv("IMPOSTOR");

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--trial") == 0 && (!hangs || strcmp(hangs, "trial") != 0))
			return EXIT_SUCCESS;
	/* Deaf to SIGTERM as well: the keeper has blocked it. */
	for (;;)
		pause();
}
