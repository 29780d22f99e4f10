/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-generator: early at boot, and at each daemon-reload, make the devices of zcram.conf part of
 * what systemd starts.
 *
 *	zcram-generator NORMAL-DIR [EARLY-DIR LATE-DIR]
 *
 * It makes links and drop-ins in NORMAL-DIR only; everything else is zcramd's. Nothing is up at that
 * time but the root file system, so what there is to say goes to the kernel's log. With ZCRAM_ROOT in
 * the environment another system's files are read, and it goes to standard error.
 *
 * When the configuration is wrong, the devices that it names are wanted all the same: each unit then
 * fails and says why, where people look.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "common/unit.h"
#include "config/conf.h"

#define SWITCH "systemd.zcram="

struct generator {
	const char *root; /* of the system whose files are read; "": this one */
	const char *dir;  /* that is written to */
};

/*
 * What differs for a section with a mount point: what zcramd mounts must be seen by all, so it cannot
 * have a view of its own of the file systems; and its place must be there.
 */
static const char mounting[] = "[Service]\n"
			       "CapabilityBoundingSet=CAP_DAC_READ_SEARCH\n"
			       "InaccessiblePaths=\n"
			       "PrivateMounts=no\n"
			       "ProtectControlGroups=no\n"
			       "ProtectHome=no\n"
			       "ProtectKernelLogs=no\n"
			       "ProtectKernelModules=no\n"
			       "ProtectKernelTunables=no\n"
			       "ProtectProc=default\n"
			       "ProtectSystem=no\n"
			       "ReadWritePaths=\n"
			       "SystemCallFilter=@mount\n";

/* Say a line to people. A kernel's log takes it whole by one write. */
static void report(const struct generator *generator, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void report(const struct generator *generator, int level, const char *format, ...)
{
	char line[1024];
	va_list args;
	size_t len;
	int fd;

	len = (size_t)snprintf(line, sizeof(line), "<%d>zcram-generator[%d]: ", level,
			       (int)getpid());
	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - len - 1, format, args);
	va_end(args);
	/* Without it the kernel would keep the line back until another one comes. */
	len = strlen(line);
	line[len++] = '\n';
	line[len] = '\0';
	fd = *generator->root == '\0' ? open("/dev/kmsg", O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0 || write(fd, line, len) < 0)
		fputs(line, stderr);
	if (fd >= 0)
		close(fd);
}

/* The same, line by line. */
static void report_lines(const struct generator *generator, int level, char *lines)
{
	char *rest = lines;

	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
		report(generator, level, "%s", line);
}

static int no_memory(const struct generator *generator)
{
	report(generator, LOG_ERR, "no memory");
	return -ENOMEM;
}

/* Open DIR/PART for a link or file in it; a negative errno, which was reported. */
static int open_directory(const struct generator *generator, const char *part)
{
	char *path;
	int fd = -1;

	if (asprintf(&path, "%s/%s", generator->dir, part) < 0)
		return no_memory(generator);
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fd = -errno;
		report(generator, LOG_ERR, "%s: %s", path, strerror(-fd));
	}
	free(path);
	return fd;
}

/* Have TARGET start the device called NAME. 0, or a negative errno, which was reported. */
static int want(const struct generator *generator, const char *target, const char *name)
{
	char wants[64], unit[64];
	int fd, r = 0;

	snprintf(wants, sizeof(wants), "%s.wants", target);
	snprintf(unit, sizeof(unit), "zcram@%s.service", name);
	fd = open_directory(generator, wants);
	if (fd < 0)
		return fd;
	if (symlinkat(ZCRAM_UNIT_DIR "/zcram@.service", fd, unit) < 0 && errno != EEXIST) {
		r = -errno;
		report(generator, LOG_ERR, "%s/%s: %s", wants, unit, strerror(-r));
	}
	close(fd);
	return r;
}

/* Write PATH as one word of a unit file. */
static void print_quoted(FILE *out, const char *path, size_t len)
{
	fputc('"', out);
	for (; len > 0; path++, len--) {
		if (*path == '"' || *path == '\\')
			fputc('\\', out);
		if (*path == '%')
			fputc('%', out);
		fputc(*path, out);
	}
	fputc('"', out);
}

