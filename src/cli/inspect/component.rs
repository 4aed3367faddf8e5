//! Components: their functions and interfaces with the names that WIT gives them.

use std::{collections::HashSet, path::Path};

use greenroom_actors::spec::{Capabilities, Capability};
use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{
    Function, FunctionKind, InterfaceId, Resolve, Type, TypeDefKind, TypeId, World, WorldId, WorldItem, WorldKey,
};

use super::{Contents, Export, FileKind, Import, InspectError};

pub(super) fn read(binary: &[u8], file: &Path) -> Result<Contents, InspectError> {
    let invalid = |error: anyhow::Error| InspectError::Invalid { file: file.to_owned(), problem: format!("{error:#}") };
    let (resolve, world) = match wit_component::decode(binary).map_err(invalid)? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => return Err(InspectError::WitOnly(file.to_owned())),
    };
    Ok(Contents {
        kind: FileKind::Component,
        exports: exports(&resolve, &resolve.worlds[world]).map_err(invalid)?,
        imports: imports(&resolve, &resolve.worlds[world]),
        wit: Some(wit(&resolve, world).map_err(invalid)?),
    })
}

/// The function by which C's library asks for the mounts when it starts, whatever a guest does.
const ASKS_FOR_MOUNTS: (&str, &str) = ("wasi:filesystem/preopens@", "get-directories");

fn imports(resolve: &Resolve, world: &World) -> Vec<Import> {
    let needed = groups(resolve, world);
    let named = world.imports.iter().filter(|(_, item)| !matches!(item, WorldItem::Type { .. }));
    named
        .map(|(key, _)| {
            let name = resolve.name_world_key(key);
            let group = Capability::of_import(&name);
            let grants: Vec<_> = group.into_iter().filter(|group| needed.has(*group)).collect();
            Import { free: grants.is_empty() && group.is_some(), grants, name }
        })
        .collect()
}

/// The groups that a world needs: those of which it imports a function. Types come without a grant.
fn groups(resolve: &Resolve, world: &World) -> Capabilities {
    let needs = |(key, item): (&WorldKey, &WorldItem)| {
        let name = resolve.name_world_key(key);
        let needs = match item {
            WorldItem::Interface { id, .. } => resolve.interfaces[*id].functions.keys().any(|function| {
                let (interface, asks) = ASKS_FOR_MOUNTS;
                !(name.starts_with(interface) && function == asks)
            }),
            WorldItem::Function(_) => true,
            WorldItem::Type { .. } => false,
        };
        needs.then(|| Capability::of_import(&name)).flatten()
    };
    world.imports.iter().filter_map(needs).collect()
}

/// The groups that a component needs; `None` when it is none.
pub(super) fn groups_of(component: &[u8]) -> Option<Capabilities> {
    match wit_component::decode(component).ok()? {
        DecodedWasm::Component(resolve, world) => Some(groups(&resolve, &resolve.worlds[world])),
        DecodedWasm::WitPackage(..) => None,
    }
}

fn exports(resolve: &Resolve, world: &World) -> anyhow::Result<Vec<Export>> {
    let mut exports = Vec::new();
    let interfaces: Vec<_> = world
        .exports
        .iter()
        .filter_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } => Some((resolve.name_world_key(key), *id)),
            _ => None,
        })
        .collect();
    for item in world.exports.values() {
        if let WorldItem::Function(function) = item {
            exports.push(export(resolve, function.name.clone(), function, None)?);
        }
    }
    for (name, id) in &interfaces {
        let short = short_name(name);
        let alone = interfaces.iter().filter(|(name, _)| short_name(name) == short).count() == 1;
        for function in resolve.interfaces[*id].functions.values() {
            let method = format!("{}#{}", if alone { short } else { name }, function.name);
            exports.push(export(resolve, method, function, Some((name, *id)))?);
        }
    }
    Ok(exports)
}

/// `wall-clock` of `wasi:clocks/wall-clock@0.2.6`.
fn short_name(interface: &str) -> &str {
    let name = interface.rsplit_once('/').map_or(interface, |(_, name)| name);
    name.split_once('@').map_or(name, |(name, _)| name)
}

