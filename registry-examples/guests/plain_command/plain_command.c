// A program as C's library makes it, a core module of WASI preview 1: does what its second argument names.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fill.h"

extern char **environ;

static int copy(FILE *from) {
  if (from == NULL) {
    perror("copy");
    return 3;
  }
  int c;
  while ((c = getc(from)) != EOF) putchar(c);
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "hello";
  const char *with = argc > 2 ? argv[2] : "";
  if (strcmp(what, "hello") == 0) puts("hello");
  if (strcmp(what, "args") == 0) {
    for (int i = 0; i < argc; i++) puts(argv[i]);
  }
  if (strcmp(what, "env") == 0) {
    for (char **variable = environ; *variable != NULL; variable++) puts(*variable);
  }
  if (strcmp(what, "stdin") == 0) return copy(stdin);
  if (strcmp(what, "read") == 0) return copy(fopen(with, "r"));
  if (strcmp(what, "write") == 0) {
    FILE *file = fopen(with, "w");
    if (file == NULL || fputs("written by a program", file) < 0 || fclose(file) != 0) {
      perror(with);
      return 3;
    }
  }
  if (strcmp(what, "heap") == 0) return fill(strtoul(with, NULL, 10));
  if (strcmp(what, "large") == 0) {
    // More than one write of the library, in lines that are as long as the log shows.
    for (int i = 0; i < 100; i++) {
      for (int j = 0; j < 4000; j++) putchar('a' + i % 26);
      putchar('\n');
    }
  }
  if (strcmp(what, "time") == 0) printf("%d\n", time(NULL) > 1000000);
  if (strcmp(what, "exit") == 0) {
    printf("no end of line");
    exit(atoi(with));
  }
  if (strcmp(what, "return") == 0) return atoi(with);
  if (strcmp(what, "abort") == 0) abort();
  return 0;
}
