;; greet: func(name: string) -> string
;;
;; Strings are passed in memory, so the module exports it, and `cabi_realloc`, with which the caller asks for room.
;; The result is the address of two numbers: where the text is, and how many bytes it has.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "Hello, ")

  ;; Where the next free byte is. Each call has an instance of its own, so nothing is ever given back.
  (global $free (mut i32) (i32.const 1024))

  (func $take (param $bytes i32) (result i32)
    (local $start i32)
    (local.set $start (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $start) (local.get $bytes)))
    ;; Grow when the memory, counted in pages of 64 KiB, is too small.
    (if (i32.gt_u (global.get $free) (i32.shl (memory.size) (i32.const 16)))
      (then
        (if (i32.eq
              (memory.grow
                (i32.add
                  (i32.shr_u
                    (i32.sub (global.get $free) (i32.shl (memory.size) (i32.const 16)))
                    (i32.const 16))
                  (i32.const 1)))
              (i32.const -1))
          (then unreachable))))
    (local.get $start))

  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $new i32)
    (local.set $new (call $take (local.get $size)))
    (memory.copy (local.get $new) (local.get $old) (local.get $old_size))
    (local.get $new))

  (func (export "greet") (param $name i32) (param $bytes i32) (result i32)
    (local $text i32)
    ;; "Hello, " has 7 bytes, "!" has 1.
    (local.set $text (call $take (i32.add (local.get $bytes) (i32.const 8))))
    (memory.copy (local.get $text) (i32.const 16) (i32.const 7))
    (memory.copy (i32.add (local.get $text) (i32.const 7)) (local.get $name) (local.get $bytes))
    (i32.store8 (i32.add (i32.add (local.get $text) (i32.const 7)) (local.get $bytes)) (i32.const 33))
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (i32.add (local.get $bytes) (i32.const 8)))
    (i32.const 0))
)
