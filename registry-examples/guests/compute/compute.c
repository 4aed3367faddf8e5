// Multiplies. The least that a component can do, for examples that are about pools and not about guests.

#include "compute.h"

int32_t exports_compute_compute(int32_t a, int32_t b) {
  // Unsigned, because signed overflow has no meaning in C.
  return (int32_t)((uint32_t)a * (uint32_t)b);
}
