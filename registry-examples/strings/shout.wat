;; Upper-cases the ASCII letters of a text, in place. Other characters stay as they are.
;;
;; A core module speaks of strings as an address and a length in its `memory`. The host asks `cabi_realloc` for room,
;; puts the argument there, and reads the result through the address that the function returns.
(module
  (memory (export "memory") 1)

  ;; Address and length of the result are at 8 and 12; what is allocated begins at 16.
  (global $free (mut i32) (i32.const 16))

  ;; Allocates by moving `$free` on. Nothing is freed: each call has an instance of its own.
  (func (export "cabi_realloc")
    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32) (local $end i32) (local $missing i32)
    ;; at = free, rounded up to the alignment; end = at + size
    (local.set $at
      (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (if (i32.lt_u (local.get $end) (local.get $at)) (then unreachable))
    ;; missing = pages up to end, less the pages there are
    (local.set $missing
      (i32.sub
        (i32.shr_u (i32.add (i32.sub (local.get $end) (i32.const 1)) (i32.const 65536)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
    (global.set $free (local.get $end))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
    (local.get $at))

  (func (export "shout") (param $text i32) (param $len i32) (result i32)
    (local $at i32) (local $end i32) (local $byte i32)
    (local.set $at (local.get $text))
    (local.set $end (i32.add (local.get $text) (local.get $len)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        ;; 'a' to 'z'
        (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at) (i32.sub (local.get $byte) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.store (i32.const 8) (local.get $text))
    (i32.store (i32.const 12) (local.get $len))
    (i32.const 8))
)
