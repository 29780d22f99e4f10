/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcramd is killed in the middle of an upgrade, of the adoption before it and of a connection
 * that is begun anew: at each step that is labelled in its sources (common/step.h), each time that it comes
 * by there, and at random moments. The next one finds one server, or brings one back, and has no other
 * beside it. Clients on two connections see nothing but a pause.
 *
 * zcramd-kill KILLS SEED STEP...: KILLS at random moments; see zcramd-kill.sh, which finds the labels.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/rng.h"
#include "tests/server/load.h"
#include "tests/server/machine.h"

/* Beyond those of the load: it is what dies, and is begun anew. */
#define SPARE	    KEEPER_CONNECTIONS
#define CONNECTIONS (KEEPER_CONNECTIONS + 1)

/* Microseconds: an upgrade is done in less. */
#define MOMENTS 200000

static struct machine machine;
static struct keeper keeper;
static struct load load;
static uint64_t kills_wanted, seed_wanted;
static char **labels;
static int nr_labels;

static void check_killed(int status)
{
	char said[4096];

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	machine_said(&machine, said, sizeof(said));
	CHECK(false, "zcramd ends otherwise: %#x: %s", (unsigned int)status, said);
}

static bool spare_is_dead(void)
{
	struct pollfd fd = {.fd = kernel_client(&machine.kernel, SPARE), .events = POLLIN};

	return poll(&fd, 1, 0) > 0 && (fd.revents & POLLHUP) != 0;
}

/* One that nothing is done to: it takes over, and leaves all as it is. */
static void check_next(void)
{
	char said[4096];
	int status;

	if (!machine_start(&machine, NULL, NULL, &status)) {
		machine_said(&machine, said, sizeof(said));
		CHECK(false, "the next zcramd does not start: %#x: %s", (unsigned int)status, said);
	}
	load_await(&load, 20);
	while (spare_is_dead())
		usleep(1000);
	machine_await_one_server(&machine);
	/* It may still be at work on that. */
	while (machine_upgrade(&machine) != 0) {
		machine_said(&machine, said, sizeof(said));
		CHECK(strstr(said, "upgrade: one is under way") != NULL,
		      "what is left cannot be upgraded: %s", said);
	}
	load_await(&load, 20);
	machine_await_one_server(&machine);
	CHECK(machine_end(&machine, SIGUSR2) == 0, "it does not leave");
	/* Of no interest any more. */
	machine_said(&machine, said, sizeof(said));
}

/* To come by a step of what is begun anew. */
static void cut_off_spare(void)
{
	struct pollfd death = {.fd = machine.pidfd, .events = POLLIN};

	shutdown(kernel_client(&machine.kernel, SPARE), SHUT_RDWR);
	while (spare_is_dead() && poll(&death, 1, 1) == 0)
		;
}

/* All that has steps, with zcramd to be killed at one of them. True: it was. */
static bool kill_at(const char *label, unsigned int occurrence)
{
	char step[128];
	int status;

	snprintf(step, sizeof(step), "%u:%s", occurrence, label);
	if (machine_start(&machine, "ZCRAM_TEST_STEP", step, &status)) {
		machine_upgrade(&machine);
		cut_off_spare();
		status = machine_end(&machine, SIGUSR2);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
		return false;
	check_killed(status);
	return true;
}

static void kill_at_steps(void)
{
	for (int i = 0; i < nr_labels; i++) {
		unsigned int times = 0;

		while (kill_at(labels[i], times + 1)) {
			times++;
			check_next();
		}
		CHECK(times > 0, "zcramd does not come by '%s'", labels[i]);
		printf("%-30s killed %u times\n", labels[i], times);
		fflush(stdout);
		check_next();
	}
}

static void kill_at_random(struct rng *rng)
{
	int status;
	pid_t pid;

	CHECK(machine_start(&machine, NULL, NULL, &status), "it does not start");
	pid = fork();
	CHECK(pid >= 0, "no process");
	if (pid == 0) {
		usleep((useconds_t)rng_below(rng, MOMENTS));
		kill(machine.zcramd, SIGKILL);
		_exit(0);
	}
	rng_next(rng);
	machine_upgrade(&machine);
	CHECK(waitpid(pid, NULL, 0) == pid, "no child");
	check_killed(machine_end(&machine, 0));
	check_next();
}

static void begin(void)
{
	int status;

	CHECK(machine_start(&machine, NULL, NULL, &status), "it does not start");
	keeper.nr_connections = KEEPER_CONNECTIONS;
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		keeper.connections[i] = (struct keeper_connection){
			.server = -1,
			.client = kernel_client(&machine.kernel, i),
		};
	load_start(&load, &keeper, seed_wanted, (uint64_t)MACHINE_MIB << 20);
	CHECK(machine_end(&machine, SIGUSR2) == 0, "it does not leave");
}

static void finish(void)
{
	int status;

	CHECK(machine_start(&machine, NULL, NULL, &status), "it does not start");
	load_finish(&load);
	load_check_content(&load);
	printf("seed %" PRIu64 ": longest request %" PRIu64 " us\n", seed_wanted,
	       load_longest(&load) / 1000);
	CHECK(machine_end(&machine, SIGTERM) == 0, "it does not stop");
	machine_fini(&machine);
}

static int run_all(void)
{
	struct rng rng = rng_make(seed_wanted);
	int r = machine_init(&machine, CONNECTIONS);

	if (r != 0)
		return r;
	begin();
	kill_at_steps();
	for (uint64_t i = 0; i < kills_wanted; i++)
		kill_at_random(&rng);
	finish();
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: zcramd-kill KILLS SEED STEP...\n");
		return EXIT_FAILURE;
	}
	kills_wanted = strtoull(argv[1], NULL, 10);
	seed_wanted = test_seed(strtoull(argv[2], NULL, 10));
	labels = argv + 3;
	nr_labels = argc - 3;
	return keeper_guard(run_all);
}
