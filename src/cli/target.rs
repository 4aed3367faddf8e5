//! The one function that a command calls: finds it in the registry, and starts a runtime of what the call may reach.

use std::path::Path;

use anyhow::Context;
use greenroom_actors::spec::{Capability, Code, FunctionId};

use super::{
    arguments,
    failure::{Failure, Hint},
    options::RegistryOptions,
};
use crate::{
    CallError, ErrorKind, Runtime,
    registry::{self, Diagnostics, Registry},
    wasm::Signature,
};

/// Names of candidates that an error lists, at most.
const CANDIDATES_MAX: usize = 10;

/// A runtime of one function, and of all others if it may call them.
pub(super) struct Target {
    pub(super) runtime: Runtime,
    pub(super) id: FunctionId,
    signature: Option<Signature>,
}

impl Target {
    /// Loads the registry and compiles what a call of this function needs.
    pub(super) async fn start(root: &Path, name: &str, options: &RegistryOptions) -> Result<Self, Failure> {
        let (registry, warnings) = load(root, options).await?;
        let id = find(&registry, name)?;
        log_warnings(&warnings, |entry| entry == Some(&id));
        let mut builder = Runtime::builder();
        if !may_call_others(&registry, &id) {
            builder = builder.only([id.as_str()]);
        }
        let runtime = builder.loaded(registry).cache(options.cache()).start().await?;
        let signature = runtime.signature(id.as_str())?;
        Ok(Self { runtime, id, signature })
    }

    /// Refuses arguments that the function does not take.
    pub(super) fn check(&self, args: &[arguments::Argument]) -> Result<(), Failure> {
        let Some(signature) = &self.signature else { return Ok(()) };
        let values: Vec<_> = args.iter().map(|arg| &arg.value).collect();
        match signature.encode(&values) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error.into(), args)),
        }
    }

    /// What a user needs to know to write the call as it should be.
    pub(super) fn explain(&self, error: CallError, args: &[arguments::Argument]) -> Failure {
        let mut hints: Vec<Hint> = Vec::new();
        if error.kind() == ErrorKind::Invalid {
            if let Some(signature) = &self.signature {
                hints.push(("signature", format!("{}: func{signature}", self.id)));
            }
            let option = args.iter().find_map(|arg| arg.value.as_str().filter(|text| text.starts_with("--")));
            let note = args
                .iter()
                .find_map(|arg| arg.hint.clone())
                .or_else(|| Some(format!("`{}` was taken as an argument; options go before the first ARG", option?)));
            hints.extend(note.map(|note| ("note", note)));
        }
        Failure::Call(error, hints)
    }
}

fn may_call_others(registry: &Registry, id: &FunctionId) -> bool {
    let calls = registry.functions().iter().any(|function| {
        matches!(&function.code, Code::Wasm(wasm) if function.id == *id && wasm.imports.has(Capability::Funcs))
    });
    calls || registry.lua().iter().any(|(known, file)| known == id && file.reaches_others())
}

/// Loads a registry. Its warnings are given back.
pub(super) async fn load(root: &Path, options: &RegistryOptions) -> Result<(Registry, Diagnostics), Failure> {
    let (root, options) = (root.to_owned(), options.load());
    // Reading files blocks.
    let reading = tokio::task::spawn_blocking(move || Registry::load(&root, &options));
    reading.await.context("reading the registry was interrupted")?.map_err(Failure::Registry)
}

/// Logs the warnings about some entries.
pub(super) fn log_warnings(warnings: &Diagnostics, about: impl Fn(Option<&FunctionId>) -> bool) {
    for warning in warnings.warnings().filter(|warning| about(warning.entry())) {
        let place = match (warning.file(), warning.position()) {
            (Some(file), Some((line, _))) => Some(format!("{file}:{line}")),
            (file, _) => file.map(str::to_owned),
        };
        tracing::warn!(target: "greenroom::registry", entry = warning.entry().map(tracing::field::display), place, "{}", warning.message());
    }
}

/// The function that a user means: its id, or its name when no other function has that.
fn find(registry: &Registry, name: &str) -> Result<FunctionId, CallError> {
    let ids = || registry.functions().iter().map(|function| &function.id);
    if let Some(id) = ids().find(|id| id.as_str() == name) {
        return Ok(id.clone());
    }
    if !name.contains(':') {
        let named: Vec<_> = ids().filter(|id| id.name() == name).collect();
        match named.as_slice() {
            [] => {}
            [one] => return Ok((*one).clone()),
            several => {
                let message = format!("`{name}` may be {}; write the whole id", listed(several, "or"));
                return Err(CallError::new(ErrorKind::Invalid, message));
            }
        }
    }
    let same = |id: &FunctionId| id.as_str() == name || (!name.contains(':') && id.name() == name);
    if let Some(entry) = registry.entries().iter().find(|entry| same(&entry.id)) {
        let advice = match registry.processes().iter().any(|process| process.id == entry.id) {
            true => format!("; run it: `greenroom run ROOT {}`", entry.id),
            false => String::new(),
        };
        let message = format!("`{}` is of kind {}, which cannot be called{advice}", entry.id, entry.kind);
        return Err(CallError::new(ErrorKind::Invalid, message));
    }
    let near = match name.contains(':') {
        true => registry::closest(name, ids().map(FunctionId::as_str)).map(str::to_owned),
        false => registry::closest(name, ids().map(FunctionId::name))
            .and_then(|near| ids().find(|id| id.name() == near).map(ToString::to_string)),
    };
    let advice = match (near, ids().collect::<Vec<_>>().as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "this registry has no functions".to_owned(),
        (None, all) => format!("there is {}", listed(all, "and")),
    };
    Err(CallError::new(ErrorKind::NotFound, format!("there is no function `{name}`; {advice}")))
}

/// `` `a:x`, `a:y` and `b:x` ``, or the first of them and how many more there are.
fn listed(ids: &[&FunctionId], and: &str) -> String {
    let mut words: Vec<_> = ids.iter().take(CANDIDATES_MAX).map(|id| format!("`{id}`")).collect();
    if ids.len() > CANDIDATES_MAX {
        words.push(format!("{} more", ids.len() - CANDIDATES_MAX));
    }
    match words.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} {and} {last}", before.join(", ")),
        _ => words.concat(),
    }
}
