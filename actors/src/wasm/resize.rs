//! Puts functions of a module's own in the place of `memory.size` and `memory.grow`.
//!
//! Which modules these are, and what the functions answer, is decided by `wrap/memory` and `headroom`.

use std::convert::Infallible;

use wasm_encoder::{
    CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType, Instruction, Module, SectionId,
    TypeSection, ValType,
    reencode::{Error, Reencode, utils},
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, ExternalKind, FunctionBody, FunctionSectionReader, GlobalSectionReader,
    MemoryType, Operator, Parser, Payload, TypeRef, TypeSectionReader,
};

/// What a module has, as far as rewriting it goes.
pub(super) struct Shape<'a> {
    bytes: &'a [u8],
    types: u32,
    funcs: u32,
    globals: u32,
    pub(super) imported_memories: u32,
    /// Those of its own.
    pub(super) memories: Vec<MemoryType>,
    /// The memory that is exported as `memory`.
    pub(super) exported: Option<u32>,
    bodies: Vec<FunctionBody<'a>>,
}

/// What takes the place of the instructions, and what comes along with it.
pub(super) struct StandIns {
    /// The memory whose instructions are replaced.
    pub(super) memory: u32,
    /// What the global at [`Shape::global`] is at first.
    pub(super) global: i32,
    /// The pages that the memory has at first, when they are to be others than it declares.
    pub(super) minimum: Option<u64>,
    /// Takes nothing, and gives what `memory.size` gives.
    pub(super) size: Function,
    /// Takes and gives what `memory.grow` does.
    pub(super) grow: Function,
}

impl<'a> Shape<'a> {
    /// Reads a module's sections, and no code.
    ///
    /// # Errors
    /// When the bytes are no valid module.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut shape = Self {
            bytes,
            types: 0,
            funcs: 0,
            globals: 0,
            imported_memories: 0,
            memories: Vec::new(),
            exported: None,
            bodies: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        let more = u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                        shape.types = shape.types.saturating_add(more);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => shape.funcs = shape.funcs.saturating_add(1),
                            TypeRef::Global(_) => shape.globals = shape.globals.saturating_add(1),
                            TypeRef::Memory(_) => shape.imported_memories += 1,
                            TypeRef::Table(_) | TypeRef::Tag(_) => {}
                        }
                    }
                }
                // Counts are what the sections say, which may be anything while nobody has validated them.
                Payload::FunctionSection(section) => shape.funcs = shape.funcs.saturating_add(section.count()),
                Payload::GlobalSection(section) => shape.globals = shape.globals.saturating_add(section.count()),
                Payload::MemorySection(section) => shape.memories = section.into_iter().collect::<Result<_, _>>()?,
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Memory && export.name == "memory" {
                            shape.exported = Some(export.index);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => shape.bodies.push(body),
                _ => {}
            }
        }
        Ok(shape)
    }

    /// A memory that is not imported.
    pub(super) fn own_memory(&self, index: u32) -> Option<MemoryType> {
        let index = index.checked_sub(self.imported_memories)?;
        self.memories.get(usize::try_from(index).ok()?).copied()
    }

    /// Whether an instruction of the module is such a one.
    pub(super) fn any(&self, is: impl Fn(&Operator<'_>) -> bool) -> Result<bool, Error> {
        for body in &self.bodies {
            if any(body, &is)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The global that is appended.
    pub(super) fn global(&self) -> u32 {
        self.globals
    }

    /// The function in the place of `memory.size`.
    pub(super) fn size_func(&self) -> u32 {
        self.funcs
    }

    /// The function in the place of `memory.grow`.
    fn grow_func(&self) -> u32 {
        self.funcs.saturating_add(1)
    }

    /// The module with what stands in.
    ///
    /// # Errors
    /// When it is no valid module.
    pub(super) fn rewritten(&self, stand_ins: StandIns) -> Result<Vec<u8>, Error> {
        let mut rewriting = Rewriting { shape: self, stand_ins, has_global: false };
        let mut module = Module::new();
        rewriting.parse_core_module(&mut module, Parser::new(0), self.bytes)?;
        Ok(module.finish())
    }
}

fn any(body: &FunctionBody<'_>, is: impl Fn(&Operator<'_>) -> bool) -> Result<bool, Error> {
    for op in body.get_operators_reader()? {
        if is(&op?) {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Rewriting<'a> {
    shape: &'a Shape<'a>,
    stand_ins: StandIns,
    has_global: bool,
}

impl Rewriting<'_> {
    /// The function that is called in the place of an instruction.
    fn stand_in(&self, op: &Operator<'_>) -> Option<u32> {
        match op {
            Operator::MemorySize { mem } if *mem == self.stand_ins.memory => Some(self.shape.size_func()),
            Operator::MemoryGrow { mem } if *mem == self.stand_ins.memory => Some(self.shape.grow_func()),
            _ => None,
        }
    }

    fn append_global(&mut self, globals: &mut GlobalSection) {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i32_const(self.stand_ins.global));
        self.has_global = true;
    }
}

impl Reencode for Rewriting<'_> {
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
        functions.function(self.shape.types).function(self.shape.types.saturating_add(1));
        Ok(())
    }

    /// That of every memory which is not imported: with another minimum, a module has one.
    fn parse_memory_section(
        &mut self,
        memories: &mut wasm_encoder::MemorySection,
        section: wasmparser::MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        for memory in section {
            let mut ty = self.memory_type(memory?)?;
            ty.minimum = self.stand_ins.minimum.unwrap_or(ty.minimum);
            memories.memory(ty);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_global_section(self, globals, section)?;
        self.append_global(globals);
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
        if !self.has_global && matches!(before, Some(Export | Start | Element | DataCount | Code)) {
            let mut globals = GlobalSection::new();
            self.append_global(&mut globals);
            module.section(&globals);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.stand_ins.size).function(&self.stand_ins.grow);
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, func: FunctionBody<'_>) -> Result<(), Error> {
        if any(&func, |op| self.stand_in(op).is_some())? {
            return utils::parse_function_body(self, code, func);
        }
        code.raw(func.as_bytes());
        Ok(())
    }

    fn instruction<'a>(&mut self, arg: Operator<'a>) -> Result<Instruction<'a>, Error> {
        match self.stand_in(&arg) {
            Some(func) => Ok(Instruction::Call(func)),
            None => utils::instruction(self, arg),
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
