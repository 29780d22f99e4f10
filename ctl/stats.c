/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading what "stat" answers: of a server of another version, members may be missing. */
#include <json-c/json.h>

#include "ctl/devices.h"
#include "ctl/size.h"

uint64_t ctl_stat_number(const struct json_object *stat, const char *key)
{
	return json_object_get_uint64(json_object_object_get(stat, key));
}

const char *ctl_stat_text(const struct json_object *stat, const char *key)
{
	struct json_object *value = json_object_object_get(stat, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

uint64_t ctl_stat_counter(const struct json_object *stat, const char *key)
{
	return ctl_stat_number(json_object_object_get(stat, "stats"), key);
}

size_t ctl_stat_ages(const struct json_object *stat)
{
	struct json_object *ages = json_object_object_get(stat, "ages");

	return json_object_is_type(ages, json_type_array) ? json_object_array_length(ages) : 0;
}

uint64_t ctl_stat_age(const struct json_object *stat, size_t index, const char *key)
{
	return ctl_stat_number(
		json_object_array_get_idx(json_object_object_get(stat, "ages"), index), key);
}

uint64_t ctl_stat_data(const struct json_object *stat)
{
	return (ctl_stat_counter(stat, "pages_same") + ctl_stat_counter(stat, "pages_pool")) *
	       CTL_PAGE;
}

uint64_t ctl_stat_total(const struct json_object *stat)
{
	return ctl_stat_counter(stat, "pool") + ctl_stat_counter(stat, "metadata");
}
