/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/headroom.h"

#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/os.h"

/* Quarters of min that are left by threads of ordinary policy, since others may be faster. */
#define HELD_FROM_OTHERS 5

/* Of one zone, in pages. */
struct zone {
	uint64_t free, min, kept;
};

/*
 * "protection: (0, 214, 214)": the last is what the zone keeps for those who cannot be served by a
 * higher one.
 */
static uint64_t read_protection(const char *line)
{
	const char *last = strrchr(line, ' ');
	uint64_t kept = 0;

	if (last != NULL)
		sscanf(last, " %" SCNu64, &kept);
	return kept;
}

/* What the zone gives; __zone_watermark_ok() in the kernel's mm/page_alloc.c. */
static uint64_t zone_gives(const struct zone *zone, unsigned int quarters)
{
	uint64_t held = zone->kept + (zone->min * quarters + 3) / 4;

	return zone->free > held ? zone->free - held : 0;
}

uint64_t headroom_read(FILE *zones, unsigned int quarters)
{
	struct zone zone = {0};
	uint64_t pages = 0;
	char line[256];

	while (fgets(line, sizeof(line), zones) != NULL) {
		if (strncmp(line, "Node ", 5) == 0) {
			pages += zone_gives(&zone, quarters);
			zone = (struct zone){0};
		} else if (sscanf(line, " pages free %" SCNu64, &zone.free) == 1 ||
			   sscanf(line, " min %" SCNu64, &zone.min) == 1) {
			continue;
		} else if (strstr(line, " protection: (") != NULL) {
			zone.kept = read_protection(line);
		}
	}
	return pages + zone_gives(&zone, quarters);
}

/*
 * Quarters of min that are held back from threads of a real-time policy: gfp_to_alloc_flags(), there,
 * gives them ALLOC_HARDER, and since Linux 6.3 ALLOC_MIN_RESERVE.
 */
static unsigned int held_from_urgent(void)
{
	unsigned int major, minor;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return 3;
	return major > 6 || (major == 6 && minor >= 3) ? 2 : 3;
}

void headroom_init(struct headroom *h)
{
	h->urgent = held_from_urgent();
	pthread_mutex_init(&h->lock, NULL);
	h->zones = fopen("/proc/zoneinfo", "re");
	if (h->zones == NULL)
		return;
	setvbuf(h->zones, h->buffer, _IOFBF, sizeof(h->buffer));
	headroom_pages(h);
}

void headroom_destroy(struct headroom *h)
{
	if (h->zones != NULL)
		fclose(h->zones);
	pthread_mutex_destroy(&h->lock);
}

static uint64_t read_zones(struct headroom *h, unsigned int quarters)
{
	uint64_t pages = UINT64_MAX;

	pthread_mutex_lock(&h->lock);
	if (h->zones != NULL) {
		rewind(h->zones);
		pages = headroom_read(h->zones, quarters);
	}
	pthread_mutex_unlock(&h->lock);
	return pages;
}

uint64_t headroom_pages(struct headroom *h)
{
	return read_zones(h, os_thread_is_urgent() ? h->urgent : HELD_FROM_OTHERS);
}

uint64_t headroom_ordinary(struct headroom *h)
{
	return read_zones(h, HELD_FROM_OTHERS);
}