/* The directory that PATH is in. */
static size_t parent_len(const char *path)
{
	return (size_t)(strrchr(path, '/') - path);
}

static void print_mounting(FILE *out, const struct conf_device *device)
{
	size_t parent = parent_len(device->mount_point);

	fputs("# Made by zcram-generator.\n[Unit]\n", out);
	fprintf(out, "SourcePath=%s\n", device->origin[CONF_KEY_MOUNT_POINT].file);
	/* The mount point's own unit comes to be by this one, and must not be waited for. */
	if (parent > 0) {
		fputs("RequiresMountsFor=", out);
		print_quoted(out, device->mount_point, parent);
		fputc('\n', out);
	}
	fputc('\n', out);
	fputs(mounting, out);
}

/* Is what it writes back to on another machine? */
static bool is_remote(const struct conf_device *device)
{
	const char *where = device->writeback;

	return where != NULL && (strncmp(where, "nbd:", 4) == 0 || strncmp(where, "nbds:", 5) == 0);
}

/*
 * What starts it, and waits for it: swap comes early, and file systems do. The network comes after both, and
 * with it a device that cannot do without.
 */
static const char *target_of(const struct conf_device *device)
{
	if (is_remote(device))
		return "remote-fs.target";
	return device->swap ? "swap.target" : "local-fs.target";
}

/* Services end before these targets do, which end before the device. */
static void print_order(FILE *out, const struct conf_device *device)
{
	fputs("# Made by zcram-generator.\n[Unit]\n", out);
	fprintf(out, "Before=%s\n", target_of(device));
	if (is_remote(device))
		fputs("Wants=network-online.target\nAfter=network-online.target\n", out);
}

/*
 * A node of /dev must be there, and be allowed. When it goes, writeback ends and nothing else, so the unit
 * is not bound to it.
 */
static void print_node(FILE *out, const char *where)
{
	char *unit = unit_of_path(where, "device");

	if (unit != NULL)
		fprintf(out, "Requires=%s\nAfter=%s\n", unit, unit);
	fprintf(out, "\n[Service]\nDeviceAllow=%s rw\n", where);
	free(unit);
}

/* A file may be made in its directory, which must be there, and be writable: the root's may not be at first. */
static void print_file(FILE *out, const char *where)
{
	size_t parent = parent_len(where);

	fputs("After=systemd-remount-fs.service\n", out);
	if (parent > 0) {
		fputs("RequiresMountsFor=", out);
		print_quoted(out, where, parent);
		fputc('\n', out);
	}
	fputs("\n[Service]\nReadWritePaths=", out);
	print_quoted(out, where, parent > 0 ? parent : 1);
	fputc('\n', out);
}

static void print_writeback(FILE *out, const struct conf_device *device)
{
	const char *where = device->writeback;

	fputs("# Made by zcram-generator.\n[Unit]\n", out);
	fprintf(out, "SourcePath=%s\n", device->origin[CONF_KEY_WRITEBACK].file);
	if (strncmp(where, "/dev/", 5) == 0)
		print_node(out, where);
	else if (*where == '/')
		print_file(out, where);
	else if (is_remote(device))
		fputs("\n[Service]\nIPAddressDeny=\nRestrictAddressFamilies=AF_INET AF_INET6\n",
		      out);
}

/*
 * Have a drop-in FILE, of the unit of DEVICE, of what PRINT writes. 0, or a negative errno, which was
 * reported.
 */
