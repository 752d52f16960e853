/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfs: the host operator's command
 *
 * All of it is in the library; this file only sees to it that what was printed has arrived.
 */
#include <stdio.h>

#include "ctl/command.h"
#include "ctl/say.h"

int main(int argc, char **argv)
{
	int status = command_main(argc, argv);

	if ((fflush(stdout) != 0 || ferror(stdout)) && status == SAY_DONE)
		status = say_errno(NULL, -errno, "cannot print");
	return status;
}
