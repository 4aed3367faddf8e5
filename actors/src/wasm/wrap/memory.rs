//! Hides from a module the memory that the preview 1 adapter takes before the module has looked.
//!
//! The adapter grows the module's memory by pages for its stack and its state: before the module's functions run, and
//! at the first calls of its own. Allocators that take all from the end of the module's data to `memory.size` for their
//! heap, as C's library of WASI did until the end of 2022, take these pages along, and what the guest then allocates
//! overwrites the adapter. Nothing of this happens where a host implements preview 1 itself, so that such modules are
//! right and have to work.
//!
//! The module's `memory.size` and `memory.grow` become calls of two functions that are appended to it. When the memory
//! has grown before the module first asked for its size, it hears the size that it declares, until it grows its memory
//! itself. In all other cases the answers are the true ones, and what `memory.grow` gives always is: allocators that add
//! to their heap what growing gave them are right without help, and so they stay.
//!
//! What cannot be helped from here: an allocator that takes for granted that memory grows without a gap, or only where
//! it looked at its size before; the adapter's pages lie in that gap.

use std::{borrow::Cow, convert::Infallible};

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType, Instruction, Module,
    SectionId, TypeSection, ValType,
    reencode::{Error, Reencode, utils},
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, ExternalKind, FunctionBody, FunctionSectionReader, GlobalSectionReader,
    MemoryType, Operator, Parser, Payload, TypeRef, TypeSectionReader,
};

/// The module with its first look at its memory's size made independent of the adapter; the same bytes when it never
/// looks, or when its memory is not a plain one of its own.
///
/// # Errors
/// When the bytes are no valid module.
pub(super) fn with_own_size(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let Some(mut rewriting) = Rewriting::of(bytes)? else { return Ok(Cow::Borrowed(bytes)) };
    let mut module = Module::new();
    rewriting.parse_core_module(&mut module, Parser::new(0), bytes)?;
    Ok(Cow::Owned(module.finish()))
}

/// Where what is appended goes, in the index spaces of a module that needs it.
struct Rewriting {
    /// The memory that is exported as `memory`, which is the one that the adapter uses.
    memory: u32,
    /// The pages that this memory has at first.
    declared: i32,
    /// The type of `memory.size`; that of `memory.grow` comes next.
    size_type: u32,
    /// The function in the place of `memory.size`; that for `memory.grow` comes next.
    size: u32,
    /// The global that is 1 once the module is to see the true size.
    sees: u32,
    has_sees: bool,
}

impl Rewriting {
    fn of(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let (mut types, mut funcs, mut globals, mut imported_memories) = (0, 0, 0, 0);
        let (mut memories, mut exported, mut bodies) = (Vec::<MemoryType>::new(), None, Vec::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => funcs += 1,
                            TypeRef::Global(_) => globals += 1,
                            TypeRef::Memory(_) => imported_memories += 1,
                            TypeRef::Table(_) | TypeRef::Tag(_) => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => funcs += section.count(),
                Payload::GlobalSection(section) => globals += section.count(),
                Payload::MemorySection(section) => memories = section.into_iter().collect::<Result<_, _>>()?,
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Memory && export.name == "memory" {
                            exported = Some(export.index);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => bodies.push(body),
                _ => {}
            }
        }
        // An imported memory is another's, and so is what is known of its size.
        let own =
            |index: u32| Some((index, *memories.get(usize::try_from(index.checked_sub(imported_memories)?).ok()?)?));
        let Some((memory, ty)) = exported.and_then(own) else { return Ok(None) };
        let Ok(declared) = i32::try_from(ty.initial) else { return Ok(None) };
        if ty.memory64 || ty.shared {
            return Ok(None);
        }
        let rewriting = Self { memory, declared, size_type: types, size: funcs, sees: globals, has_sees: false };
        for body in &bodies {
            if rewriting.any(body, |op| rewriting.is_size(op))? {
                return Ok(Some(rewriting));
            }
        }
        Ok(None)
    }

    fn is_size(&self, op: &Operator<'_>) -> bool {
        matches!(op, Operator::MemorySize { mem } if *mem == self.memory)
    }

    fn is_grow(&self, op: &Operator<'_>) -> bool {
        matches!(op, Operator::MemoryGrow { mem } if *mem == self.memory)
    }

