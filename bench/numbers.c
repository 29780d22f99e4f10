/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/numbers.h"

#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define MAX_THREADS 8

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare_double);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint32_t percentile(uint32_t *values, size_t n, double percent)
{
	size_t at = (size_t)((double)n * percent / 100);

	if (n == 0)
		return 0;
	qsort(values, n, sizeof(*values), compare_u32);
	return values[at < n ? at : n - 1];
}

struct job {
	void (*fn)(void *opaque, unsigned int thread);
	void *opaque;
	unsigned int thread;
	pthread_barrier_t *barrier;
	uint64_t start, end;
};

static void *run_job(void *arg)
{
	struct job *job = arg;

	pthread_barrier_wait(job->barrier);
	job->start = now_ns();
	job->fn(job->opaque, job->thread);
	job->end = now_ns();
	return NULL;
}

double run_parallel(unsigned int threads, void (*fn)(void *opaque, unsigned int thread),
		    void *opaque)
{
	pthread_t ids[MAX_THREADS];
	struct job jobs[MAX_THREADS];
	pthread_barrier_t barrier;
	uint64_t start = UINT64_MAX, end = 0;

	if (threads > MAX_THREADS || pthread_barrier_init(&barrier, NULL, threads) != 0)
		errx(EXIT_FAILURE, "%u threads are too many", threads);
	for (unsigned int i = 0; i < threads; i++) {
		jobs[i] = (struct job){fn, opaque, i, &barrier, 0, 0};
		if (pthread_create(&ids[i], NULL, run_job, &jobs[i]) != 0)
			errx(EXIT_FAILURE, "cannot start a thread");
	}
	/* The threads look at the clock themselves: this one may be let run late. */
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		start = jobs[i].start < start ? jobs[i].start : start;
		end = jobs[i].end > end ? jobs[i].end : end;
	}
	pthread_barrier_destroy(&barrier);
	return (double)(end - start) / 1e9;
}
