//! Finds the export that `method` names, among a component's functions and those of its exported interfaces.

use wasmtime::component::{
    Component, ComponentExportIndex,
    types::{ComponentFunc, ComponentItem},
};

use super::{
    Signature,
    error::{PrepareError, did_you_mean},
    names,
};
use crate::call::ErrorKind;

/// A function that a component exports.
pub(super) struct Export {
    /// The interface it is in, as the component names it.
    pub interface: Option<String>,
    /// Its name.
    pub name: String,
    /// Its type.
    pub func: ComponentFunc,
    /// Where instances have it.
    pub index: ComponentExportIndex,
}

impl Export {
    /// What `method` may say to mean this export and no other.
    fn path(&self) -> String {
        match &self.interface {
            Some(interface) => format!("{interface}#{}", self.name),
            None => self.name.clone(),
        }
    }

    fn described(&self) -> String {
        format!("{}: func{}", self.path(), Signature::from_func(&self.func))
    }

    /// Whether it is the start of a command, for which an exit with status 0 is success.
    pub(super) fn is_command(&self) -> bool {
        self.name == "run"
            && self.interface.as_deref().is_some_and(|name| {
                let (package, interface, _) = names::interface_parts(name);
                package == Some("wasi:cli") && interface == "run"
            })
    }
}

/// All functions that can be called: those of the component itself, then those of its interfaces.
pub(super) fn exports(component: &Component) -> Vec<Export> {
    let engine = component.engine();
    let mut found = Vec::new();
    let mut nested = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        let Some(index) = component.get_export_index(None, name) else { continue };
        match item.ty {
            ComponentItem::ComponentFunc(func) => {
                found.push(Export { interface: None, name: name.to_owned(), func, index });
            }
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine) {
                    // Constructors and methods of resources need a resource to be called on.
                    let ComponentItem::ComponentFunc(func) = item.ty else { continue };
                    let Some(index) = component.get_export_index(Some(&index), function) else { continue };
                    if !function.starts_with('[') {
                        let (interface, name) = (Some(name.to_owned()), function.to_owned());
                        nested.push(Export { interface, name, func, index });
                    }
                }
            }
            _ => {}
        }
    }
    found.append(&mut nested);
    found
}

/// The export that a method names. A bare name means a function of the component itself, or else the only function of
/// that name in its interfaces; names in kebab-case and snake_case are the same.
///
/// # Errors
/// When there is none, or more than one: the error lists what there is.
pub(super) fn resolve(method: &str, component: &Component) -> Result<Export, PrepareError> {
    let all = exports(component);
    // The start function of a preview 1 command became `run`.
    let wanted = if method == "_start" { "run" } else { method };
    let indices = matches(wanted, &all);
    match indices[..] {
        [index] => all.into_iter().nth(index).ok_or_else(|| missing(method, &[])),
        [] => Err(missing(method, &all)),
        [..] => {
            let paths = indices.iter().filter_map(|index| all.get(*index)).map(Export::described);
            Err(PrepareError::invalid("method", format!("`{method}` is ambiguous; write one of these instead"))
                .with_notes(paths))
        }
    }
}

fn matches(method: &str, all: &[Export]) -> Vec<usize> {
    let choose = |rule: &dyn Fn(&Export) -> bool| -> Vec<usize> {
        all.iter().enumerate().filter(|(_, export)| rule(export)).map(|(index, _)| index).collect()
    };
    let first_hit = |rules: &[&dyn Fn(&Export) -> bool]| {
        rules.iter().map(|rule| choose(*rule)).find(|found| !found.is_empty()).unwrap_or_default()
    };
    match method.rsplit_once('#') {
        Some((interface, function)) => first_hit(&[
            &|export| export.interface.as_deref() == Some(interface) && export.name == function,
            &|export| {
                names::same(&export.name, function)
                    && export.interface.as_deref().is_some_and(|name| is_interface(name, interface))
            },
        ]),
        None => first_hit(&[
            &|export| export.interface.is_none() && export.name == method,
            &|export| export.interface.is_none() && names::same(&export.name, method),
            &|export| export.interface.is_some() && names::same(&export.name, method),
        ]),
    }
}

/// Whether an exported interface is the one that was written, which may lack package and version.
fn is_interface(exported: &str, written: &str) -> bool {
    let (package, interface, version) = names::interface_parts(exported);
    let (written_package, written_interface, written_version) = names::interface_parts(written);
    names::same(interface, written_interface)
        && (written_package.is_none() || written_package == package)
        && (written_version.is_none() || written_version == version)
}

fn missing(method: &str, all: &[Export]) -> PrepareError {
    if all.is_empty() {
        return PrepareError::new(
            "method",
            ErrorKind::NotFound,
            format!("there is no `{method}`: the component exports no function"),
        );
    }
    let names: Vec<_> = all.iter().flat_map(|export| [export.path(), export.name.clone()]).collect();
    let hint = did_you_mean(method, names.iter().map(String::as_str))
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    let mut error =
        PrepareError::new("method", ErrorKind::NotFound, format!("the component exports no `{method}`{hint}"));
    error.notes.push("it exports:".to_owned());
    error.notes.extend(all.iter().map(|export| format!("  {}", export.described())));
    error
}
