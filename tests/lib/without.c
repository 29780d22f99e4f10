/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * without io_uring|O_TMPFILE PROGRAM [ARGUMENT...]: run it where the kernel gives no io_uring: EPERM; or
 * where no file system has files without a name: EOPNOTSUPP.
 */
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The half of an argument that an int is in. */
#if __BYTE_ORDER == __BIG_ENDIAN
#define INT_OF(argument) (offsetof(struct seccomp_data, args[argument]) + 4)
#else
#define INT_OF(argument) offsetof(struct seccomp_data, args[argument])
#endif

/* No look at the architecture: the programs are of ours. */
#define CALL	      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW	      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter no_ring[] = {
	CALL,
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
	REFUSE(EPERM),
	ALLOW,
};

static struct sock_filter no_unnamed[] = {
	CALL,
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, INT_OF(2)),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
	REFUSE(EOPNOTSUPP),
	ALLOW,
};

int main(int argc, char **argv)
{
	struct sock_fprog program = {.len = sizeof(no_ring) / sizeof(*no_ring), .filter = no_ring};

	if (argc < 3)
		errx(2, "usage: without io_uring|O_TMPFILE PROGRAM [ARGUMENT...]");
	if (strcmp(argv[1], "O_TMPFILE") == 0)
		program = (struct sock_fprog){.len = sizeof(no_unnamed) / sizeof(*no_unnamed),
					      .filter = no_unnamed};
	else if (strcmp(argv[1], "io_uring") != 0)
		errx(2, "%s: without io_uring or O_TMPFILE", argv[1]);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		err(1, "seccomp");
	execvp(argv[2], argv + 2);
	err(1, "%s", argv[2]);
}
