//! Lets a guest grow its memory without the system: the pages that it will most likely ask for are its own from the
//! start, and it does not know.
//!
//! Pages that come to a memory, and go again when its slot is used anew, change the protection of address space twice,
//! and each time every processor has to forget what it knew of it. Most guests that grow do so once, by little: their
//! allocator asks for its first heap. So a memory gets up to [`PAGES_MAX`] pages more than its module declares, and the
//! module's `memory.size` and `memory.grow` become calls of functions (`resize`) that answer as if it had not:
//!
//! - the module's own size is a global, and growing moves it up while there is room; beyond, the memory itself grows, by
//!   what is missing;
//! - what was refused is refused: a memory is given no more than its maximum and `limits.max_memory_bytes` allow, and what
//!   lies beyond is asked of them in the same numbers as before;
//! - one thing differs. What lies between the module's own size and the pages that it was given does not trap when it is
//!   used. It is zero at first, and of this guest's memory alone.
//!
//! All this holds when nobody else looks at the size. So it is done for a component in which one memory is defined, once,
//! by the only module that looks at its size or grows it, and where all modules are known. Memories that are shared, that
//! have 64 bits or pages of another size, or whose data does not fit what they declare are left alone, as are modules that
//! the collector of garbage works for, whose heap is accounted with the memory; those with information for debuggers,
//! whose addresses would be wrong; and those larger than [`MODULE_BYTES_MAX`]. A component that is left alone is compiled
//! byte for byte as it is.

use std::ops::Range;

use wasm_encoder::{BlockType, Encode, Function, ValType, reencode::Error};
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentAliasSectionReader, ComponentExternalKind, ComponentImportSectionReader,
    ComponentOuterAliasKind, ComponentTypeRef, CompositeInnerType, DataKind, Instance, InstanceSectionReader, Operator,
    Parser, Payload, TypeRef,
};

use super::resize::{Shape, StandIns};

/// Pages that a memory gets beyond what its module declares: 1 MiB. Most allocators ask for less at first.
const PAGES_MAX: u64 = 16;

/// The size up to which a module is looked through, which takes as long as hashing it.
const MODULE_BYTES_MAX: usize = 1 << 20;

const PAGE_BYTES: u64 = 64 << 10;

/// Pages that a memory of 32 bits may have.
const MEMORY_PAGES_MAX: u64 = 1 << 16;

/// How much more memory a component's one growing module may have from the start.
#[derive(Clone)]
pub(super) struct Headroom {
    pages: u64,
    declared: u64,
    /// Where its section begins.
    section: usize,
    module: Range<usize>,
}

impl Headroom {
    /// What a component may be given, whose guests may have any memory; nothing when its memory does not grow, or when any
    /// doubt is left.
    pub(super) fn of(component: &[u8]) -> Option<Self> {
        let modules = Modules::read(component).ok().flatten()?;
        if modules.defined.iter().any(|(_, module)| module.len() > MODULE_BYTES_MAX) {
            return None;
        }
        // Who looks at a size or grows a memory, whichever it is.
        let (mut resizing, mut memories) = (None, 0);
        for (index, (_, module)) in modules.defined.iter().enumerate() {
            let shape = Shape::read(&component[module.clone()]).ok()?;
            memories += shape.memories.len();
            if shape.any(is_resizing).ok()? && resizing.replace((index, shape)).is_some() {
                return None;
            }
        }
        let (index, shape) = resizing?;
        let is_sole = memories == 1 && modules.instantiated.iter().filter(|&&module| module == index).count() == 1;
        let ty = shape.own_memory(0)?;
        let is_plain = !ty.memory64 && !ty.shared && ty.page_size_log2.is_none() && shape.imported_memories == 0;
        let (section, module) = modules.defined[index].clone();
        let is_left = !is_sole
            || !is_plain
            || !shape.any(|op| matches!(op, Operator::MemoryGrow { .. })).ok()?
            || !is_simple(&component[module.clone()], ty.initial.checked_mul(PAGE_BYTES)?).ok()?;
        let allowed = ty.maximum.unwrap_or(MEMORY_PAGES_MAX).min(MEMORY_PAGES_MAX);
        let pages = allowed.checked_sub(ty.initial)?.min(PAGES_MAX);
        (!is_left && pages > 0).then_some(Self { pages, declared: ty.initial, section, module })
    }

