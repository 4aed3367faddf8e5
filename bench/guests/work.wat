;; Multiplies and adds `n` times: a guest that computes, for as long as the caller says. `forever` never ends.
(component
  (core module $m
    (func (export "work") (param $n i32) (result i32)
      (local $x i32)
      (local.set $x (i32.const 1))
      (block $done
        (loop $next
          (br_if $done (i32.eqz (local.get $n)))
          (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $next)))
      (local.get $x))
    (func (export "forever") (loop $again (br $again))))
  (core instance $i (instantiate $m))
  (func (export "work") (param "n" u32) (result u32) (canon lift (core func $i "work")))
  (func (export "forever") (canon lift (core func $i "forever"))))
