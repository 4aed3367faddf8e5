//! The variables of a registry, which entries and guests read. How entries become variables is in
//! `environment/resolve.rs`; where values are kept is in `environment/storage.rs`.

mod dotenv;
mod resolve;
mod storage;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use greenroom_actors::spec::{FunctionId, Variable};

pub(super) use resolve::{Expanded, resolve};
use storage::Storage;
pub(super) use storage::create_dir;

/// The variables of a registry, by id or public name.
///
/// Reads look the value up anew each time; a file that changed is read again. Values are in no `Debug` output and no
/// error message. A registry that is loaded again starts with empty memory storages.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<FunctionId, Arc<EnvVariable>>,
    names: HashMap<String, FunctionId>,
}

/// Why a variable was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// There is no variable with this id or public name.
    #[error("there is no variable `{0}`; name an `env.variable` entry by its id or its public name")]
    Unknown(String),
    /// The variable, or every storage behind it, can only be read.
    #[error("the variable `{variable}` cannot be set: {reason}")]
    ReadOnly {
        /// The variable's id.
        variable: String,
        /// What keeps it from being set.
        reason: String,
    },
    /// Its storage does not work.
    #[error("the storage of the variable `{variable}` does not work: {reason}")]
    Storage {
        /// The variable's id.
        variable: String,
        /// Why, in a sentence.
        reason: String,
    },
    /// The value cannot be kept: it holds a NUL.
    #[error("a value of the variable `{0}` cannot hold a NUL character")]
    Value(String),
}

impl Environment {
    /// The value of a variable now, its default when its storage has none, or `None`.
    ///
    /// Names are ids (`ns:name`) or public names. May block on file I/O.
    ///
    /// # Errors
    /// [`EnvironmentError::Unknown`] or [`EnvironmentError::Storage`].
    pub fn get(&self, name: &str) -> Result<Option<String>, EnvironmentError> {
        self.find(name)?.read()
    }

    /// Sets a variable in its storage. May block on file I/O.
    ///
    /// Memory and file storages take values. Static storages and the process environment do not: the first is what its
    /// entry says, and the second is shared with threads that read it without a lock. A router gives the value to its
    /// first storage that takes values.
    ///
    /// # Errors
    /// Any [`EnvironmentError`].
    pub fn set(&self, name: &str, value: &str) -> Result<(), EnvironmentError> {
        self.find(name)?.write(value)
    }

    /// The variable with this id, for a guest's environment.
    pub fn variable(&self, id: &FunctionId) -> Option<Arc<dyn Variable>> {
        self.variables.get(id).map(|variable| Arc::clone(variable) as Arc<dyn Variable>)
    }

    /// The ids of all variables, in order.
    pub fn ids(&self) -> impl Iterator<Item = &FunctionId> {
        self.variables.keys()
    }

    /// The public name of a variable.
    pub(super) fn public_name(&self, id: &FunctionId) -> Option<&str> {
        self.variables.get(id).map(|variable| variable.key.as_str())
    }

    fn find(&self, name: &str) -> Result<&EnvVariable, EnvironmentError> {
        let id = self.names.get(name).cloned().or_else(|| name.parse().ok());
        let found = id.and_then(|id| self.variables.get(&id));
        found.map(Arc::as_ref).ok_or_else(|| EnvironmentError::Unknown(super::diagnostic::shown(name)))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// One `env.variable` entry.
struct EnvVariable {
    id: FunctionId,
    /// The public name, under which the storage keeps the value.
    key: String,
    storage: Arc<Storage>,
    default: Option<String>,
    readonly: bool,
}

impl EnvVariable {
    fn read(&self) -> Result<Option<String>, EnvironmentError> {
        let fail = |reason| EnvironmentError::Storage { variable: self.id.to_string(), reason };
        Ok(self.storage.get(&self.key).map_err(fail)?.or_else(|| self.default.clone()))
    }

    fn write(&self, value: &str) -> Result<(), EnvironmentError> {
        let variable = self.id.to_string();
        if self.readonly {
            return Err(EnvironmentError::ReadOnly { variable, reason: "it is `readonly`".to_owned() });
        }
        if value.contains('\0') {
            return Err(EnvironmentError::Value(variable));
        }
        match self.storage.writable() {
            Some(storage) => {
                storage.set(&self.key, value).map_err(|reason| EnvironmentError::Storage { variable, reason })
            }
            None => {
                let reason = format!("its storage `{}` can only be read", self.storage.id());
                Err(EnvironmentError::ReadOnly { variable, reason })
            }
        }
    }
}

impl Variable for EnvVariable {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn get(&self) -> Result<Option<String>, String> {
        self.read().map_err(|error| error.to_string())
    }
}

impl fmt::Debug for EnvVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvVariable({})", self.id)
    }
}
