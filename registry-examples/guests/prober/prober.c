// Tries what a guest may be granted, one thing at a time, for tests. Files are tried twice: through WASI's own functions,
// which say what C's library cannot, and through C's library, as most programs do.

#include "prober.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_READ
#define WRITE WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_WRITE
#define MUTATE WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_MUTATE_DIRECTORY
#define CREATE WASI_FILESYSTEM_TYPES_OPEN_FLAGS_CREATE
#define EXCLUSIVE WASI_FILESYSTEM_TYPES_OPEN_FLAGS_EXCLUSIVE
#define TRUNCATE WASI_FILESYSTEM_TYPES_OPEN_FLAGS_TRUNCATE
#define FOLLOW WASI_FILESYSTEM_TYPES_PATH_FLAGS_SYMLINK_FOLLOW

typedef wasi_filesystem_types_own_descriptor_t own_descriptor;
typedef wasi_filesystem_types_borrow_descriptor_t descriptor;
typedef wasi_filesystem_types_error_code_t error_code;

/// What this guest writes to files.
static const char TEXT[] = "written";
/// Where files are held open from one call to the next.
static own_descriptor held;
static bool holds;
static uint32_t calls;

static void *need(size_t bytes) {
  void *found = malloc(bytes > 0 ? bytes : 1);
  if (found == NULL) __builtin_trap();
  return found;
}

static char *c_string(const prober_string_t *text) {
  char *copy = need(text->len + 1);
  memcpy(copy, text->ptr, text->len);
  copy[text->len] = '\0';
  return copy;
}

static bool is(const prober_string_t *text, const char *word) {
  return text->len == strlen(word) && memcmp(text->ptr, word, text->len) == 0;
}

uint32_t exports_prober_nothing(void) { return 7; }
uint32_t exports_prober_served(void) { return calls++; }

// Clocks, randomness.

uint64_t exports_prober_now(void) { return wasi_clocks_monotonic_clock_now(); }

uint64_t exports_prober_wall_seconds(void) {
  wasi_clocks_wall_clock_datetime_t now;
  wasi_clocks_wall_clock_now(&now);
  return now.seconds;
}

void exports_prober_sleep(uint64_t ns) {
  wasi_io_poll_own_pollable_t clock = wasi_clocks_monotonic_clock_subscribe_duration(ns);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(clock));
  wasi_io_poll_pollable_drop_own(clock);
}

void exports_prober_poll(uint32_t clocks, prober_list_u32_t *ret) {
  wasi_io_poll_own_pollable_t *own = need(clocks * sizeof *own);
  wasi_io_poll_borrow_pollable_t *borrowed = need(clocks * sizeof *borrowed);
  for (uint32_t i = 0; i < clocks; i++) {
    uint64_t ns = i + 1 == clocks ? 1000000 : 3600000000000;
    own[i] = wasi_clocks_monotonic_clock_subscribe_duration(ns);
    borrowed[i] = wasi_io_poll_borrow_pollable(own[i]);
  }
  wasi_io_poll_list_borrow_pollable_t list = {.ptr = borrowed, .len = clocks};
  wasi_io_poll_poll(&list, ret);
  for (uint32_t i = 0; i < clocks; i++) wasi_io_poll_pollable_drop_own(own[i]);
  free(own);
  free(borrowed);
}

uint64_t exports_prober_random(uint64_t bytes) {
  prober_list_u8_t got;
  wasi_random_random_get_random_bytes(bytes, &got);
  uint64_t len = got.len;
  prober_list_u8_free(&got);
  return len;
}

uint64_t exports_prober_insecure(uint64_t bytes) {
  prober_list_u8_t got;
  wasi_random_insecure_get_insecure_random_bytes(bytes, &got);
  uint64_t len = got.len;
  prober_list_u8_free(&got);
  return len;
}

bool exports_prober_seed(void) {
  prober_tuple2_u64_u64_t seed;
  wasi_random_insecure_seed_insecure_seed(&seed);
  return seed.f0 != 0 || seed.f1 != 0;
}

