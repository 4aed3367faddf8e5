// Greets by name. Shows how a string crosses into a component and back.

#include "greet.h"

#include <stdlib.h>
#include <string.h>

void exports_greet_greet(greet_string_t *name, greet_string_t *ret) {
  static const char before[] = "Hello, ";
  const size_t start = sizeof before - 1;

  ret->len = start + name->len + 1;
  ret->ptr = malloc(ret->len);
  if (ret->ptr == NULL) __builtin_trap();
  memcpy(ret->ptr, before, start);
  memcpy(ret->ptr + start, name->ptr, name->len);
  ret->ptr[start + name->len] = '!';

  greet_string_free(name);
}
