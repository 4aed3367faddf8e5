// Sleeps by waiting on a clock, so that the host can run other guests meanwhile.

#include "sleep_test.h"

uint64_t exports_greenroom_guests_test_sleep_sleep_ms(uint64_t ms) {
  const uint64_t nanos = 1000000;
  const uint64_t longest = UINT64_MAX / nanos;

  uint64_t start = wasi_clocks_monotonic_clock_now();
  wasi_clocks_monotonic_clock_own_pollable_t timer =
      wasi_clocks_monotonic_clock_subscribe_duration((ms < longest ? ms : longest) * nanos);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(timer));
  wasi_io_poll_pollable_drop_own(timer);
  return (wasi_clocks_monotonic_clock_now() - start) / nanos;
}