// The surroundings.

static void line_to(wasi_io_streams_own_output_stream_t stream, prober_string_t *text) {
  wasi_io_streams_borrow_output_stream_t to = wasi_io_streams_borrow_output_stream(stream);
  wasi_io_streams_stream_error_t error;
  prober_list_u8_t bytes = {.ptr = text->ptr, .len = text->len};
  prober_list_u8_t end = {.ptr = (uint8_t *)"\n", .len = 1};
  if (!wasi_io_streams_method_output_stream_write(to, &bytes, &error)) __builtin_trap();
  if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(to, &end, &error)) __builtin_trap();
  wasi_io_streams_output_stream_drop_own(stream);
}

void exports_prober_print(prober_string_t *text) { line_to(wasi_cli_stdout_get_stdout(), text); }
void exports_prober_complain(prober_string_t *text) { line_to(wasi_cli_stderr_get_stderr(), text); }

void exports_prober_read_stdin(prober_string_t *ret) {
  wasi_io_streams_own_input_stream_t stream = wasi_cli_stdin_get_stdin();
  wasi_io_streams_borrow_input_stream_t from = wasi_io_streams_borrow_input_stream(stream);
  wasi_io_streams_stream_error_t error;
  prober_list_u8_t got;
  ret->ptr = NULL;
  ret->len = 0;
  while (wasi_io_streams_method_input_stream_blocking_read(from, 4096, &got, &error)) {
    ret->ptr = realloc(ret->ptr, ret->len + got.len + 1);
    if (ret->ptr == NULL) __builtin_trap();
    memcpy(ret->ptr + ret->len, got.ptr, got.len);
    ret->len += got.len;
    prober_list_u8_free(&got);
  }
  wasi_io_streams_input_stream_drop_own(stream);
}

void exports_prober_variables(prober_list_tuple2_string_string_t *ret) {
  wasi_cli_environment_get_environment(ret);
}
void exports_prober_args(prober_list_string_t *ret) { wasi_cli_environment_get_arguments(ret); }
bool exports_prober_cwd(prober_string_t *ret) { return wasi_cli_environment_initial_cwd(ret); }

void exports_prober_exit(bool well) {
  wasi_cli_exit_result_void_void_t status = {.is_err = !well};
  wasi_cli_exit_exit(&status);
}
void exports_prober_exit_with_code(uint8_t code) { wasi_cli_exit_exit_with_code(code); }

// Files, by WASI's own functions.

static const char *error_name(error_code code) {
  static const char *names[] = {
      "access", "would-block", "already", "bad-descriptor", "busy", "deadlock", "quota", "exist", "file-too-large",
      "illegal-byte-sequence", "in-progress", "interrupted", "invalid", "io", "is-directory", "loop", "too-many-links",
      "message-size", "name-too-long", "no-device", "no-entry", "no-lock", "insufficient-memory", "insufficient-space",
      "not-directory", "not-empty", "not-recoverable", "unsupported", "no-tty", "no-such-device", "overflow",
      "not-permitted", "pipe", "read-only", "invalid-seek", "text-file-busy", "cross-device"};
  return code < sizeof names / sizeof *names ? names[code] : "unknown";
}

void exports_prober_mounts(prober_list_string_t *ret) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t list;
  wasi_filesystem_preopens_get_directories(&list);
  ret->len = list.len;
  ret->ptr = need(list.len * sizeof *ret->ptr);
  for (size_t i = 0; i < list.len; i++) {
    wasi_filesystem_types_descriptor_drop_own(list.ptr[i].f0);
    ret->ptr[i] = list.ptr[i].f1;
  }
}

/// The mount at a path. Traps where nothing is mounted: a test that asks for it is wrong.
static own_descriptor mount_at(const prober_string_t *path) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t list;
  wasi_filesystem_preopens_get_directories(&list);
  own_descriptor found;
  bool any = false;
  for (size_t i = 0; i < list.len; i++) {
    prober_string_t *at = &list.ptr[i].f1;
    if (!any && at->len == path->len && memcmp(at->ptr, path->ptr, path->len) == 0) {
      found = list.ptr[i].f0;
      any = true;
    } else {
      wasi_filesystem_types_descriptor_drop_own(list.ptr[i].f0);
    }
  }
  if (!any) __builtin_trap();
  return found;
}

