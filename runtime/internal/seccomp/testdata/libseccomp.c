// Reads filters in a simple line form and writes what libseccomp makes of them.
//
//	default ACTION          starts a filter
//	arch TOKEN              adds an architecture
//	only                    removes the native architecture
//	optimize N
//	rule ACTION NAME N [INDEX OP A B]*
//	end                     answers "program LENGTH" and LENGTH hexadecimal instructions, one a line
//	names                   answers "name NAME" with its number on each architecture, for every number
//
// Numbers are what strtoull(3) reads; an action, an operator and an architecture are libseccomp's own numbers. A rule for
// a name that libseccomp does not know is answered "unknown NAME", one that it refuses "refused NAME ERRNO".
#define _GNU_SOURCE
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static scmp_filter_ctx ctx;

static unsigned long long number(void) {
	char *word = strtok(NULL, " \n");
	if (word == NULL) exit(3);
	return strtoull(word, NULL, 0);
}

static void rule(void) {
	struct scmp_arg_cmp args[6];
	uint32_t action = number();
	char *name = strtok(NULL, " \n");
	unsigned n = number();
	int nr = seccomp_syscall_resolve_name(name);
	for (unsigned i = 0; i < n; i++) {
		args[i].arg = number();
		args[i].op = number();
		args[i].datum_a = number();
		args[i].datum_b = number();
	}
	if (nr == __NR_SCMP_ERROR) {
		printf("unknown %s\n", name);
		return;
	}
	int r = seccomp_rule_add_array(ctx, action, nr, n, args);
	if (r != 0) printf("refused %s %d\n", name, -r);
}

static void end(void) {
	int fd = memfd_create("bpf", 0);
	if (seccomp_export_bpf(ctx, fd) != 0) exit(4);
	off_t size = lseek(fd, 0, SEEK_END);
	uint64_t *code = malloc(size);
	if (pread(fd, code, size, 0) != size) exit(5);
	printf("program %ld\n", (long)size / 8);
	for (off_t i = 0; i < size / 8; i++) printf("%016llx\n", (unsigned long long)code[i]);
	fflush(stdout);
	close(fd);
	free(code);
	seccomp_release(ctx);
}

static const uint32_t archs[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};

static void numbers(const char *name) {
	printf("name %s", name);
	for (unsigned a = 0; a < 5; a++) printf(" %d", seccomp_syscall_resolve_name_arch(archs[a], name));
	printf("\n");
}

static void names(void) {
	for (unsigned a = 0; a < 5; a++)
		for (int nr = 0; nr < 1000000; nr++) {
			char *name = seccomp_syscall_resolve_num_arch(archs[a], archs[a] == SCMP_ARCH_X32 ? nr | 0x40000000 : nr);
			if (name == NULL) continue;
			numbers(name);
			free(name);
		}
	printf("program 0\n");
	fflush(stdout);
}

int main(void) {
	static char line[65536];
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *word = strtok(line, " \n");
		alarm(60); // some rules send libseccomp into an endless loop
		if (word == NULL) continue;
		if (!strcmp(word, "default")) ctx = seccomp_init(number());
		else if (!strcmp(word, "arch")) {
			int r = seccomp_arch_add(ctx, number());
			if (r != 0 && r != -EEXIST) return 6;
		} else if (!strcmp(word, "only")) {
			if (seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE) != 0) return 7;
		} else if (!strcmp(word, "optimize")) {
			if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, number()) != 0) return 8;
		} else if (!strcmp(word, "rule")) rule();
		else if (!strcmp(word, "end")) end();
		else if (!strcmp(word, "names")) names();
		else return 2;
	}
	return 0;
}
