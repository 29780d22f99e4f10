/* SPDX-License-Identifier: BSD-3-Clause */
/* What can change while requests go on. */
#include <errno.h>

#include "device/recompress.h"

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

static bool methods_equal(const struct device_cold *a, const struct device_cold *b)
{
	for (unsigned int i = 0; i < a->methods_count && i < b->methods_count; i++)
		if (!method_equal(&a->methods[i], &b->methods[i]))
			return false;
	return a->methods_count == b->methods_count;
}

static bool cold_equal(const struct device_cold *a, const struct device_cold *b)
{
	return methods_equal(a, b) && a->type == b->type && a->threshold == b->threshold &&
	       a->age == b->age && a->cpu == b->cpu;
}

int cold_check(const struct device_cold *cold)
{
	if (cold->methods_count == 0)
		return 0;
	return cold->methods_count <= DEVICE_COLD_METHODS && cold->type <= DEVICE_COLD_HUGE_IDLE &&
			       cold->age <= device_idle_max() && cold->cpu >= 1 && cold->cpu <= 100
		       ? 0
		       : -EINVAL;
}

/* NULL: nothing has to change. By other methods, what would not shrink is tried again. */
static int new_recompressor(struct device *d, const struct device_cold *from,
			    const struct device_cold *to, struct recompressor **ret_recompressor)
{
	struct recompress_rule rule = recompress_rule_of(to);

	*ret_recompressor = NULL;
	if (cold_equal(from, to))
		return 0;
	rule.again = !methods_equal(from, to);
	return recompressor_new(d, to, &rule, ret_recompressor);
}

int device_set(struct device *d, const struct device_settings *settings)
{
	struct recompressor *recompressor = NULL;
	int r = cold_check(&settings->cold);

	if (r < 0 || policy_check(&settings->writeback) < 0 ||
	    (settings->mem_limit && settings->mem_limit < device_min_limit()))
		return -EINVAL;
	pthread_mutex_lock(&d->settings_lock);
	/* What can fail comes first. */
	r = new_recompressor(d, &d->settings.cold, &settings->cold, &recompressor);
	if (r == 0 && !method_equal(&settings->method, &d->settings.method))
		r = streams_set_method(d, &settings->method);
	if (r < 0)
		recompressor_free(recompressor);
	else if (recompressor)
		background_set(d, recompressor);
	if (r == 0) {
		zs_set(d->pool, settings->mem_limit, settings->auto_compact);
		d->settings = *settings;
		store_relaxed(&d->mem_limit, settings->mem_limit);
		policy_set(&d->policy, &settings->writeback);
		limit_changed(d);
	}
	pthread_mutex_unlock(&d->settings_lock);
	return r;
}