    /// What of it guests may be given that may have so much memory.
    pub(super) fn within(&self, memory_bytes_max: u64) -> Option<Self> {
        let pages = self.pages.min((memory_bytes_max / PAGE_BYTES).checked_sub(self.declared)?);
        (pages > 0).then(|| Self { pages, ..self.clone() })
    }

    /// Pages beyond what the module declares.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// The component with it.
    ///
    /// # Errors
    /// When the module is not valid.
    pub(super) fn given_to(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        let shape = Shape::read(&component[self.module.clone()])?;
        let module = shape.rewritten(StandIns {
            memory: 0,
            global: i32::try_from(self.declared).unwrap_or(i32::MAX),
            minimum: Some(self.declared + self.pages),
            size: size_body(shape.global()),
            grow: grow_body(shape.global()),
        })?;
        let mut bytes = component[..=self.section].to_vec();
        module.encode(&mut bytes);
        bytes.extend_from_slice(&component[self.module.end..]);
        Ok(bytes)
    }
}

fn is_resizing(op: &Operator<'_>) -> bool {
    matches!(op, Operator::MemorySize { .. } | Operator::MemoryGrow { .. })
}

/// `own` is the global with the size that the module knows.
fn size_body(own: u32) -> Function {
    let mut body = Function::new([]);
    body.instructions().global_get(own).end();
    body
}

/// Grows the memory by what is asked for beyond the room, and the module's own size by all of it.
fn grow_body(own: u32) -> Function {
    let (asked, room) = (0, 1);
    let mut body = Function::new([(1, ValType::I32)]);
    let mut code = body.instructions();
    code.local_get(asked).memory_size(0).global_get(own).i32_sub().local_tee(room).i32_gt_u().if_(BlockType::Empty);
    code.local_get(asked).local_get(room).i32_sub().memory_grow(0).i32_const(-1).i32_eq().if_(BlockType::Empty);
    code.i32_const(-1).return_().end().end();
    code.global_get(own).global_get(own).local_get(asked).i32_add().global_set(own).end();
    body
}

/// The core modules of a component.
struct Modules {
    /// Where the section of each begins, and the module in it.
    defined: Vec<(usize, Range<usize>)>,
    /// The module of each core instance.
    instantiated: Vec<usize>,
}

impl Modules {
    /// `None` when there may be modules that are not the component's own.
    fn read(component: &[u8]) -> wasmparser::Result<Option<Self>> {
        let mut modules = Self { defined: Vec::new(), instantiated: Vec::new() };
        let mut reader = BinaryReader::new(component, 0);
        reader.read_bytes(8)?;
        while !reader.eof() {
            let section = reader.original_position();
            let id = reader.read_u8()?;
            let size = reader.read_var_u32()? as usize;
            let start = reader.original_position();
            let content = reader.read_bytes(size)?;
            let reader = || BinaryReader::new(content, start);
            let is_known = match id {
                1 => {
                    modules.defined.push((section, start..start + size));
                    true
                }
                2 => {
                    for instance in InstanceSectionReader::new(reader())? {
                        if let Instance::Instantiate { module_index, .. } = instance? {
                            modules.instantiated.push(module_index as usize);
                        }
                    }
                    true
                }
                4 => has_no_modules(content)?,
                6 => aliases_no_module(ComponentAliasSectionReader::new(reader())?)?,
                10 => imports_no_module(ComponentImportSectionReader::new(reader())?)?,
                _ => true,
            };
            if !is_known {
                return Ok(None);
            }
        }
        Ok(Some(modules))
    }
}

