/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd-handshake: the server's half of NBD's fixed newstyle handshake, for clients that need one. */
#ifndef ZCRAM_BENCH_NBD_HANDSHAKE_H
#define ZCRAM_BENCH_NBD_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

/* Whatever the export is called, it has SIZE bytes. False: the client went away, or wants nothing. */
bool handshake_serve(int socket, uint64_t size);

#endif
