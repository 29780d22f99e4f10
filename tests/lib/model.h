/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model: a device beside the plain array of bytes that it must equal.
 *
 * Each call is made on the device, its answer compared with the array, and the array changed alike.
 * What does not agree ends the program (CHECK).
 */
#ifndef ZCRAM_TESTS_MODEL_H
#define ZCRAM_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/device.h"

/*
 * Does a page of zeros take a slot's place? It does when zeros were written to it, until it is
 * dropped whole, and that is counted; after an error, or a zero of a part, it cannot be told.
 */
enum model_held { MODEL_EMPTY, MODEL_HELD, MODEL_UNSURE };

struct model {
	struct device *device;
	uint64_t size;
	uint8_t *bytes;		      /* what the device must hold */
	uint8_t *held;		      /* of each page: enum model_held */
	uint8_t *scratch;	      /* what it was read back into; as large as the device */
	bool is_view;		      /* device, bytes and held are another's */
	uint64_t ops;		      /* operations so far, for messages */
	uint64_t errors;	      /* of them: writes and zeroes that found no room */
	struct device_stats expected; /* of it: the requests, and notify_free */
	uint64_t unsure;	      /* notify_free may be more by so many */
	uint64_t mem_limit; /* the highest that was ever in force, if not the present one */
};

/* A model of a new device, which becomes the model's. */
void model_init(struct model *model, struct device *device);

/* Stops and frees the device too. */
void model_fini(struct model *model);

/*
 * Another thread's view of a model: the same device and array, counters of its own. Threads may use
 * their views at once as long as no byte, and of trims and zeroes no whole page, is in two ranges.
 */
void model_view(struct model *view, const struct model *of);

/*
 * The device's calls, on ranges inside the device. A write or zero may fail with -ENOSPC or
 * -ENOMEM, and then each of its pages must be the old or the new one, which is found by reading: of
 * a write, the first pages are new and the others old. That error is returned, otherwise 0.
 */
void model_read(struct model *model, uint64_t offset, size_t count);
int model_write(struct model *model, const void *buf, uint64_t offset, size_t count);
void model_trim(struct model *model, uint64_t offset, uint64_t count);
int model_zero(struct model *model, uint64_t offset, uint64_t count);

/* The extents of the range: in order, without gaps, a hole wherever a page is all zeros. */
void model_extents(struct model *model, uint64_t offset, uint64_t count);

/* Move a view's counters to the model. */
void model_collect(struct model *model, struct model *view);

/* Take what the device holds there for what it must hold: it was checked by other means. */
void model_learn(struct model *model, uint64_t offset, size_t count);

/* Compare the counters that are known exactly, and the limits. */
void model_stats(struct model *model);

/* Everything: content, extents, counters, and the device's own invariants. */
void model_check(struct model *model);

#endif