static bool open_in(descriptor dir, prober_string_t *path, uint8_t open_flags, uint8_t flags, own_descriptor *file,
                    error_code *error) {
  return wasi_filesystem_types_method_descriptor_open_at(dir, FOLLOW, path, open_flags, flags, file, error);
}

static bool read_all(descriptor file, prober_string_t *ret, error_code *error) {
  prober_tuple2_list_u8_bool_t got = {.f1 = false};
  ret->ptr = NULL;
  ret->len = 0;
  while (!got.f1) {
    if (!wasi_filesystem_types_method_descriptor_read(file, UINT64_MAX, ret->len, &got, error)) return false;
    ret->ptr = realloc(ret->ptr, ret->len + got.f0.len + 1);
    if (ret->ptr == NULL) __builtin_trap();
    memcpy(ret->ptr + ret->len, got.f0.ptr, got.f0.len);
    ret->len += got.f0.len;
    prober_list_u8_free(&got.f0);
  }
  return true;
}

/// Writes through a stream, and waits until it is written.
static bool write_to(wasi_io_streams_own_output_stream_t stream, error_code *error) {
  prober_list_u8_t text = {.ptr = (uint8_t *)TEXT, .len = strlen(TEXT)};
  wasi_io_streams_stream_error_t failed;
  bool fine = wasi_io_streams_method_output_stream_blocking_write_and_flush(
      wasi_io_streams_borrow_output_stream(stream), &text, &failed);
  wasi_io_streams_output_stream_drop_own(stream);
  if (!fine) *error = WASI_FILESYSTEM_TYPES_ERROR_CODE_IO;
  return fine;
}

/// What is done to a file that is open.
static bool with_file(const prober_string_t *what, descriptor file, prober_string_t *ret, error_code *error) {
  wasi_filesystem_types_new_timestamp_t time = {.tag = WASI_FILESYSTEM_TYPES_NEW_TIMESTAMP_TIMESTAMP};
  time.val.timestamp.seconds = 1000000;
  time.val.timestamp.nanoseconds = 0;
  prober_list_u8_t text = {.ptr = (uint8_t *)TEXT, .len = strlen(TEXT)};
  wasi_io_streams_own_output_stream_t stream;
  uint64_t written;
  if (is(what, "read")) return read_all(file, ret, error);
  if (is(what, "write") || is(what, "write-through-reader")) {
    return wasi_filesystem_types_method_descriptor_write(file, &text, 0, &written, error);
  }
  if (is(what, "stream") || is(what, "stream-through-reader")) {
    return wasi_filesystem_types_method_descriptor_write_via_stream(file, 0, &stream, error) && write_to(stream, error);
  }
  if (is(what, "append") || is(what, "append-through-reader")) {
    return wasi_filesystem_types_method_descriptor_append_via_stream(file, &stream, error) && write_to(stream, error);
  }
  if (is(what, "set-size") || is(what, "set-size-through-reader")) {
    return wasi_filesystem_types_method_descriptor_set_size(file, 1, error);
  }
  if (is(what, "set-times") || is(what, "set-times-through-reader")) {
    return wasi_filesystem_types_method_descriptor_set_times(file, &time, &time, error);
  }
  return true;
}

