//! The `wit` field: one function, several, or a whole package, read into a world.
//!
//! Errors name line and column of the text as its author wrote it, not of the package that is made from it.

mod compare;
mod statements;

pub(super) use compare::check_component;
use wit_parser::{Function, Resolve, SourceMap, Span, Type, TypeDefKind, WorldId, WorldItem};

use self::statements::Package;
use super::error::PrepareError;

/// A world, and what its types refer to.
pub(super) struct Wit {
    pub resolve: Resolve,
    pub world: WorldId,
}

/// A function that a world exports.
pub(super) struct WitExport<'a> {
    /// The interface it is in, as components name it.
    pub interface: Option<String>,
    pub func: &'a Function,
}

impl Wit {
    /// The functions that the world exports, those of interfaces included.
    pub(super) fn exports(&self) -> Vec<WitExport<'_>> {
        let mut found = Vec::new();
        for (key, item) in &self.resolve.worlds[self.world].exports {
            match item {
                WorldItem::Function(func) => found.push(WitExport { interface: None, func }),
                WorldItem::Interface { id, .. } => {
                    let name = self.resolve.name_world_key(key);
                    found.extend(
                        self.resolve.interfaces[*id]
                            .functions
                            .values()
                            .map(|func| WitExport { interface: Some(name.clone()), func }),
                    );
                }
                WorldItem::Type { .. } => {}
            }
        }
        found
    }

    /// A function as WIT text.
    pub(super) fn describe(&self, func: &Function) -> String {
        let params: Vec<_> = func.params.iter().map(|p| format!("{}: {}", p.name, self.type_text(&p.ty))).collect();
        let result = func.result.as_ref().map(|ty| format!(" -> {}", self.type_text(ty))).unwrap_or_default();
        format!("{}: func({}){result}", func.name, params.join(", "))
    }

    fn type_text(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else {
            return match ty {
                Type::Bool => "bool",
                Type::U8 => "u8",
                Type::U16 => "u16",
                Type::U32 => "u32",
                Type::U64 => "u64",
                Type::S8 => "s8",
                Type::S16 => "s16",
                Type::S32 => "s32",
                Type::S64 => "s64",
                Type::F32 => "f32",
                Type::F64 => "f64",
                Type::Char => "char",
                Type::String => "string",
                Type::ErrorContext | Type::Id(_) => "error-context",
            }
            .to_owned();
        };
        let def = &self.resolve.types[*id];
        if let Some(name) = &def.name {
            return name.clone();
        }
        let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| self.type_text(ty));
        match &def.kind {
            TypeDefKind::List(item) => format!("list<{}>", self.type_text(item)),
            TypeDefKind::FixedLengthList(item, length) => format!("list<{}, {length}>", self.type_text(item)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", self.type_text(key), self.type_text(value)),
            TypeDefKind::Option(item) => format!("option<{}>", self.type_text(item)),
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (ok, None) => format!("result<{}>", optional(ok)),
                (ok, err) => format!("result<{}, {}>", optional(ok), optional(err)),
            },
            TypeDefKind::Tuple(tuple) => {
                let items: Vec<_> = tuple.types.iter().map(|ty| self.type_text(ty)).collect();
                format!("tuple<{}>", items.join(", "))
            }
            TypeDefKind::Type(ty) => self.type_text(ty),
            other => other.as_str().to_owned(),
        }
    }
}

/// Reads the text of a `wit` field.
///
/// # Errors
/// What does not parse, with its line and column; or a world that cannot be chosen.
pub(super) fn parse(text: &str) -> Result<Wit, PrepareError> {
    const EXAMPLE: &str = "write a function, such as `add: func(a: s32) -> s32;`";
    if statements::is_empty(text) {
        return Err(PrepareError::invalid("wit", format!("`wit` is empty; {EXAMPLE}")));
    }
    let package = Package::of(text);
    let mut sources = SourceMap::new();
    sources.push_str("wit", package.text.clone());
    let located = |message: String, span: Span| package.error(text, &message, span.is_known().then(|| span.start()));
    let group = sources.parse().map_err(|(_, error)| located(error.kind().to_string(), error.kind().span()))?;
    let mut resolve = Resolve::default();
    let main = resolve.push_group(group).map_err(|error| located(error.kind().to_string(), error.kind().span()))?;
    let worlds = &resolve.packages[main].worlds;
    let (Some(world), 1) = (worlds.values().next().copied(), worlds.len()) else {
        let names: Vec<_> = worlds.keys().map(|name| format!("`{name}`")).collect();
        let message = match names.as_slice() {
            [] => format!("`wit` has neither a function nor a world; {EXAMPLE}"),
            _ => format!("`wit` has the worlds {}, and only one can be meant; keep that one", names.join(", ")),
        };
        return Err(PrepareError::invalid("wit", message));
    };
    let wit = Wit { resolve, world };
    if wit.exports().is_empty() {
        return Err(PrepareError::invalid("wit", format!("`wit` exports no function; {EXAMPLE}")));
    }
    Ok(wit)
}
