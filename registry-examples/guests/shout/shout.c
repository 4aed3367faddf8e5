// A command: copies standard input to standard output in capitals. Ends with status 1 when there was nothing to say.

#include <ctype.h>
#include <stdio.h>

int main(void) {
  int said = 0;
  for (int c; (c = getchar()) != EOF; said = 1) {
    putchar(toupper(c));
  }
  if (ferror(stdin) || fflush(stdout) != 0) {
    perror("shout");
    return 2;
  }
  return said ? 0 : 1;
}
