;; Adds up the lines of a bill.
;;
;; A list is an address and a number of elements. A line has 16 bytes: address and length of its name, price, count.
;; The bill has 24: the total, the number of items, whether there is a dearest line, address and length of its name.
(module
  (memory (export "memory") 1)

  ;; The bill is at 8; what is allocated begins at 32.
  (global $free (mut i32) (i32.const 32))

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

  (func (export "add-up") (param $line i32) (param $count i32) (result i32)
    (local $highest i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        ;; total += price * count, in 64 bits
        (i64.store (i32.const 8)
          (i64.add
            (i64.load (i32.const 8))
            (i64.mul (i64.load32_u offset=8 (local.get $line)) (i64.load32_u offset=12 (local.get $line)))))
        ;; items += count
        (i32.store (i32.const 16)
          (i32.add (i32.load (i32.const 16)) (i32.load offset=12 (local.get $line))))
        ;; the first line is the dearest so far, and then each that costs more
        (if
          (i32.or
            (i32.eqz (i32.load (i32.const 20)))
            (i32.gt_u (i32.load offset=8 (local.get $line)) (local.get $highest)))
          (then
            (local.set $highest (i32.load offset=8 (local.get $line)))
            (i32.store (i32.const 20) (i32.const 1))
            (i64.store align=4 (i32.const 24) (i64.load align=4 (local.get $line)))))
        (local.set $line (i32.add (local.get $line) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 8))
)
