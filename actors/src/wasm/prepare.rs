//! From a spec to a function that makes instances: read, check, wrap, compile, resolve, link.
//!
//! Everything here may block on files and on the compiler: it runs on a blocking thread, never on one that runs guests.

use std::sync::Arc;

use wasmtime::component::Component;

use super::{
    Signature, cache,
    engine::{Engine, Profile, ProfileEngine, weight},
    error::{PrepareError, PrepareWarning},
    headroom::Headroom,
    host::GuestWorld,
    incoming,
    instance::{Facts, WasmFunction},
    link, method, mounts,
    source::{self, Binary},
    wit, wrap,
};
use crate::{
    call::ErrorKind,
    spec::{FunctionId, Limits, ProcessSpec, Transport, WasmSpec},
};

/// A function that is ready to make instances.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What the tree runs.
    pub function: Arc<WasmFunction>,
    /// Its WIT signature.
    pub signature: Signature,
    /// What may surprise its author.
    pub warnings: Vec<PrepareWarning>,
}

impl Engine {
    /// Reads, checks, compiles and links a function. Equal bytes are compiled once, also by concurrent calls.
    ///
    /// Blocks on files and on the compiler: call it on a thread that may block.
    ///
    /// # Errors
    /// Everything that is wrong with the function, never an empty list. What comes first hides what could only be known
    /// afterwards: of a file whose hash does not match, nothing else is told.
    pub fn prepare(&self, id: &FunctionId, spec: &WasmSpec, limits: &Limits) -> Result<Prepared, Vec<PrepareError>> {
        let one = |error: PrepareError| vec![error];
        let field = source::field(&spec.source);
        let binary = source::read(spec, limits.max_module_bytes).map_err(one)?;
        let (bytes, sha256, declared) = match binary {
            Binary::Module(bytes) => {
                let wrapped = wrap::wrap(&bytes, spec.wit.as_deref(), &spec.method, field).map_err(one)?;
                let sha256 = cache::hash(&wrapped);
                (wrapped, sha256, None)
            }
            Binary::Component(bytes, sha256) => {
                let declared = spec.wit.as_deref().map(wit::parse).transpose().map_err(one)?;
                (bytes, sha256, declared)
            }
        };
        let survey = self.surveys().of(sha256, &bytes);
        let profile = Profile { stack_bytes: limits.max_stack_bytes, is_concurrent: survey.is_concurrent };
        let profile_engine = self.for_profile(profile).map_err(|error| {
            one(PrepareError::new("limits.max_stack_bytes", ErrorKind::Internal, error.to_string()))
        })?;
        let headroom = survey.headroom.and_then(|headroom| headroom.within(limits.max_memory_bytes));
        let component = self.compile(&profile_engine, &bytes, sha256, headroom, field).map_err(one)?;
        drop(bytes);

        let mut errors = mount_errors(spec);
        if let Some(declared) = declared {
            errors.extend(wit::check_component(&declared, &method::exports(&component)).err().into_iter().flatten());
        }
        let export = method::resolve(&spec.method, &component).and_then(|export| {
            let signature = Signature::from_func(&export.func);
            let handles_http = spec.transport == Transport::WasiHttp && incoming::is_handler(&export);
            if !handles_http && let Err(error) = signature.refuse_unsupported() {
                let error = PrepareError::invalid("method", format!("`{}` cannot be called: {error}", spec.method));
                let hint = "to have it handle HTTP requests, write `transport: wasi-http`".to_owned();
                return Err(error.with_notes(incoming::is_handler(&export).then_some(hint)));
            }
            Ok((export, signature, handles_http))
        });
        let export = export.map_err(|error| errors.push(error)).ok();
        let linked = self.link(&profile_engine, &component, id, spec).map_err(|more| errors.extend(more)).ok();
        let weight = self.weigh(&component, &profile_engine).map_err(|error| errors.push(error)).ok();
        let (Some((export, signature, handles_http)), Some((pre, warnings)), Some(weight), true) =
            (export, linked, weight, errors.is_empty())
        else {
            return Err(errors);
        };
        let function = WasmFunction {
            engine: self.clone(),
            pre,
            component,
            handles_http,
            export: export.index,
            signature: signature.clone(),
            reuse: spec.reuse,
            facts: Arc::new(Facts {
                world: Arc::new(GuestWorld::new(id, spec, limits, self)),
                profile_engine,
                is_command: export.is_command(),
                params: signature.params.len(),
                has_result: signature.result.is_some(),
            }),
            weight,
        };
        Ok(Prepared { function: Arc::new(function), signature, warnings })
    }

