/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: after each instruction that changes a store, what a kill there would leave is
 * recovered from a copy: every state that a thread alone can leave a store in, one after the other.
 *
 * stores ROUNDS SEED: each round opens the device, makes requests, and compacts. It is left at any
 * instruction, or when it has ended, so that the next one has something to recover.
 *
 * The store is read-only. An instruction that writes to it faults, is let through by itself (the
 * processor's trap flag), and the store is looked at before the next. Of the bytes of a copy only
 * some are, for they are alike. What the kernel changes is wrapped: os_commit(), os_release_shared().
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/os.h"
#include "tests/kill/child.h"
#include "tests/kill/load.h"
#include "tests/kill/verify.h"
#include "tests/lib/check.h"
#include "tests/lib/trainer.h"

#define SIZE		    (UINT64_C(1) << 20)
#define REQUESTS	    40 /* of a round */
#define FILL_REQUESTS	    600
#define TRAP_FLAG	    0x100
#define COPY_STRIDE	    64 /* bytes: what is written no further from the last is one copy */
#define COPY_PERCENT	    5
#define END_PERCENT	    10	/* of rounds that end */
#define MAX_STORES	    300 /* of others */
#define MAX_TRAINING_STORES 4000

int __real_os_commit(void *addr, size_t size);
int __wrap_os_commit(void *addr, size_t size);
int __real_os_release_shared(void *addr, size_t size);
int __wrap_os_release_shared(void *addr, size_t size);

static struct journal *journal;
static struct rng rng;
static char *store;
static uint64_t store_size;
static int store_file;
static bool guarded;
static sigjmp_buf leave;

static struct {
	uint64_t stores, looked_at, by_kernel;
	uint64_t moved;
	uint64_t last_store; /* where the round is left */
	uintptr_t instruction, address, last_address;
} trace;

static void protect(bool on)
{
	guarded = on;
	CHECK(mprotect(store, store_size, on ? PROT_READ : PROT_READ | PROT_WRITE) == 0,
	      "mprotect");
}

static struct device *device_open(char *at, struct rng *from)
{
	struct device_options options = {
		.size = SIZE,
		.allocator = journal->allocator,
		.streams = 1,
		.store = at,
		.store_size = store_size,
	};
	struct device *device;
	int err;

	CHECK(codec_method_init(&options.method, rng_chance(from, 80) ? "lz4" : "zstd", NULL) == 0,
	      "no method");
	err = device_new(&options, &device);
	CHECK(err == 0, "device_new: %d", err);
	verify_recovery(journal, device);
	return device;
}

/* What the store has memory for, in memory of the caller's. */
static char *copy_store(void)
{
	int file = memfd_create("kill-copy", MFD_CLOEXEC);
	off_t from = 0, to = 0;
	char *copy;

	CHECK(file >= 0 && ftruncate(file, (off_t)store_size) == 0, "no file in memory");
	copy = mmap(NULL, store_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(copy != MAP_FAILED, "cannot map a copy");
	while ((from = lseek(store_file, to, SEEK_DATA)) >= 0) {
		to = lseek(store_file, from, SEEK_HOLE);
		CHECK(pwrite(file, store + from, (size_t)(to - from), from) == to - from,
		      "cannot copy the store");
	}
	return copy;
}

/* In a process of its own, whose journal is its own too: recover a copy, and verify. */
_Noreturn static void look(void)
{
	struct rng own = rng;
	struct device *device;

	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	guarded = false;
	device = device_open(copy_store(), &own);
	verify_pool(journal, device);
	verify_content(journal, device);
	_exit(EXIT_SUCCESS);
}

static void look_at_store(void)
{
	int status;
	pid_t pid;

	trace.looked_at++;
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0, "no process");
	if (pid == 0)
		look();
	CHECK(waitpid(pid, &status, 0) == pid && status == 0,
	      "a kill after store %" PRIu64 ", to byte %" PRIu64 " of the store: status 0x%x",
	      trace.stores, trace.address - (uintptr_t)store, (unsigned int)status);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t address = (uintptr_t)info->si_addr;

	if (!guarded || address - (uintptr_t)store >= store_size) {
		signal(SIGSEGV, SIG_DFL); /* a fault like any other: it comes again */
		return;
	}
	trace.instruction = (uintptr_t)registers[REG_RIP];
	trace.last_address = trace.address;
	trace.address = address;
	protect(false);
	registers[REG_EFL] |= TRAP_FLAG;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint64_t distance = trace.address - trace.last_address + COPY_STRIDE;

	/* A string instruction traps each time that it repeats itself. */
	if ((uintptr_t)registers[REG_RIP] == trace.instruction)
		return;
	registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	protect(true);
	trace.stores++;
	if (distance == COPY_STRIDE || distance > 2 * COPY_STRIDE || rng_chance(&rng, COPY_PERCENT))
		look_at_store();
	if (trace.stores == trace.last_store)
		siglongjmp(leave, 1);
}

static void handle(int number, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO};

	CHECK(sigaction(number, &action, NULL) == 0, "no handler");
}

