/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/input.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void input_load(struct input *input, const char *file, uint64_t max_mib)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t size, done = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(EXIT_FAILURE, "%s", file);
	size = (size_t)st.st_size;
	if (max_mib && size > max_mib * MIB)
		size = max_mib * MIB;
	size -= size % (INPUT_ALIGN * PAGE_SIZE);
	if (size == 0)
		errx(EXIT_FAILURE, "%s: has less than %d pages", file, INPUT_ALIGN);

	input->count = size / PAGE_SIZE;
	input->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (input->pages == MAP_FAILED)
		err(EXIT_FAILURE, "%zu bytes for the input", size);
	while (done < size) {
		ssize_t got = read(fd, input->pages + done, size - done);

		if (got <= 0)
			err(EXIT_FAILURE, "%s", file);
		done += (size_t)got;
	}
	close(fd);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t random_next(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

bool input_is_trimmed(uint64_t i)
{
	return mix((i + 1) * UINT64_C(0x9e3779b97f4a7c15)) % 4 != 0;
}

uint64_t parse_number(const char *option, const char *text)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || number == 0)
		errx(EXIT_FAILURE, "%s: '%s' is not a number of 1 or more", option, text);
	return number;
}