/// Whether a component within another neither defines nor gets any module.
fn has_no_modules(component: &[u8]) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(component) {
        let has_none = match payload? {
            Payload::ModuleSection { .. } => false,
            Payload::ComponentAliasSection(section) => aliases_no_module(section)?,
            Payload::ComponentImportSection(section) => imports_no_module(section)?,
            _ => true,
        };
        if !has_none {
            return Ok(false);
        }
    }
    Ok(true)
}

fn aliases_no_module(section: ComponentAliasSectionReader<'_>) -> wasmparser::Result<bool> {
    for alias in section {
        match alias? {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => return Ok(false),
            _ => {}
        }
    }
    Ok(true)
}

fn imports_no_module(section: ComponentImportSectionReader<'_>) -> wasmparser::Result<bool> {
    for import in section {
        if matches!(import?.ty, ComponentTypeRef::Module(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a module's data fits its memory as it is declared, nothing of it is garbage-collected, and nothing in it names
/// addresses of its code.
fn is_simple(module: &[u8], memory_bytes: u64) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    let is_func = |ty: &wasmparser::SubType| {
                        matches!(ty.composite_type.inner, CompositeInnerType::Func(_)) && !ty.composite_type.shared
                    };
                    if !group?.types().all(is_func) {
                        return Ok(false);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if matches!(import?.ty, TypeRef::Tag(_)) {
                        return Ok(false);
                    }
                }
            }
            Payload::TagSection(_) => return Ok(false),
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    let DataKind::Active { offset_expr, .. } = data.kind else { continue };
                    let mut offset = offset_expr.get_operators_reader();
                    let (Operator::I32Const { value }, Operator::End) = (offset.read()?, offset.read()?) else {
                        return Ok(false);
                    };
                    if u64::from(value.cast_unsigned()) + data.data.len() as u64 > memory_bytes {
                        return Ok(false);
                    }
                }
            }
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => return Ok(false),
            _ => {}
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use wasmparser::{Validator, WasmFeatures};

    use super::*;

    const GROWS: &str = "(func (drop (memory.grow (i32.const 1))))";

    fn pages(text: &str) -> u64 {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        Headroom::of(&bytes).map_or(0, |headroom| headroom.pages())
    }

    #[test]
    fn guests_are_given_no_more_than_they_may_have() {
        let bytes =
            wat::parse_str(format!("(component (core module $m (memory 2) {GROWS}) (core instance (instantiate $m)))"));
        let headroom = Headroom::of(&bytes.unwrap()).unwrap();
        let within = |pages: u64| headroom.within(pages * PAGE_BYTES).map(|headroom| headroom.pages());
        assert_eq!([1, 2, 3, 5].map(within), [None, None, Some(1), Some(3)]);
        assert_eq!(headroom.within(u64::MAX).map(|headroom| headroom.pages()), Some(PAGES_MAX));
    }

    fn of_module(module: &str) -> u64 {
        pages(&format!("(component (core module $m {module}) (core instance (instantiate $m)))"))
    }

    #[test]
    fn only_a_memory_that_its_module_grows_has_room() {
        assert_eq!(of_module(&format!("(memory 1) {GROWS}")), PAGES_MAX);
        assert_eq!(
            of_module(&format!("(memory 1) {GROWS} (data (i32.const 65535) \"a\") (data \"passive\")")),
            PAGES_MAX
        );
        for module in [
            String::new(),
            "(memory 1)".to_owned(),
            "(memory 1) (func (drop (memory.size)))".to_owned(),
            format!("(memory 1 1) {GROWS}"),
            format!("(memory 65536) {GROWS}"),
            format!("(memory 1) (memory 1) {GROWS}"),
            format!("(memory 1 9 shared) {GROWS}"),
            format!("(memory 1 (pagesize 1)) {GROWS}"),
            "(memory i64 1) (func (drop (memory.grow (i64.const 1))))".to_owned(),
            format!("(import \"a\" \"m\" (memory 1)) {GROWS}"),
            format!("(memory 1) {GROWS} (data (i32.const 65535) \"ab\")"),
            format!("(memory 1) {GROWS} (data (i32.const -1) \"a\")"),
            format!("(memory 1) {GROWS} (data (i32.add (i32.const 1) (i32.const 1)) \"a\")"),
            format!("(memory 1) {GROWS} (type (struct))"),
            format!("(memory 1) {GROWS} (tag)"),
            format!("(memory 1) {GROWS} (@custom \".debug_info\" \"\")"),
            format!("(memory 1) {GROWS} (@custom \"large\" \"{}\")", "-".repeat(MODULE_BYTES_MAX)),
        ] {
            let module_start = &module[..module.len().min(200)];
            assert_eq!(of_module(&module), 0, "{module_start}");
        }
    }

    #[test]
    fn a_memory_that_others_may_look_at_or_grow_has_none() {
        let module = format!("(core module $m (memory (export \"m\") 1) {GROWS})");
        let once = "(core instance $i (instantiate $m))";
        let user = |body: &str| format!("(core module $u (import \"i\" \"m\" (memory 1)) (func {body}))");
        let used = "(core instance (instantiate $u (with \"i\" (instance $i))))";
        let stores = user("(i32.store (i32.const 0) (i32.const 0))");
        assert_eq!(pages(&format!("(component {module} {stores} {once} {used})")), PAGES_MAX);
        assert_eq!(pages(&format!("(component (component) {module} {once})")), PAGES_MAX);
        for component in [
            format!("{module} {} {once} {used}", user("(drop (memory.size))")),
            format!("{module} {} {once} {used}", user("(drop (memory.grow (i32.const 0)))")),
            format!("{module} (core module $n (memory 1)) {once} (core instance (instantiate $n))"),
            format!("{module} {once} (core instance (instantiate $m))"),
            module.clone(),
            format!("(component {module} {once}) {module} {once}"),
            format!("{module} {once} (import \"n\" (core module))"),
            format!(
                "{module} {once} (import \"n\" (instance $n (export \"m\" (core module)))) (alias export $n \"m\" (core module))"
            ),
            format!("{module} {once} (component (alias outer 1 $m (core module $o)) (core instance (instantiate $o)))"),
        ] {
            assert_eq!(pages(&format!("(component {component})")), 0, "{component}");
        }
    }

    #[test]
    fn bytes_that_are_no_sound_component_are_an_error_at_most() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/hello_rust.wasm");
        let (before, mut random) = (fs::read(path).unwrap(), fastrand::Rng::with_seed(7));
        for _ in 0..300 {
            let mut bytes = before.clone();
            match random.u8(0..3) {
                0 => bytes.truncate(random.usize(0..before.len())),
                // Where sections and modules begin.
                1 => bytes[random.usize(0..4_000)] = random.u8(..),
                _ => bytes[random.usize(0..before.len())] = random.u8(..),
            }
            let _given = Headroom::of(&bytes).map(|headroom| headroom.given_to(&bytes));
        }
    }

    #[test]
    fn what_toolchains_make_stays_valid_around_the_module_that_grows() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
        let mut given = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let before = fs::read(&path).unwrap();
            if !Parser::is_component(&before) {
                continue;
            }
            let Some(headroom) = Headroom::of(&before) else { continue };
            let after = headroom.given_to(&before).unwrap();
            Validator::new_with_features(WasmFeatures::all()).validate_all(&after).unwrap();
            assert!(after.starts_with(&before[..headroom.section]));
            assert!(after.ends_with(&before[headroom.module.end..]));
            given.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        assert!(given.contains(&"hello_rust.wasm".to_owned()), "{given:?}");
    }
}
