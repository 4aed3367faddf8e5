// Calls other functions of its registry. Shows `funcs`: what is called, with JSON in and out, and what errors look like.

#include "pricing.h"

#include <stdlib.h>
#include <string.h>

// A text that grows.
typedef struct {
  uint8_t *ptr;
  size_t len;
} text;

static void put(text *to, const void *bytes, size_t len) {
  if (len == 0) return;
  to->ptr = realloc(to->ptr, to->len + len);
  if (to->ptr == NULL) __builtin_trap();
  memcpy(to->ptr + to->len, bytes, len);
  to->len += len;
}

static void put_words(text *to, const char *words) { put(to, words, strlen(words)); }

static void put_number(text *to, int64_t number) {
  char digits[20];
  size_t at = sizeof digits;
  uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
  do digits[--at] = '0' + rest % 10;
  while ((rest /= 10) > 0);
  if (number < 0) put_words(to, "-");
  put(to, digits + at, sizeof digits - at);
}

static const char *const kinds[] = {
    "not_found", "invalid", "permission_denied", "timeout", "rate_limited", "unavailable", "canceled", "internal",
};

// Calls a function. False, with the error as `kind: message`, when there is no result.
static bool call(pricing_string_t *id, text *args, pricing_string_t *ret, pricing_string_t *err) {
  pricing_string_t json = {args->ptr, args->len};
  greenroom_runtime_funcs_error_t error;
  const bool ok = greenroom_runtime_funcs_call(id, &json, ret, &error);
  if (args->len > 0) free(args->ptr);
  if (ok) return true;
  text said = {0};
  put_words(&said, kinds[error.kind]);
  put_words(&said, ": ");
  put(&said, error.message.ptr, error.message.len);
  greenroom_runtime_funcs_error_free(&error);
  *err = (pricing_string_t){said.ptr, said.len};
  return false;
}

// The number that a JSON text is or holds first.
static int64_t number_in(const pricing_string_t *json) {
  char copy[32] = {0};
  size_t from = 0, len = 0;
  while (from < json->len && json->ptr[from] != '-' && (json->ptr[from] < '0' || json->ptr[from] > '9')) from++;
  while (from < json->len && len < sizeof copy - 1) copy[len++] = json->ptr[from++];
  return strtoll(copy, NULL, 10);
}

bool exports_pricing_total(pricing_list_item_t *items, int32_t *ret, pricing_string_t *err) {
  int64_t total = 0;
  for (size_t i = 0; i < items->len; i++) {
    text args = {0};
    put_words(&args, "[");
    put_number(&args, items->ptr[i].price);
    put_words(&args, ",");
    put_number(&args, items->ptr[i].quantity);
    put_words(&args, "]");
    // Without a namespace, it is the caller's own.
    pricing_string_t id, product;
    pricing_string_set(&id, "compute");
    if (!call(&id, &args, &product, err)) return false;
    total += number_in(&product);
    pricing_string_free(&product);
  }
  pricing_list_item_free(items);
  *ret = (int32_t)total;
  return true;
}

bool exports_pricing_self_test(pricing_string_t *err) {
  text args = {0};
  put_words(&args, "[6,7]");
  pricing_string_t id, product;
  pricing_string_set(&id, "compute");
  if (!call(&id, &args, &product, err)) return false;
  const bool right = number_in(&product) == 42;
  pricing_string_free(&product);
  if (!right) pricing_string_dup(err, "6 times 7 is not 42");
  return right;
}

bool exports_pricing_ask(pricing_string_t *id, pricing_string_t *args, pricing_string_t *ret, pricing_string_t *err) {
  text given = {args->ptr, args->len};
  return call(id, &given, ret, err);
}

bool exports_pricing_bounce(pricing_list_string_t *ids, uint32_t left, uint32_t *ret, pricing_string_t *err) {
  if (left == 0) {
    *ret = 0;
    return true;
  }
  text args = {0};
  put_words(&args, "[[");
  for (size_t i = 0; i < ids->len; i++) {
    put_words(&args, i == 0 ? "\"" : ",\"");
    put(&args, ids->ptr[i].ptr, ids->ptr[i].len);
    put_words(&args, "\"");
  }
  put_words(&args, "],");
  put_number(&args, left - 1);
  put_words(&args, "]");
  pricing_string_t result;
  if (!call(&ids->ptr[left % ids->len], &args, &result, err)) return false;
  // What failed further down is passed on as it is, and not wrapped again at each level: `{"err":"why"}`.
  static const char before[] = "{\"err\":\"", after[] = "\"}";
  const size_t start = sizeof before - 1, end = sizeof after - 1;
  if (result.len > start + end && memcmp(result.ptr, before, start) == 0) {
    text why = {0};
    put(&why, result.ptr + start, result.len - start - end);
    *err = (pricing_string_t){why.ptr, why.len};
    pricing_string_free(&result);
    return false;
  }
  *ret = (uint32_t)number_in(&result) + 1;
  pricing_string_free(&result);
  return true;
}