static bool file(const prober_string_t *what, descriptor dir, prober_string_t *path, descriptor to_dir,
                 prober_string_t *to, prober_string_t *ret, error_code *error) {
  wasi_filesystem_types_new_timestamp_t time = {.tag = WASI_FILESYSTEM_TYPES_NEW_TIMESTAMP_TIMESTAMP};
  time.val.timestamp.seconds = 1000000;
  time.val.timestamp.nanoseconds = 0;
  if (is(what, "set-times-at")) {
    return wasi_filesystem_types_method_descriptor_set_times_at(dir, FOLLOW, path, &time, &time, error);
  }
  if (is(what, "mkdir")) return wasi_filesystem_types_method_descriptor_create_directory_at(dir, path, error);
  if (is(what, "rmdir")) return wasi_filesystem_types_method_descriptor_remove_directory_at(dir, path, error);
  if (is(what, "unlink")) return wasi_filesystem_types_method_descriptor_unlink_file_at(dir, path, error);
  if (is(what, "rename")) return wasi_filesystem_types_method_descriptor_rename_at(dir, path, to_dir, to, error);
  if (is(what, "link")) return wasi_filesystem_types_method_descriptor_link_at(dir, 0, path, to_dir, to, error);
  if (is(what, "symlink")) return wasi_filesystem_types_method_descriptor_symlink_at(dir, to, path, error);
  if (is(what, "readlink")) {
    return wasi_filesystem_types_method_descriptor_readlink_at(dir, path, ret, error);
  }
  if (is(what, "stat")) {
    wasi_filesystem_types_descriptor_stat_t stat;
    if (!wasi_filesystem_types_method_descriptor_stat_at(dir, FOLLOW, path, &stat, error)) return false;
    char text[64];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)stat.size);
    prober_string_dup_n(ret, text, length > 0 ? (size_t)length : 0);
    return true;
  }
  uint8_t open_flags = 0;
  uint8_t flags = READ;
  if (is(what, "create")) open_flags = CREATE;
  if (is(what, "create-new")) open_flags = CREATE | EXCLUSIVE;
  if (is(what, "truncate")) open_flags = TRUNCATE;
  if (is(what, "write") || is(what, "stream") || is(what, "append") || is(what, "set-size")) flags |= WRITE;
  if (is(what, "mutate")) flags |= MUTATE;
  own_descriptor opened;
  if (!open_in(dir, path, open_flags, flags, &opened, error)) return false;
  bool fine = with_file(what, wasi_filesystem_types_borrow_descriptor(opened), ret, error);
  wasi_filesystem_types_descriptor_drop_own(opened);
  return fine;
}

bool exports_prober_file(prober_string_t *what, prober_string_t *mount, prober_string_t *path,
                         prober_string_t *to_mount, prober_string_t *to, prober_string_t *ret, prober_string_t *err) {
  error_code error;
  prober_string_dup(ret, "");
  if (is(what, "read-held")) {
    if (!holds) __builtin_trap();
    if (read_all(wasi_filesystem_types_borrow_descriptor(held), ret, &error)) return true;
    prober_string_dup(err, error_name(error));
    return false;
  }
  own_descriptor dir = mount_at(mount);
  own_descriptor to_dir = mount_at(to_mount);
  bool fine;
  if (is(what, "hold")) {
    fine = open_in(wasi_filesystem_types_borrow_descriptor(dir), path, 0, READ, &held, &error);
    holds = fine;
  } else {
    fine = file(what, wasi_filesystem_types_borrow_descriptor(dir), path,
                wasi_filesystem_types_borrow_descriptor(to_dir), to, ret, &error);
  }
  wasi_filesystem_types_descriptor_drop_own(dir);
  wasi_filesystem_types_descriptor_drop_own(to_dir);
  if (!fine) prober_string_dup(err, error_name(error));
  return fine;
}

// Files, by C's library.

static bool read_c(int file, prober_string_t *ret) {
  ret->ptr = NULL;
  ret->len = 0;
  for (;;) {
    ret->ptr = realloc(ret->ptr, ret->len + 4096);
    if (ret->ptr == NULL) __builtin_trap();
    ssize_t got = read(file, ret->ptr + ret->len, 4096);
    if (got <= 0) return got == 0;
    ret->len += (size_t)got;
  }
}

static bool write_c(const char *path, int flags) {
  int file = open(path, flags, 0666);
  if (file < 0) return false;
  bool fine = write(file, TEXT, strlen(TEXT)) == (ssize_t)strlen(TEXT);
  return close(file) == 0 && fine;
}

