/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcramd as it is, with servers, and a kernel that is the test's: an adoption that is refused
 * half-way leaves all as it was; and of several connections one that dies, or that a successor refuses, is
 * begun anew while the others go on.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/rng.h"
#include "tests/nbd-loop/served.h"
#include "tests/server/keeper.h"
#include "tests/server/machine.h"

#define CONNECTIONS 3
#define PAGE	    4096

static struct machine machine;
static char said[8192];

/* Short ways. */

static void make_page(uint64_t number, uint8_t page[PAGE])
{
	struct rng rng = rng_make(number);

	rng_bytes(&rng, page, PAGE / 2);
	memset(page + PAGE / 2, (int)number, PAGE / 2);
}

static void write_page(unsigned int connection, uint64_t number)
{
	struct served served = {.client = kernel_client(&machine.kernel, connection)};
	uint8_t page[PAGE];

	make_page(number, page);
	assert_int_equal(served_ask(&served, PROTO_WRITE, 0, number * PAGE, PAGE, page, NULL), 0);
}

static void check_page(unsigned int connection, uint64_t number)
{
	struct served served = {.client = kernel_client(&machine.kernel, connection)};
	uint8_t expected[PAGE], page[PAGE];

	make_page(number, expected);
	assert_int_equal(served_ask(&served, PROTO_READ, 0, number * PAGE, PAGE, NULL, page), 0);
	assert_memory_equal(page, expected, PAGE);
}

static void start(void)
{
	int status;

	if (machine_start(&machine, NULL, NULL, &status))
		return;
	machine_said(&machine, said, sizeof(said));
	fail_msg("it does not start: %#x: %s", status, said);
}

static void leave(void)
{
	assert_int_equal(machine_end(&machine, SIGUSR2), 0);
}

