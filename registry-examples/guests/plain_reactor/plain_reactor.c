// A library as C's library makes it, a core module of WASI preview 1 without `main`.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../plain_command/fill.h"

#define EXPORT(NAME) __attribute__((export_name(NAME)))

static int made;

__attribute__((constructor)) static void make(void) { made = 40; }

/// Whether what runs before everything else ran, and how many calls came before.
EXPORT("count") int count(void) { return ++made; }

EXPORT("add_one") int add_one(int number) { return number + 1; }

EXPORT("say") void say(void) {
  puts("said");
  fflush(stdout);
}

EXPORT("variable") int variable(void) {
  const char *value = getenv("NUMBER");
  return value != NULL ? atoi(value) : -1;
}

EXPORT("dice") int dice(void) {
  unsigned char bytes[8];
  return getentropy(bytes, sizeof bytes);
}

/// The first byte of a file of the first mount, or -1.
EXPORT("first_byte") int first_byte(void) {
  FILE *file = fopen("/data/file.txt", "r");
  if (file == NULL) return -1;
  int c = getc(file);
  fclose(file);
  return c;
}

/// 0 when 4 MiB in pieces of this size stay as they were filled.
EXPORT("heap") int heap(int size) { return fill((size_t)size); }
