// Reads its surroundings through C's library: environment, arguments, working directory and files.

#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

static void *need(size_t bytes) {
  void *found = malloc(bytes > 0 ? bytes : 1);
  if (found == NULL) __builtin_trap();
  return found;
}

static void set(files_string_t *to, const char *text) {
  to->len = strlen(text);
  to->ptr = need(to->len);
  memcpy(to->ptr, text, to->len);
}

/// A string as C wants it, for the caller to free.
static char *c_string(const files_string_t *text) {
  char *copy = need(text->len + 1);
  memcpy(copy, text->ptr, text->len);
  copy[text->len] = '\0';
  return copy;
}

/// Moves to the working directory that the host gives: C's library starts at `/` whatever that is.
static void enter_cwd(void) {
  files_string_t cwd;
  if (!wasi_cli_environment_initial_cwd(&cwd)) return;
  char *path = c_string(&cwd);
  // Where this fails, the file's own error is the better one to report.
  (void)chdir(path);
  free(path);
  files_string_free(&cwd);
}

/// Fills `err` with `PATH: what went wrong`. Returns false, for its caller to return.
static bool failed(files_string_t *err, const char *path) {
  const char *why = strerror(errno);
  char *text = need(strlen(path) + strlen(": ") + strlen(why) + 1);
  strcpy(text, path);
  strcat(text, ": ");
  strcat(text, why);
  set(err, text);
  free(text);
  return false;
}

bool exports_files_read_env(files_string_t *name, files_string_t *ret) {
  char *key = c_string(name);
  const char *value = getenv(key);
  free(key);
  if (value == NULL) return false;
  set(ret, value);
  return true;
}

void exports_files_args(files_list_string_t *ret) {
  // A component that is no command has no `main` to be handed them.
  size_t count = 0;
  size_t bytes = 0;
  if (__wasi_args_sizes_get(&count, &bytes) != 0) __builtin_trap();
  uint8_t **args = need((count + 1) * sizeof *args);
  uint8_t *text = need(bytes);
  if (__wasi_args_get(args, text) != 0) __builtin_trap();

  ret->len = count;
  ret->ptr = need(count * sizeof *ret->ptr);
  for (size_t i = 0; i < count; i++) set(&ret->ptr[i], (const char *)args[i]);
  free(text);
  free(args);
}

bool exports_files_cwd(files_string_t *ret) {
  return wasi_cli_environment_initial_cwd(ret);
}

bool exports_files_read_file(files_string_t *path, files_string_t *ret, files_string_t *err) {
  enter_cwd();
  char *name = c_string(path);
  int file = open(name, O_RDONLY);
  size_t room = 4096;
  ssize_t got = file < 0 ? -1 : 1;
  ret->ptr = need(room);
  ret->len = 0;
  while (got > 0) {
    if (ret->len == room) {
      room *= 2;
      ret->ptr = realloc(ret->ptr, room);
      if (ret->ptr == NULL) __builtin_trap();
    }
    got = read(file, ret->ptr + ret->len, room - ret->len);
    if (got > 0) ret->len += (size_t)got;
  }
  if (got < 0) {
    failed(err, name);
    free(ret->ptr);
  }
  if (file >= 0) close(file);
  free(name);
  return got == 0;
}

/// Writes all of the text, however many calls it takes.
static bool write_all(int file, const files_string_t *text) {
  size_t done = 0;
  while (done < text->len) {
    ssize_t more = write(file, text->ptr + done, text->len - done);
    if (more < 0) return false;
    done += (size_t)more;
  }
  return true;
}

bool exports_files_write_file(files_string_t *path, files_string_t *text, files_string_t *err) {
  enter_cwd();
  char *name = c_string(path);
  int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  bool fine = file >= 0 && write_all(file, text);
  if (!fine) failed(err, name);
  if (file >= 0 && close(file) != 0 && fine) fine = failed(err, name);
  free(name);
  return fine;
}

static int by_bytes(const void *a, const void *b) {
  const files_string_t *left = a;
  const files_string_t *right = b;
  size_t shorter = left->len < right->len ? left->len : right->len;
  int order = memcmp(left->ptr, right->ptr, shorter);
  return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

bool exports_files_list_dir(files_string_t *path, files_list_string_t *ret, files_string_t *err) {
  enter_cwd();
  char *name = c_string(path);
  DIR *dir = opendir(name);
  if (dir == NULL) {
    failed(err, name);
    free(name);
    return false;
  }
  size_t room = 16;
  ret->ptr = need(room * sizeof *ret->ptr);
  ret->len = 0;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (ret->len == room) {
      room *= 2;
      ret->ptr = realloc(ret->ptr, room * sizeof *ret->ptr);
      if (ret->ptr == NULL) __builtin_trap();
    }
    set(&ret->ptr[ret->len++], entry->d_name);
  }
  closedir(dir);
  free(name);
  qsort(ret->ptr, ret->len, sizeof *ret->ptr, by_bytes);
  return true;
}

static void line_to(int stream, const files_string_t *text) {
  const files_string_t end = {.ptr = (uint8_t *)"\n", .len = 1};
  // A lost line is no reason to fail the call.
  if (write_all(stream, text)) (void)write_all(stream, &end);
}

void exports_files_print(files_string_t *text) {
  line_to(STDOUT_FILENO, text);
}

void exports_files_complain(files_string_t *text) {
  line_to(STDERR_FILENO, text);
}
