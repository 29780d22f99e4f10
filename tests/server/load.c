/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/server/load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/nbd-loop/served.h"

#define DEVICE_PAGE 4096

_Noreturn static void run_client(struct load *load, unsigned int number, uint64_t seed)
{
	struct client *c = &load->shared->clients[number];
	const uint32_t *finish = &load->shared->finish;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		close(load->keeper->connections[i].server);
	client_init(c, load->keeper->connections[number].client, seed + number);
	c->base = (uint64_t)number * CLIENT_SIZE;
	c->end = load->size;
	c->trim_unit = DEVICE_PAGE;
	while (!__atomic_load_n(finish, __ATOMIC_ACQUIRE) || !client_is_idle(c))
		client_turn(c, !__atomic_load_n(finish, __ATOMIC_ACQUIRE), 100);
	_exit(EXIT_SUCCESS);
}

void load_start(struct load *load, struct keeper *keeper, uint64_t seed, uint64_t size)
{
	load->keeper = keeper;
	load->size = size;
	load->shared = mmap(NULL, sizeof(*load->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(load->shared != MAP_FAILED, "errno %d", errno);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++) {
		load->clients[i] = fork();
		CHECK(load->clients[i] >= 0, "errno %d", errno);
		if (load->clients[i] == 0)
			run_client(load, i, seed);
	}
}

void load_check(const struct load *load)
{
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		CHECK(waitpid(load->clients[i], NULL, WNOHANG) == 0, "client %u has ended", i);
}

static uint64_t answered(const struct load *load)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		sum += __atomic_load_n(&load->shared->clients[i].answered, __ATOMIC_RELAXED);
	return sum;
}

void load_await(const struct load *load, uint64_t more)
{
	uint64_t from = answered(load);
	struct timespec time = {.tv_nsec = 1000000};

	while (answered(load) < from + more) {
		load_check(load);
		nanosleep(&time, NULL);
	}
}

void load_finish(const struct load *load)
{
	int status;

	__atomic_store_n(&load->shared->finish, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		CHECK(waitpid(load->clients[i], &status, 0) == load->clients[i] && status == 0,
		      "client %u: %#x", i, status);
}

static void check_content(const struct load *load, unsigned int number)
{
	struct served served = {.client = load->keeper->connections[number].client};
	const struct client *c = &load->shared->clients[number];
	static uint8_t buf[CLIENT_MOST];

	/* The client has made it so, and this waits. */
	fcntl(served.client, F_SETFL, 0);
	for (uint32_t at = 0; at < CLIENT_SIZE; at += CLIENT_MOST) {
		uint32_t error =
			served_ask(&served, PROTO_READ, 0, c->base + at, CLIENT_MOST, NULL, buf);

		CHECK(error == 0, "error %u at %u", error, at);
		CHECK(memcmp(buf, c->bytes + at, CLIENT_MOST) == 0,
		      "client %u: what is at %u is not what was written", number, at);
	}
}

void load_check_content(const struct load *load)
{
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		check_content(load, i);
}

void load_disconnect(const struct load *load)
{
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		client_disconnect(&load->shared->clients[i]);
}

uint64_t load_longest(const struct load *load)
{
	uint64_t longest = 0;

	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++) {
		uint64_t one = __atomic_load_n(&load->shared->clients[i].longest, __ATOMIC_RELAXED);

		longest = one > longest ? one : longest;
	}
	return longest;
}
