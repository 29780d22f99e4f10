/* SPDX-License-Identifier: BSD-3-Clause */
/* metrics: statistics as OpenMetrics text. */
#ifndef ZCRAM_CTL_METRICS_H
#define ZCRAM_CTL_METRICS_H

#include <stdio.h>

#include "ctl/devices.h"

/* Write what is known of all DEVICES to OUT, "# EOF" at the end. */
void ctl_metrics_print(FILE *out, const struct ctl_device *devices, size_t count);

#endif
