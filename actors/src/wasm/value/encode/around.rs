//! What stands around a value: the case it is the payload of, and the option that a bare value fills.

use serde::Serialize;
use wasmtime::component::Val;

use super::{
    super::{
        ValueError, WitType,
        names::{self, Spelling},
    },
    Encoder, Expect,
};

/// The case of a variant or result that a value is the payload of.
#[derive(Clone, Copy)]
pub(super) enum Case<'t> {
    Variant(&'t str),
    Ok,
    Err,
}

impl<'t> Case<'t> {
    /// Looks a case up, and the type of its payload.
    pub(super) fn find(
        ty: &'t WitType,
        name: &str,
        spelling: Spelling,
    ) -> Option<Result<(Self, Option<&'t WitType>), ValueError>> {
        match ty {
            WitType::Variant(cases) => {
                let names = cases.iter().map(|(name, _)| name.as_str());
                Some(match names::find(names.clone(), name, spelling) {
                    Some(at) => Ok((Self::Variant(&cases[at].0), cases[at].1.as_ref())),
                    None => Err(names::unknown("case", names, name)),
                })
            }
            WitType::Result(ok, err) => {
                let names = ["ok", "err"].into_iter();
                Some(match names::find(names.clone(), name, spelling) {
                    Some(0) => Ok((Self::Ok, ok.as_deref())),
                    Some(_) => Ok((Self::Err, err.as_deref())),
                    None => Err(names::unknown("case", names, name)),
                })
            }
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'t str {
        match self {
            Self::Variant(name) => name,
            Self::Ok => "ok",
            Self::Err => "err",
        }
    }

    pub(super) fn val(self, payload: Option<Val>) -> Val {
        let payload = payload.map(Box::new);
        match self {
            Self::Variant(name) => Val::Variant(name.to_owned(), payload),
            Self::Ok => Val::Result(Ok(payload)),
            Self::Err => Val::Result(Err(payload)),
        }
    }

    /// Encodes the payload of this case.
    pub(super) fn encode<T: Serialize + ?Sized>(self, ty: Option<&WitType>, payload: &T) -> Result<Val, ValueError> {
        match ty {
            Some(ty) => payload.serialize(Encoder(Expect::Type(ty))).map(|val| self.val(Some(val))),
            None => payload.serialize(Encoder(Expect::Nothing)).map(|_| self.val(None)),
        }
        .map_err(|error| error.in_name(self.name()))
    }
}

/// What stands around a container: applied to its value, and to the paths of its errors.
#[derive(Clone, Copy, Default)]
pub(super) struct Around<'t> {
    /// The container is the payload of a case…
    pub(super) case: Option<Case<'t>>,
    /// …whose type is an option of it.
    pub(super) payload_some: bool,
    /// It all stands where an option is expected.
    pub(super) some: bool,
    /// It all is the only argument.
    pub(super) arg: bool,
}

impl Around<'_> {
    pub(super) fn close(self, mut val: Val) -> Val {
        let some = |val| Val::Option(Some(Box::new(val)));
        if self.payload_some {
            val = some(val);
        }
        if let Some(case) = self.case {
            val = case.val(Some(val));
        }
        if self.some {
            val = some(val);
        }
        if self.arg { Val::Tuple(vec![val]) } else { val }
    }

    pub(super) fn locate(self, mut error: ValueError) -> ValueError {
        if let Some(case) = self.case {
            error = error.in_name(case.name());
        }
        if self.arg { error.in_index(0) } else { error }
    }
}