    /// [`Engine::prepare`] for a process.
    ///
    /// # Errors
    /// As there; and when its method takes parameters, which nobody could give it.
    pub fn prepare_process(&self, process: &ProcessSpec) -> Result<Prepared, Vec<PrepareError>> {
        let prepared = self.prepare(&process.id, &process.code, &process.limits)?;
        if prepared.signature.params.is_empty() {
            return Ok(prepared);
        }
        let message = format!(
            "`{}` takes parameters: func{}; the method of a process takes none",
            process.code.method, prepared.signature
        );
        let notes = vec!["call it as a function, of kind function.wasm; or name the `run` of a command".to_owned()];
        Err(vec![PrepareError::invalid("method", message).with_notes(notes)])
    }

    fn compile(
        &self,
        profile_engine: &ProfileEngine,
        bytes: &[u8],
        sha256: cache::Hash,
        headroom: Option<Headroom>,
        field: &'static str,
    ) -> Result<Arc<Component>, PrepareError> {
        let (compiled, disk) = self.compiled();
        let (engine, profile) = (&profile_engine.engine, profile_engine.profile);
        let key = cache::Key { sha256, profile, headroom: headroom.as_ref().map_or(0, Headroom::pages) };
        let compile = || {
            let with_headroom = headroom.and_then(|headroom| headroom.given_to(bytes).ok());
            // What is wrong with a component is said of the bytes that its author has.
            match with_headroom.map(|bytes| disk.component(engine, &bytes, &cache::hash(&bytes))) {
                Some(Ok(component)) => Ok(component),
                Some(Err(_)) | None => disk.component(engine, bytes, &sha256),
            }
        };
        compiled.get_or_compile(key, compile).map_err(|error| {
            let cause = error.root_cause().to_string();
            let hint = source::cut_off_hint(&cause);
            PrepareError::invalid(field, format!("the component does not compile: {cause}{hint}"))
        })
    }

    fn link(
        &self,
        profile_engine: &ProfileEngine,
        component: &Component,
        id: &FunctionId,
        spec: &WasmSpec,
    ) -> Result<Linked, Vec<PrepareError>> {
        let failed = |error: wasmtime::Error| {
            vec![PrepareError::invalid("imports", format!("the component's imports cannot be linked: {error:#}"))]
        };
        let mut linker = profile_engine.linker(spec.imports, spec.transport).map_err(failed)?;
        let warnings = link::complete(&mut linker, component, id, spec, self.hosts())?;
        let pre = linker.instantiate_pre(component).map_err(failed)?;
        Ok((pre, warnings))
    }

    fn weigh(&self, component: &Component, profile_engine: &ProfileEngine) -> Result<u32, PrepareError> {
        let weight = component.resources_required().map_or(1, |needed| weight(needed.num_memories, needed.num_tables));
        let allowed = self.instances_max().min(profile_engine.instances_max);
        if weight as usize > allowed {
            let message =
                format!("one instance takes the room of {weight}, and `instances_max` allows {allowed}; raise it");
            return Err(PrepareError::new("path", ErrorKind::Invalid, message));
        }
        Ok(weight)
    }
}

type Linked = (wasmtime::component::InstancePre<super::host::GuestState>, Vec<PrepareWarning>);

fn mount_errors(spec: &WasmSpec) -> Vec<PrepareError> {
    let refused = spec.wasi.mounts.iter().filter_map(mounts::refused);
    refused.map(|message| PrepareError::new("wasi.mounts", ErrorKind::NotFound, message)).collect()
}