static bool list_c(const char *path, prober_string_t *ret) {
  DIR *dir = opendir(path);
  if (dir == NULL) return false;
  size_t count = 0;
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  char text[32];
  int length = snprintf(text, sizeof text, "%zu", count);
  prober_string_dup_n(ret, text, length > 0 ? (size_t)length : 0);
  return true;
}

bool exports_prober_c_file(prober_string_t *what, prober_string_t *path, prober_string_t *to, prober_string_t *ret,
                           prober_string_t *err) {
  char *from = c_string(path);
  char *target = c_string(to);
  struct timespec times[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
  bool fine = false;
  errno = 0;
  prober_string_dup(ret, "");
  if (is(what, "read")) {
    int file = open(from, O_RDONLY);
    fine = file >= 0 && read_c(file, ret);
    if (file >= 0) close(file);
  }
  if (is(what, "list")) fine = list_c(from, ret);
  if (is(what, "write")) fine = write_c(from, O_WRONLY);
  if (is(what, "append")) fine = write_c(from, O_WRONLY | O_APPEND);
  if (is(what, "create")) fine = write_c(from, O_WRONLY | O_CREAT);
  if (is(what, "truncate")) fine = write_c(from, O_WRONLY | O_TRUNC);
  if (is(what, "set-size")) fine = truncate(from, 1) == 0;
  if (is(what, "rename")) fine = rename(from, target) == 0;
  if (is(what, "unlink")) fine = unlink(from) == 0;
  if (is(what, "rmdir")) fine = rmdir(from) == 0;
  if (is(what, "mkdir")) fine = mkdir(from, 0777) == 0;
  if (is(what, "link")) fine = link(from, target) == 0;
  if (is(what, "symlink")) fine = symlink(target, from) == 0;
  if (is(what, "set-times-at")) fine = utimensat(AT_FDCWD, from, times, 0) == 0;
  if (is(what, "set-times")) {
    int file = open(from, O_RDONLY);
    fine = file >= 0 && futimens(file, times) == 0;
    if (file >= 0) close(file);
  }
  if (!fine) prober_string_dup(err, errno != 0 ? strerror(errno) : "unknown operation");
  free(from);
  free(target);
  return fine;
}

// Without measure.

static uint64_t greedy_files(const prober_string_t *what, prober_string_t *path, uint64_t times) {
  prober_string_t mount = {.ptr = (uint8_t *)"/data", .len = 5};
  own_descriptor dir = mount_at(&mount);
  own_descriptor opened;
  error_code error;
  descriptor in = wasi_filesystem_types_borrow_descriptor(dir);
  uint64_t done = 0;
  if (is(what, "files")) {
    while (done < times && open_in(in, path, 0, READ, &opened, &error)) done++;
    return done;
  }
  if (is(what, "files-that-are-closed")) {
    for (; done < times && open_in(in, path, 0, READ, &opened, &error); done++) {
      wasi_filesystem_types_descriptor_drop_own(opened);
    }
    return done;
  }
  if (is(what, "directories")) {
    wasi_filesystem_types_own_directory_entry_stream_t entries;
    while (done < times && wasi_filesystem_types_method_descriptor_read_directory(in, &entries, &error)) done++;
    return done;
  }
  if (is(what, "entries")) {
    wasi_filesystem_types_own_directory_entry_stream_t entries;
    if (!wasi_filesystem_types_method_descriptor_read_directory(in, &entries, &error)) return 0;
    wasi_filesystem_types_option_directory_entry_t entry;
    while (wasi_filesystem_types_method_directory_entry_stream_read_directory_entry(
        wasi_filesystem_types_borrow_directory_entry_stream(entries), &entry, &error)) {
      if (!entry.is_some) break;
      wasi_filesystem_types_option_directory_entry_free(&entry);
      done++;
    }
    return done;
  }
  if (!open_in(in, path, 0, READ | WRITE, &opened, &error)) return 0;
  descriptor file = wasi_filesystem_types_borrow_descriptor(opened);
  wasi_io_streams_own_input_stream_t input;
  wasi_io_streams_own_output_stream_t output;
  wasi_io_streams_stream_error_t failed;
  if (is(what, "readers")) {
    while (done < times && wasi_filesystem_types_method_descriptor_read_via_stream(file, 0, &input, &error)) done++;
  }
  if (is(what, "readers-that-are-closed")) {
    for (; done < times && wasi_filesystem_types_method_descriptor_read_via_stream(file, 0, &input, &error); done++) {
      wasi_io_streams_input_stream_drop_own(input);
    }
  }
  if (is(what, "writers")) {
    while (done < times && wasi_filesystem_types_method_descriptor_write_via_stream(file, 0, &output, &error)) done++;
  }
  if (is(what, "read")) {
    prober_list_u8_t got;
    if (!wasi_filesystem_types_method_descriptor_read_via_stream(file, 0, &input, &error)) return 0;
    wasi_io_streams_borrow_input_stream_t from = wasi_io_streams_borrow_input_stream(input);
    if (wasi_io_streams_method_input_stream_blocking_read(from, times, &got, &failed)) done = got.len;
  }
  if (is(what, "overlong-write") || is(what, "zeroes") || is(what, "splice")) {
    if (!wasi_filesystem_types_method_descriptor_write_via_stream(file, 0, &output, &error)) return 0;
    wasi_io_streams_borrow_output_stream_t out = wasi_io_streams_borrow_output_stream(output);
    if (is(what, "overlong-write")) {
      prober_list_u8_t bytes = {.ptr = need((size_t)times), .len = (size_t)times};
      if (wasi_io_streams_method_output_stream_write(out, &bytes, &failed)) done = times;
    } else if (is(what, "zeroes")) {
      if (wasi_io_streams_method_output_stream_write_zeroes(out, times, &failed)) done = times;
    } else {
      if (!wasi_filesystem_types_method_descriptor_read_via_stream(file, 0, &input, &error)) return 0;
      wasi_io_streams_borrow_input_stream_t from = wasi_io_streams_borrow_input_stream(input);
      if (!wasi_io_streams_method_output_stream_blocking_splice(out, from, times, &done, &failed)) done = 0;
    }
  }
  return done;
}

uint64_t exports_prober_greedy(prober_string_t *what, prober_string_t *path, uint64_t times) {
  if (is(what, "pollables")) {
    for (uint64_t i = 0; i < times; i++) wasi_clocks_monotonic_clock_subscribe_duration(UINT64_MAX);
    return times;
  }
  if (is(what, "polled")) {
    // One pollable, named as often as is asked.
    wasi_io_poll_own_pollable_t clock = wasi_clocks_monotonic_clock_subscribe_duration(0);
    wasi_io_poll_borrow_pollable_t *all = need((size_t)times * sizeof *all);
    for (uint64_t i = 0; i < times; i++) all[i] = wasi_io_poll_borrow_pollable(clock);
    wasi_io_poll_list_borrow_pollable_t list = {.ptr = all, .len = (size_t)times};
    prober_list_u32_t ready;
    wasi_io_poll_poll(&list, &ready);
    return ready.len;
  }
  if (is(what, "stdout")) {
    prober_list_u8_t bytes = {.ptr = need((size_t)times), .len = (size_t)times};
    memset(bytes.ptr, 'x', bytes.len);
    wasi_io_streams_borrow_output_stream_t out = wasi_io_streams_borrow_output_stream(wasi_cli_stdout_get_stdout());
    wasi_io_streams_stream_error_t failed;
    return wasi_io_streams_method_output_stream_write(out, &bytes, &failed) ? times : 0;
  }
  if (is(what, "stdouts")) {
    for (uint64_t i = 0; i < times; i++) wasi_cli_stdout_get_stdout();
    return times;
  }
  if (is(what, "mounts")) {
    wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t list;
    for (uint64_t i = 0; i < times; i++) wasi_filesystem_preopens_get_directories(&list);
    return times;
  }
  return greedy_files(what, path, times);
}
