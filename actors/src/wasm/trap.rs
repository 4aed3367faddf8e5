//! Turns what ended a guest into the error of its call: kind, plain words, and the WebAssembly backtrace.

use wasmtime::{Trap, WasmBacktrace, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use super::{limits::HANDLES_MAX, link::NotGranted};
use crate::{
    call::{CallError, ErrorKind},
    spec::{FunctionId, Limits},
};

/// Frames of a backtrace that an error keeps.
const FRAMES_MAX: usize = 64;

/// The status of a guest that ended its program, as `wasi:cli/exit` sets it.
pub(super) fn exit_status(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}

/// The error of a call that the guest did not finish.
pub(super) fn call_error(function: &FunctionId, limits: &Limits, error: &wasmtime::Error) -> CallError {
    // A host function may end the call with an error of its own.
    if let Some(error) = error.downcast_ref::<CallError>() {
        return error.clone();
    }
    if let Some(denied) = error.downcast_ref::<NotGranted>() {
        return CallError::new(ErrorKind::PermissionDenied, denied.to_string());
    }
    if let Some(status) = exit_status(error) {
        return CallError::new(ErrorKind::Internal, format!("`{function}`: the guest exited with status {status}"));
    }
    let call_error = CallError::new(ErrorKind::Internal, format!("`{function}`: {}", reason(limits, error)));
    match error.downcast_ref::<WasmBacktrace>() {
        Some(backtrace) if !backtrace.frames().is_empty() => call_error.with_backtrace(frames(backtrace)),
        _ => call_error,
    }
}

fn reason(limits: &Limits, error: &wasmtime::Error) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trap_reason(limits, *trap);
    }
    if let Some(ResourceTableError::Full) = error.root_cause().downcast_ref() {
        return format!(
            "the guest holds {HANDLES_MAX} handles to streams, pollables and files, and no instance may hold more; drop \
             some first"
        );
    }
    // The cause comes first in words that users can act on; the context that wasmtime puts around it is about frames.
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        return format!(
            "the guest handed the host more than `limits.max_result_bytes` allows ({} bytes); raise it, or return less",
            limits.max_result_bytes
        );
    }
    if cause.contains("invalid utf-8 sequence") {
        return format!("the guest gave the host a string that is not UTF-8 ({cause})");
    }
    if cause.contains("maximum concurrent") {
        return format!("no room for another instance ({cause}); raise `instances_max`");
    }
    format!("the call failed: {cause}")
}

fn trap_reason(limits: &Limits, trap: Trap) -> String {
    let what = match trap {
        Trap::StackOverflow => {
            return format!(
                "the guest used more stack than `limits.max_stack_bytes` allows ({} bytes); its recursion may have no end",
                limits.max_stack_bytes
            );
        }
        Trap::UnreachableCodeReached => "it reached code that must not be reached (`unreachable`), as after a panic",
        Trap::IntegerDivisionByZero => "integer division by zero",
        Trap::IntegerOverflow => "integer overflow in a division or conversion",
        Trap::BadConversionToInteger => "a float that no integer can hold was converted to one",
        Trap::MemoryOutOfBounds => "memory access out of bounds",
        Trap::TableOutOfBounds => "table access out of bounds",
        Trap::IndirectCallToNull => "an indirect call to a function that is not there",
        Trap::BadSignature => "an indirect call to a function of another type",
        Trap::CannotEnterComponent => "the instance was entered again while it was running, or after it had trapped",
        other => return format!("the guest trapped: {}", other.to_string().trim_start_matches("wasm trap: ")),
    };
    format!("the guest trapped: {what}")
}

fn frames(backtrace: &WasmBacktrace) -> String {
    let text = backtrace.to_string();
    // The first line is a heading that says what the field already says.
    let mut lines: Vec<_> = text.lines().skip(1).map(str::trim_end).collect();
    if let Some(more) = lines.len().checked_sub(FRAMES_MAX).filter(|more| *more > 0) {
        lines.truncate(FRAMES_MAX);
        return format!("{}\n  … {more} lines more", lines.join("\n"));
    }
    lines.join("\n")
}
