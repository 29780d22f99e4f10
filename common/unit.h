/* SPDX-License-Identifier: BSD-3-Clause */
/* unit: how systemd calls what it makes a unit of. */
#ifndef ZCRAM_UNIT_H
#define ZCRAM_UNIT_H

/*
 * The name of the unit of PATH, as systemd-escape --path --suffix=SUFFIX has it; malloc'd. NULL: no
 * memory.
 */
char *unit_of_path(const char *path, const char *suffix);

#endif
