/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target over the files of a corpus directory, for builds without
 * libFuzzer: every kept input stays a regression test.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>

#include "base/file.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int main(int argc, char **argv)
{
	_cleanup_(closedirp) DIR *corpus = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	size_t n_inputs = 0;

	if (!corpus) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(corpus))) {
		_cleanup_(freep) char *bytes = NULL;
		size_t n;

		if (entry->d_name[0] == '.')
			continue;
		if (file_read(dirfd(corpus), entry->d_name, 16 << 20, &bytes, &n) < 0) {
			fprintf(stderr, "%s: cannot read\n", entry->d_name);
			return 1;
		}
		LLVMFuzzerTestOneInput((const uint8_t *)bytes, n);
		n_inputs++;
	}
	printf("%zu inputs\n", n_inputs);
	return n_inputs ? 0 : 1; /* an empty corpus proves nothing */
}
