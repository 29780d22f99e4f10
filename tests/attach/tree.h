/* SPDX-License-Identifier: BSD-3-Clause */
/* tree: a made root directory, with what the kernel would show in it. */
#ifndef ZCRAM_TESTS_ATTACH_TREE_H
#define ZCRAM_TESTS_ATTACH_TREE_H

/* For cmocka's setup and teardown: *state is the path of an empty directory, gone afterwards. */
int tree_setup(void **state);
int tree_teardown(void **state);

/* Write a file below ROOT, and the directories above it. */
void tree_file(const char *root, const char *path, const char *content);
void tree_directory(const char *root, const char *path);

#endif
