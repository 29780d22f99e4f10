/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/conf.h"

int conf_host_get(const char *root, struct conf_host *ret_host)
{
	char line[128];
	uint64_t kib = 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	FILE *file;
	char *path;

	if (asprintf(&path, "%s/proc/meminfo", root == NULL ? "" : root) < 0)
		return -ENOMEM;
	file = fopen(path, "re");
	free(path);
	if (file == NULL)
		return -errno;
	while (kib == 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) != 1)
			kib = 0;
	fclose(file);
	if (kib == 0 || kib > UINT64_MAX >> 10)
		return -EINVAL;
	*ret_host = (struct conf_host){
		.ram = kib << 10,
		.cpus = cpus > 0 ? (unsigned int)cpus : 1,
	};
	return 0;
}