    fn any(&self, body: &FunctionBody<'_>, is: impl Fn(&Operator<'_>) -> bool) -> Result<bool, Error> {
        for op in body.get_operators_reader()? {
            if is(&op?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn append_sees(&mut self, globals: &mut GlobalSection) {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(0));
        self.has_sees = true;
    }

    /// The size that is true, from when the module has found it to be what it declares; else what it declares.
    fn size_body(&self) -> Function {
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.memory_size(self.memory).i32_const(self.declared).i32_eq();
        code.global_get(self.sees).i32_or().global_set(self.sees);
        code.memory_size(self.memory).i32_const(self.declared).global_get(self.sees).select();
        code.end();
        body
    }

    /// Grows, and lets the true size be seen when that went well. Growing by nothing only asks for the size.
    fn grow_body(&self) -> Function {
        let mut body = Function::new([(1, ValType::I32)]);
        let mut code = body.instructions();
        code.local_get(0).i32_eqz().if_(BlockType::Result(ValType::I32)).call(self.size).else_();
        code.local_get(0).memory_grow(self.memory).local_tee(1).i32_const(-1).i32_ne();
        code.global_get(self.sees).i32_or().global_set(self.sees).local_get(1);
        code.end().end();
        body
    }
}

impl Reencode for Rewriting {
    type Error = Infallible;

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], [ValType::I32]);
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.size_type).function(self.size_type + 1);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_global_section(self, globals, section)?;
        self.append_sees(globals);
        Ok(())
    }

    /// Adds the section of globals to a module that has none, in its place.
    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error> {
        use SectionId::{Code, DataCount, Element, Export, Start};
        if !self.has_sees && matches!(before, Some(Export | Start | Element | DataCount | Code)) {
            let mut globals = GlobalSection::new();
            self.append_sees(&mut globals);
            module.section(&globals);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.size_body()).function(&self.grow_body());
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, func: FunctionBody<'_>) -> Result<(), Error> {
        if self.any(&func, |op| self.is_size(op) || self.is_grow(op))? {
            return utils::parse_function_body(self, code, func);
        }
        code.raw(func.as_bytes());
        Ok(())
    }

    fn instruction<'a>(&mut self, arg: Operator<'a>) -> Result<Instruction<'a>, Error> {
        if self.is_size(&arg) {
            Ok(Instruction::Call(self.size))
        } else if self.is_grow(&arg) {
            Ok(Instruction::Call(self.size + 1))
        } else {
            utils::instruction(self, arg)
        }
    }

    /// Copies what has no addresses of code in it as it is, names for backtraces among it, well formed or not.
    fn parse_custom_section(&mut self, module: &mut Module, section: CustomSectionReader<'_>) -> Result<(), Error> {
        // The code has moved: lines of other code would be worse than none.
        if !section.name().starts_with(".debug_") {
            module.section(&self.custom_section(section)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use wasmparser::{Validator, WasmFeatures};

    use super::*;

    fn rewritten(module: &[u8]) -> Option<Vec<u8>> {
        match with_own_size(module).unwrap() {
            Cow::Borrowed(same) => {
                assert_eq!(same, module);
                None
            }
            Cow::Owned(bytes) => {
                Validator::new_with_features(WasmFeatures::all()).validate_all(&bytes).unwrap();
                Some(bytes)
            }
        }
    }

    fn of_text(text: &str) -> Option<Vec<u8>> {
        rewritten(&wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// The operators that look at or grow the memory, outside of what is appended; and all other operators.
    fn operators(module: &[u8], appended: usize) -> (usize, usize) {
        let mut bodies: Vec<_> = Parser::new(0)
            .parse_all(module)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            })
            .collect();
        bodies.truncate(bodies.len() - appended);
        let ops = bodies.iter().flat_map(|body| body.get_operators_reader().unwrap().into_iter());
        ops.fold((0, 0), |(sizes, others), op| match op.unwrap() {
            Operator::MemorySize { mem: 0 } | Operator::MemoryGrow { mem: 0 } => (sizes + 1, others),
            _ => (sizes, others + 1),
        })
    }

    #[test]
    fn what_never_looks_or_has_no_plain_memory_of_its_own_stays_as_it_is() {
        for text in [
            "(module)",
            "(module (func (export \"_start\")))",
            "(module (memory (export \"memory\") 1))",
            "(module (memory (export \"memory\") 1) (func (result i32) (memory.grow (i32.const 1))))",
            "(module (memory (export \"memory\") 1) (memory 1) (func (result i32) memory.size 1))",
            "(module (memory 1) (func (result i32) memory.size))",
            "(module (import \"env\" \"memory\" (memory 1)) (export \"memory\" (memory 0)) (func (result i32) memory.size))",
            "(module (memory (export \"memory\") i64 1) (func (result i64) memory.size))",
            "(module (memory (export \"memory\") 1 2 shared) (func (result i32) memory.size))",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_appended_takes_its_place_among_whatever_sections_there_are() {
        const LOOKS: &str = "(func $looks (result i32) (drop (memory.grow (i32.const 1))) memory.size)";
        for sections in [
            "",
            "(export \"looks\" (func $looks))",
            "(func $begin) (start $begin)",
            "(table 1 funcref) (elem (i32.const 0) $looks)",
            "(data $passive \"some\") (func (data.drop $passive))",
            "(data (i32.const 8) \"active\")",
            "(global $g (mut i32) (i32.const 7)) (func (export \"g\") (result i32) (global.get $g))",
            "(tag $t (param i32)) (func (throw $t (i32.const 1)))",
            "(type $pair (struct (field i32 i64))) (rec (type $a (struct (field (ref null $b)))) (type $b (array i8)))
             (func (result (ref $pair)) (struct.new_default $pair))",
            "(func (param i32) (result i32) (i32.atomic.load (local.get 0)))",
            "(func (block $b (try_table (catch_all $b) (call $looks) drop)))",
            "(func (param v128) (result v128) (i8x16.popcnt (local.get 0)))",
            "(@custom \"mine\" \"bytes\") (@custom \"name\" \"broken\")",
        ] {
            for imports in [
                "",
                "(import \"wasi_snapshot_preview1\" \"sched_yield\" (func $yield (result i32)))
                 (import \"env\" \"base\" (global i32)) (import \"env\" \"table\" (table 1 funcref))",
            ] {
                let text = format!("(module {imports} (memory (export \"memory\") 0 9) {LOOKS} {sections})");
                let before = wat::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                let after = rewritten(&before).unwrap_or_else(|| panic!("{text}"));
                let (looks, others) = operators(&before, 0);
                assert_eq!(operators(&after, 2), (0, looks + others), "{text}");
            }
        }
    }

    #[test]
    fn names_are_kept_and_addresses_of_code_are_not() {
        let custom = |bytes: &[u8]| -> Vec<(String, Vec<u8>)> {
            let sections = Parser::new(0).parse_all(bytes).filter_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
                _ => None,
            });
            sections.collect()
        };
        let text = "(module $named (memory (export \"memory\") 1) (func $size (result i32) memory.size)
          (@custom \".debug_line\" \"addresses\") (@custom \"producers\" \"\\00\"))";
        let before = custom(&wat::parse_str(text).unwrap());
        let after = custom(&of_text(text).unwrap());
        assert_eq!(before.len(), 3);
        assert_eq!(after, before.into_iter().filter(|(name, _)| name != ".debug_line").collect::<Vec<_>>());
    }

    /// All modules of the folder, and those within its components.
    fn modules_in(folder: &Path, found: &mut Vec<Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                modules_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "wasm") {
                let bytes = fs::read(&path).unwrap();
                if Parser::is_core_wasm(&bytes) {
                    found.push(bytes);
                    continue;
                }
                for payload in Parser::new(0).parse_all(&bytes) {
                    if let Payload::ModuleSection { unchecked_range, .. } = payload.unwrap() {
                        found.push(bytes[unchecked_range].to_vec());
                    }
                }
            }
        }
    }

    #[test]
    fn what_toolchains_make_stays_valid_and_loses_no_instruction() {
        let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut modules = Vec::new();
        modules_in(&crate_root.join("tests/guests"), &mut modules);
        modules_in(&crate_root.join("../registry-examples"), &mut modules);
        let mut rewritten_count = 0;
        for before in &modules {
            if let Some(after) = rewritten(before) {
                let (looks, others) = operators(before, 0);
                assert_eq!(operators(&after, 2), (0, looks + others));
                rewritten_count += 1;
            }
        }
        assert!(rewritten_count >= 5, "{rewritten_count} of {}", modules.len());
    }
}