fn export(
    resolve: &Resolve,
    method: String,
    function: &Function,
    interface: Option<(&String, InterfaceId)>,
) -> anyhow::Result<Export> {
    let http = interface.is_some_and(|(name, _)| is_http_handler(name)) && function.name == "handle";
    let refused = match &function.kind {
        // Greenroom runs these natively: streams and resources are the transport's business.
        _ if http => None,
        FunctionKind::Freestanding => {
            let mut seen = HashSet::new();
            let types = function.params.iter().map(|param| param.ty).chain(function.result);
            types
                .into_iter()
                .find_map(|ty| unsupported(resolve, ty, &mut seen))
                .map(|kind| format!("its signature has a {kind}, which calls cannot carry"))
        }
        _ => Some("it belongs to a resource or is asynchronous".to_owned()),
    };
    let command = interface.is_some_and(|(name, _)| is_run(name)) && function.name == "run";
    Ok(Export { method, wit: Some(signature(resolve, function)?), core: None, refused, command, http })
}

/// Whether an interface is that of a request's handler: `wasi:http/incoming-handler` of 0.2, `wasi:http/handler` of 0.3.
fn is_http_handler(interface: &str) -> bool {
    ["wasi:http/incoming-handler", "wasi:http/handler"].contains(&without_version(interface))
}

fn is_run(interface: &str) -> bool {
    without_version(interface) == "wasi:cli/run"
}

fn without_version(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// The kind of the first type that calls cannot carry. `seen` keeps types that are used many times from being walked again.
fn unsupported(resolve: &Resolve, ty: Type, seen: &mut HashSet<TypeId>) -> Option<&'static str> {
    let id = match ty {
        Type::Id(id) => id,
        Type::ErrorContext => return Some("error-context"),
        _ => return None,
    };
    if !seen.insert(id) {
        return None;
    }
    let mut any =
        |mut types: &mut dyn Iterator<Item = Type>| Iterator::find_map(&mut types, |ty| unsupported(resolve, ty, seen));
    match &resolve.types[id].kind {
        TypeDefKind::Resource | TypeDefKind::Handle(_) => Some("resource"),
        TypeDefKind::Future(_) => Some("future"),
        TypeDefKind::Stream(_) => Some("stream"),
        TypeDefKind::Record(record) => any(&mut record.fields.iter().map(|field| field.ty)),
        TypeDefKind::Tuple(tuple) => any(&mut tuple.types.iter().copied()),
        TypeDefKind::Variant(variant) => any(&mut variant.cases.iter().filter_map(|case| case.ty)),
        TypeDefKind::Result(result) => any(&mut result.ok.into_iter().chain(result.err)),
        TypeDefKind::Map(key, value) => any(&mut [*key, *value].into_iter()),
        TypeDefKind::Option(ty)
        | TypeDefKind::List(ty)
        | TypeDefKind::FixedLengthList(ty, _)
        | TypeDefKind::Type(ty) => any(&mut std::iter::once(*ty)),
        TypeDefKind::Flags(_) | TypeDefKind::Enum(_) | TypeDefKind::Unknown => None,
    }
}

/// `func(a: s32, users: list<user>) -> string`.
fn signature(resolve: &Resolve, function: &Function) -> anyhow::Result<String> {
    let mut printer = WitPrinter::default();
    let mut text = |ty: &Type| -> anyhow::Result<String> {
        printer.output = Default::default();
        printer.print_type_name(resolve, ty)?;
        Ok(printer.output.to_string())
    };
    let params = function
        .params
        .iter()
        .map(|param| Ok(format!("{}: {}", param.name, text(&param.ty)?)))
        .collect::<anyhow::Result<Vec<_>>>()?
        .join(", ");
    Ok(match &function.result {
        Some(ty) => format!("func({params}) -> {}", text(ty)?),
        None => format!("func({params})"),
    })
}

/// The world, and the packages of its exports that are not WASI's.
fn wit(resolve: &Resolve, world: WorldId) -> anyhow::Result<String> {
    let mut printer = WitPrinter::default();
    let Some(package) = resolve.worlds[world].package else { return Ok(String::new()) };
    let mut nested = Vec::new();
    for item in resolve.worlds[world].exports.values() {
        if let WorldItem::Interface { id, .. } = item
            && let Some(other) = resolve.interfaces[*id].package
            && other != package
            && resolve.packages[other].name.namespace != "wasi"
            && !nested.contains(&other)
        {
            nested.push(other);
        }
    }
    printer.print(resolve, package, &nested)?;
    Ok(printer.output.to_string())
}