/* Let the kernel write to the store. */
static int by_kernel(int (*fn)(void *addr, size_t size), void *addr, size_t size)
{
	bool stop = guarded && (uintptr_t)addr - (uintptr_t)store < store_size;
	int r;

	if (!stop)
		return fn(addr, size);
	protect(false);
	r = fn(addr, size);
	protect(true);
	trace.by_kernel++;
	look_at_store();
	return r;
}

int __wrap_os_commit(void *addr, size_t size)
{
	return by_kernel(__real_os_commit, addr, size);
}

int __wrap_os_release_shared(void *addr, size_t size)
{
	return by_kernel(__real_os_release_shared, addr, size);
}

/* Reading a page locks its slot, which changes the store too: such a round goes on for longer. */
static void train_and_retire(struct device *device)
{
	struct trainer trainer;

	if (trace.last_store != UINT64_MAX)
		trace.last_store += rng_below(&rng, MAX_TRAINING_STORES);
	trainer_init(&trainer, device, "zstd", 1);
	if (rng_chance(&rng, 50))
		trainer_add(&trainer);
	else
		trainer_train(&trainer);
	for (uint64_t page = 0; page < journal->pages; page++)
		CHECK(trainer_recompress(&trainer, page) == 0, "recompressing");
	dicts_retire(device);
	trainer_fini(&trainer);
}

static void work_on_store(void)
{
	struct device_stats stats;
	struct device *device;

	protect(true);
	device = device_open(store, &rng);
	/* A read writes to the store too, when it locks a slot. And what is done first goes fast. */
	protect(false);
	verify_pool(journal, device);
	verify_content(journal, device);
	load_here(journal, device, rng_next(&rng), rng_below(&rng, FILL_REQUESTS));
	protect(true);
	if (rng_chance(&rng, 60))
		load_here(journal, device, rng_next(&rng), REQUESTS);
	if (rng_chance(&rng, 40))
		train_and_retire(device);
	CHECK(device_compact(device) == 0, "compact");
	device_get_stats(device, &stats);
	trace.moved += stats.objects_compacted + stats.objects_migrated;
	device_free(device);
}

/* A device that is left in the middle is not freed: nobody says what state it is in. */
static void one_round(void)
{
	trace.last_store = rng_chance(&rng, END_PERCENT)
				   ? UINT64_MAX
				   : trace.stores + rng_between(&rng, 1, MAX_STORES);
	if (sigsetjmp(leave, 1) == 0)
		work_on_store();
	protect(false);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	uint64_t seed = test_seed(argc > 2 ? strtoull(argv[2], NULL, 0) : 0);

	if (rounds == 0) {
		fprintf(stderr, "stores ROUNDS SEED\n");
		return EXIT_FAILURE;
	}
	rng = rng_make(seed);
	journal = journal_new(seed, SIZE, 1, false);
	trainer_prepare();
	store_size = device_store_size(SIZE);
	store_file = store_new(journal);
	store = mmap(NULL, store_size, PROT_READ | PROT_WRITE, MAP_SHARED, store_file, 0);
	CHECK(store != MAP_FAILED, "cannot map the store");
	handle(SIGSEGV, on_fault);
	handle(SIGTRAP, on_trap);
	for (unsigned long i = 0; i < rounds; i++)
		one_round();
	printf("%" PRIu64 " instructions changed the store, and the kernel %" PRIu64
	       " times; recovered from what was there after %" PRIu64 " of them; %" PRIu64
	       " objects were moved\n",
	       trace.stores, trace.by_kernel, trace.looked_at, trace.moved);
	return EXIT_SUCCESS;
}