static int add_drop_in(const struct generator *generator, const struct conf_device *device,
		       const char *file, void (*print)(FILE *out, const struct conf_device *device))
{
	char directory[64];
	int dir, fd, r = 0;
	FILE *out = NULL;

	snprintf(directory, sizeof(directory), "zcram@%s.service.d", device->name);
	dir = open_directory(generator, directory);
	if (dir < 0)
		return dir;
	fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (out == NULL) {
		r = -errno;
	} else {
		print(out, device);
		if (fclose(out) != 0)
			r = -errno;
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
	close(dir);
	if (r < 0)
		report(generator, LOG_ERR, "%s/%s: %s", directory, file, strerror(-r));
	return r;
}

static int add_device(const struct generator *generator, const struct conf_device *device)
{
	int r = 0;

	if (!device->applies) {
		report(generator, LOG_INFO, "%s is not started: %s", device->name, device->why_not);
		return 0;
	}
	r = add_drop_in(generator, device, "40-order.conf", print_order);
	if (r == 0 && device->mount_point != NULL)
		r = add_drop_in(generator, device, "50-mount.conf", print_mounting);
	if (r == 0 && device->writeback != NULL)
		r = add_drop_in(generator, device, "60-writeback.conf", print_writeback);
	if (r == 0)
		r = want(generator, target_of(device), device->name);
	return r;
}

/* The configuration is wrong: have all that it names fail. */
static int add_names(const struct generator *generator)
{
	char **names;
	int r = 0;

	if (conf_names(generator->root, &names) < 0)
		return no_memory(generator);
	for (char **name = names; *name != NULL && r == 0; name++)
		r = want(generator, "swap.target", *name);
	conf_free_names(names);
	return r;
}

static int generate(const struct generator *generator)
{
	struct conf_host host;
	struct conf *conf;
	char *why = NULL;
	int r;

	r = conf_host_get(generator->root, &host);
	if (r < 0) {
		report(generator, LOG_ERR, "%s/proc/meminfo: %s", generator->root, strerror(-r));
		return r;
	}
	r = conf_load(generator->root, &host, &conf, &why);
	if (r < 0) {
		if (why != NULL)
			report_lines(generator, LOG_ERR, why);
		free(why);
		return r == -ENOMEM ? no_memory(generator) : add_names(generator);
	}
	for (size_t i = 0; i < conf_count(conf) && r == 0; i++)
		r = add_device(generator, conf_at(conf, i));
	conf_free(conf);
	return r;
}

/* A container has its host's swap, and must not load modules; an initrd ends before it is of use. */
static bool is_elsewhere(const struct generator *generator)
{
	const char *virtualization = getenv("SYSTEMD_VIRTUALIZATION");
	const char *initrd = getenv("SYSTEMD_IN_INITRD");
	char *path;
	bool found;

	if (virtualization != NULL && strncmp(virtualization, "container:", 10) == 0)
		return true;
	if (initrd != NULL && strcmp(initrd, "1") == 0)
		return true;
	/* Before systemd 251 there were no such variables. */
	if (asprintf(&path, "%s/run/systemd/container", generator->root) < 0)
		return false;
	found = access(path, F_OK) == 0;
	free(path);
	return found;
}

/* Is it turned off in the kernel's command line? The last word on it counts. */
static bool is_turned_off(const struct generator *generator)
{
	static const char *const no[] = {"0", "no", "n", "false", "f", "off"};
	char line[4096], *path, *rest = line;
	bool off = false;
	FILE *file;

	if (asprintf(&path, "%s/proc/cmdline", generator->root) < 0)
		return false;
	file = fopen(path, "re");
	free(path);
	if (file == NULL)
		return false;
	line[fread(line, 1, sizeof(line) - 1, file)] = '\0';
	fclose(file);
	for (char *word = strsep(&rest, " \t\n"); word != NULL; word = strsep(&rest, " \t\n")) {
		if (strncmp(word, SWITCH, strlen(SWITCH)) != 0)
			continue;
		off = false;
		for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
			off = off || strcasecmp(word + strlen(SWITCH), no[i]) == 0;
	}
	return off;
}

int main(int argc, char **argv)
{
	const char *root = getenv("ZCRAM_ROOT");
	struct generator generator = {.root = root == NULL ? "" : root};

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: zcram-generator NORMAL-DIR [EARLY-DIR LATE-DIR]\n");
		return 2;
	}
	generator.dir = argv[1];
	if (is_elsewhere(&generator) || is_turned_off(&generator))
		return 0;
	return generate(&generator) < 0;
}
