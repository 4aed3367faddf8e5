// Misbehaves on request, so that each limit of a host can be seen at work.

#include "stress.h"

#include <stdlib.h>

// What the compiler may not see through: loops that it must not shorten, calls that it must not turn into loops.
static volatile uint64_t turns;
static uint32_t (*volatile deeper)(uint32_t);

void exports_stress_spin(void) {
  for (;;) turns++;
}

uint64_t exports_stress_burn(uint64_t rounds) {
  // Xorshift: each round needs the one before, so that no round can be left out.
  uint64_t state = 88172645463325252u;
  for (uint64_t i = 0; i < rounds; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
  }
  return state;
}

uint32_t exports_stress_recurse(uint32_t depth) {
  if (depth == 0) return 0;
  deeper = exports_stress_recurse;
  return deeper(depth - 1) + 1;
}

bool exports_stress_grow(uint64_t bytes) {
  const uint64_t page = 65536;
  uint64_t pages = bytes / page + (bytes % page != 0);
  return pages <= UINT32_MAX && __builtin_wasm_memory_grow(0, (size_t)pages) != (size_t)-1;
}

void exports_stress_big(uint32_t bytes, stress_list_u8_t *ret) {
  ret->len = bytes;
  ret->ptr = malloc(bytes > 0 ? bytes : 1);
  if (ret->ptr == NULL) __builtin_trap();
  for (uint32_t i = 0; i < bytes; i++) ret->ptr[i] = (uint8_t)i;
}

void exports_stress_trap(void) {
  __builtin_trap();
}

int32_t exports_stress_divide(int32_t a, int32_t b) {
  // In WebAssembly's own terms: C gives the two quotients that trap no meaning, and its compiler could drop them.
  int32_t quotient;
  __asm__("local.get %1\n\tlocal.get %2\n\ti32.div_s\n\tlocal.set %0" : "=r"(quotient) : "r"(a), "r"(b));
  return quotient;
}
