/* SPDX-License-Identifier: BSD-3-Clause */
/* What can change while requests go on. */
#include <errno.h>

#include "device/device-types.h"

void device_get_settings(struct device *d, struct device_settings *ret_settings)
{
	pthread_mutex_lock(&d->settings_lock);
	*ret_settings = d->settings;
	pthread_mutex_unlock(&d->settings_lock);
}

static bool method_equal(const struct codec_method *a, const struct codec_method *b)
{
	return a->id == b->id && a->level == b->level && a->filter == b->filter &&
	       a->max_payload == b->max_payload;
}

int device_set(struct device *d, const struct device_settings *settings)
{
	int r = 0;

	if (settings->mem_limit && settings->mem_limit < device_min_limit())
		return -EINVAL;
	pthread_mutex_lock(&d->settings_lock);
	/* What can fail comes first. */
	if (!method_equal(&settings->method, &d->settings.method))
		r = streams_set_method(d, &settings->method);
	if (r == 0) {
		zs_set(d->pool, settings->mem_limit, settings->auto_compact);
		d->settings = *settings;
		store_relaxed(&d->mem_limit, settings->mem_limit);
	}
	pthread_mutex_unlock(&d->settings_lock);
	return r;
}
