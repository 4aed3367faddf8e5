// A heap that is filled and looked after, in a program and in a library.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
  struct piece *next;
  size_t size;
  unsigned char bytes[];
};

/// Fills 4 MiB of heap piece by piece, each with a byte of its own, asks the host for this and that at each MiB, and
/// looks whether everything is as it was.
static int fill(size_t size) {
  struct piece *pieces = NULL;
  size_t count = 0;
  for (size_t filled = 0, said = 0; said < 4;) {
    struct piece *piece = malloc(sizeof *piece + size);
    if (piece == NULL) return 4;
    *piece = (struct piece){pieces, size};
    memset(piece->bytes, (int)(count++ % 251), size);
    pieces = piece;
    filled += size;
    while (said < 4 && filled >> 20 > said) {
      printf("%zu MiB\n", ++said);
      fflush(stdout);
      const char *variable = getenv("STEADY");
      if (variable == NULL || strcmp(variable, "as it was") != 0) return 5;
      if (getchar() != EOF) return 6;
      FILE *file = fopen("/data/file.txt", "r");
      size_t length = 0;
      for (int c; file != NULL && (c = getc(file)) == '*';) length++;
      if (length != 10000 || fclose(file) != 0) return 7;
    }
  }
  while (pieces != NULL) {
    struct piece *piece = pieces;
    count--;
    for (size_t at = 0; at < piece->size; at++) {
      if (piece->bytes[at] != count % 251) return 8;
    }
    pieces = piece->next;
    free(piece);
  }
  return count == 0 ? 0 : 9;
}
