// Maps and filters records. Shows how lists of records with strings and lists inside cross into a component and back.
//
// Strings and lists of the arguments are handed over to the result rather than copied: the result owns them from then
// on, and the generated `post_return` frees them once the host has read them.

#include "mapper.h"

#include <stdlib.h>
#include <string.h>

static void *need(size_t bytes) {
  void *found = malloc(bytes > 0 ? bytes : 1);
  if (found == NULL) __builtin_trap();
  return found;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t len) {
  if (len > 0) memcpy(at, bytes, len);
  return at + len;
}

static mapper_string_t display(const mapper_string_t *name, const mapper_list_string_t *tags) {
  size_t len = name->len;
  if (tags->len > 0) len += strlen(" [") + strlen("]") + strlen(", ") * (tags->len - 1);
  for (size_t i = 0; i < tags->len; i++) len += tags->ptr[i].len;

  mapper_string_t shown = {.ptr = need(len), .len = len};
  uint8_t *at = put(shown.ptr, name->ptr, name->len);
  for (size_t i = 0; i < tags->len; i++) {
    at = put(at, i == 0 ? " [" : ", ", 2);
    at = put(at, tags->ptr[i].ptr, tags->ptr[i].len);
  }
  if (tags->len > 0) put(at, "]", 1);
  return shown;
}

void exports_mapper_transform_users(mapper_list_user_t *users, mapper_list_display_user_t *ret) {
  ret->len = users->len;
  ret->ptr = need(users->len * sizeof *ret->ptr);
  for (size_t i = 0; i < users->len; i++) {
    const mapper_user_t *user = &users->ptr[i];
    ret->ptr[i] = (mapper_display_user_t){
        .id = user->id,
        .name = user->name,
        .tags = user->tags,
        .active = user->active,
        .display = display(&user->name, &user->tags),
        .tag_count = (uint32_t)user->tags.len,
    };
  }
  // The array alone: what its records pointed to now belongs to the result.
  if (users->len > 0) free(users->ptr);
}

void exports_mapper_filter_active(mapper_list_user_t *users, mapper_list_user_t *ret) {
  ret->len = 0;
  ret->ptr = need(users->len * sizeof *ret->ptr);
  for (size_t i = 0; i < users->len; i++) {
    if (users->ptr[i].active) {
      ret->ptr[ret->len++] = users->ptr[i];
    } else {
      mapper_user_free(&users->ptr[i]);
    }
  }
  if (users->len > 0) free(users->ptr);
}