static void says(const char *text)
{
	machine_said(&machine, said, sizeof(said));
	if (strstr(said, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, said);
}

static int begin(void **state)
{
	start();
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		write_page(i, i + 1);
	machine_said(&machine, said, sizeof(said));
	return 0;
}

static void check_all(void)
{
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		for (uint64_t number = 1; number <= CONNECTIONS; number++)
			check_page(i, number);
	machine_await_one_server(&machine);
}

static int end(void **state)
{
	if (machine.zcramd == 0)
		start();
	assert_int_equal(machine_end(&machine, SIGTERM), 0);
	assert_false(kernel_is_attached(&machine.kernel));
	return 0;
}

/* Adoption. */

/* Each of the descriptors that are taken, one after the other. */
static void test_descriptor_refused(void **state)
{
	pid_t server = machine_server(&machine);
	char number[8];
	int status;

	for (int i = 0; i < 3 * CONNECTIONS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		if (i == 0)
			leave();
		assert_false(machine_start(&machine, "ZCRAM_TEST_GETFD", number, &status));
		assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
		says("zcramd: zcram0: survey: the server's connections cannot be taken over: "
		     "Operation not permitted\n");
		/* What serves goes on, and nothing was ended. */
		assert_int_equal(machine_server(&machine), server);
		check_all();
	}
	/* All of them, but no more. */
	assert_true(machine_start(&machine, "ZCRAM_TEST_GETFD", "9", &status));
	check_all();
	machine_kill_server(&machine);
	check_all();
}

static void test_use_unknown(void **state)
{
	pid_t server = machine_server(&machine);
	int status;

	leave();
	kernel_hide_use(&machine.kernel, true);
	assert_false(machine_start(&machine, NULL, NULL, &status));
	says("zcramd: zcram0: survey: nbd7: Input/output error\n");
	kernel_hide_use(&machine.kernel, false);
	assert_int_equal(machine_server(&machine), server);
	check_all();
	start();
	machine_kill_server(&machine);
	check_all();
}

/* Nobody has the connections any more. */
static void test_both_die(void **state)
{
	pid_t server = machine_server(&machine);

	machine_end(&machine, SIGKILL);
	kill(server, SIGKILL);
	start();
	assert_int_equal(kernel_replaced(&machine.kernel), CONNECTIONS);
	check_all();
	machine_kill_server(&machine);
	check_all();
}

/* One connection of several. */

static void await_replaced(unsigned int before)
{
	machine_await_said(&machine, "connections were dead, and were begun anew");
	assert_int_equal(kernel_replaced(&machine.kernel), before + 1);
}

/* A successor cannot go on with what it finds. */
static void test_refused(void **state)
{
	unsigned int before = kernel_replaced(&machine.kernel);

	machine_damage(&machine, 1);
	machine_kill_server(&machine);
	await_replaced(before);
	says("1 of 3 connections were dead, and were begun anew");
	check_all();
	/* The new one is as good as the others. */
	machine_kill_server(&machine);
	check_all();
	assert_int_equal(machine_upgrade(&machine), 0);
	check_all();
	assert_int_equal(kernel_replaced(&machine.kernel), before + 1);
}

/* The same of an upgrade. */
static void test_refused_in_upgrade(void **state)
{
	unsigned int before = kernel_replaced(&machine.kernel);

	machine_damage(&machine, 2);
	assert_int_equal(machine_upgrade(&machine), 0);
	await_replaced(before);
	check_all();
}

/* It breaks while it is served: the server says so, and serves the others. */
static void test_broken(void **state)
{
	struct served served = {.client = kernel_client(&machine.kernel, 0)};
	unsigned int before = kernel_replaced(&machine.kernel);
	char garbage[64] = "this is no NBD";

	served_send(&served, garbage, sizeof(garbage));
	await_replaced(before);
	says("the connection is broken: what the client says is no NBD");
	check_all();
}

/* The kernel cuts one off whose requests take too long; a request is under way on another. */
static void test_cut_off(void **state)
{
	struct served other = {.client = kernel_client(&machine.kernel, 2)};
	struct proto_request wire = served_request(PROTO_READ, 0, 77, PAGE, PAGE);
	unsigned int before = kernel_replaced(&machine.kernel);
	struct proto_reply reply;
	uint8_t page[PAGE];

	served_send(&other, &wire, sizeof(wire) / 2);
	shutdown(kernel_client(&machine.kernel, 1), SHUT_RDWR);
	await_replaced(before);
	served_send(&other, (const char *)&wire + sizeof(wire) / 2,
		    sizeof(wire) - sizeof(wire) / 2);
	served_receive(&other, &reply, sizeof(reply));
	served_receive(&other, page, sizeof(page));
	assert_int_equal(reply.error, 0);
	check_all();
}

/* Zcramd is killed on the way: the next one finds that it is dead, too. */
static void test_killed(void **state)
{
	unsigned int before;
	int status;

	leave();
	assert_true(machine_start(&machine, "ZCRAM_TEST_STEP", "1:renewal: given", &status));
	before = kernel_replaced(&machine.kernel);
	shutdown(kernel_client(&machine.kernel, 1), SHUT_RDWR);
	assert_int_equal(WTERMSIG(machine_end(&machine, 0)), SIGKILL);
	assert_int_equal(kernel_replaced(&machine.kernel), before + 1);
	start();
	await_replaced(before + 1);
	check_all();
}

/* There is no server to follow: the one that serves goes on, and the kernel does not wait for the new one. */
static void test_no_follower(void **state)
{
	pid_t server = machine_server(&machine);
	struct served served;
	char byte;

	machine_install(&machine, "/bin/false");
	shutdown(kernel_client(&machine.kernel, 1), SHUT_RDWR);
	machine_await_said(&machine, "the old one goes on");
	served.client = kernel_client(&machine.kernel, 1);
	assert_int_equal(recv(served.client, &byte, 1, 0), 0);
	assert_int_equal(machine_server(&machine), server);
	check_page(0, 1);
	check_page(2, 2);
	machine_install(&machine, NULL);
	/* It is not tried again at once, but whoever takes zcramd's place does. */
	machine_said(&machine, said, sizeof(said));
	leave();
	start();
	machine_await_said(&machine, "1 of 3 connections were dead, and were begun anew");
	check_all();
}

#define ZCRAMD(name) cmocka_unit_test_setup_teardown(name, begin, end)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		ZCRAMD(test_descriptor_refused),
		ZCRAMD(test_use_unknown),
		ZCRAMD(test_both_die),
		ZCRAMD(test_refused),
		ZCRAMD(test_refused_in_upgrade),
		ZCRAMD(test_broken),
		ZCRAMD(test_cut_off),
		ZCRAMD(test_killed),
		ZCRAMD(test_no_follower),
	};
	int failed = machine_init(&machine, CONNECTIONS);

	if (failed != 0)
		return failed;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (failed == 0)
		machine_fini(&machine);
	return failed;
}

int main(void)
{
	return keeper_guard(run_all);
}
