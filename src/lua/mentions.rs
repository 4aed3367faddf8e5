//! What a file names in so many words: the functions that it calls and the modules that it requires, where their names are
//! literals. For warnings; what is computed is known only when it runs.

use full_moon::{
    LuaVersion,
    ast::{Call, Expression, FunctionArgs, FunctionCall, Index, LocalAssignment, Prefix, Suffix},
    tokenizer::{TokenReference, TokenType},
    visitors::Visitor,
};

/// One name in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    /// The name as it is written.
    pub(super) name: String,
    /// The line, counted from 1.
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// `funcs.call("…")`, `funcs.async("…")`, and the same of `funcs.new()`.
    Call,
    /// `require("…")`.
    Require,
}

/// The names in a file that is known to be Lua.
pub(super) fn of(text: &str) -> Vec<Mention> {
    let parsed = full_moon::parse_fallible(text, LuaVersion::lua54());
    let mut finder = Finder { funcs: vec!["funcs".to_owned()], found: Vec::new() };
    finder.visit_ast(parsed.ast());
    finder.found
}

struct Finder {
    /// The names by which the file knows `funcs`.
    funcs: Vec<String>,
    found: Vec<Mention>,
}

impl Visitor for Finder {
    fn visit_local_assignment(&mut self, assignment: &LocalAssignment) {
        for (name, expression) in assignment.names().iter().zip(assignment.expressions()) {
            if let Expression::FunctionCall(call) = expression
                && required(call).is_some_and(|(module, _)| module == "funcs")
            {
                self.funcs.push(name.token().to_string());
            }
        }
    }

    fn visit_function_call(&mut self, call: &FunctionCall) {
        let mut note = |(name, line): (String, usize), what| self.found.push(Mention { name, line, what });
        if let Some(required) = required(call) {
            note(required, What::Require);
            return;
        }
        let is_funcs = match call.prefix() {
            Prefix::Name(name) => self.funcs.contains(&name.token().to_string()),
            Prefix::Expression(_) => false,
            _ => false,
        };
        let is_required = required_first(call).is_some_and(|(module, _)| module == "funcs");
        if !is_funcs && !is_required {
            return;
        }
        let mut method = String::new();
        for suffix in call.suffixes() {
            match suffix {
                Suffix::Index(Index::Dot { name, .. }) => method = name.token().to_string(),
                Suffix::Call(Call::AnonymousCall(args)) => {
                    if matches!(method.as_str(), "call" | "async")
                        && let Some(found) = literal(args)
                    {
                        note(found, What::Call);
                    }
                    method.clear();
                }
                Suffix::Call(Call::MethodCall(call))
                    if matches!(&*call.name().token().to_string(), "call" | "async") =>
                {
                    if let Some(found) = literal(call.args()) {
                        note(found, What::Call);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What `require "x"` and `require("x")` require, when that is all of the call.
fn required(call: &FunctionCall) -> Option<(String, usize)> {
    if call.suffixes().count() == 1 { required_first(call) } else { None }
}

fn required_first(call: &FunctionCall) -> Option<(String, usize)> {
    match (call.prefix(), call.suffixes().next()) {
        (Prefix::Name(name), Some(Suffix::Call(Call::AnonymousCall(args))))
            if name.token().to_string() == "require" =>
        {
            literal(args)
        }
        _ => None,
    }
}

/// The first argument, when it is a string without escapes.
fn literal(args: &FunctionArgs) -> Option<(String, usize)> {
    let text = |token: &TokenReference| match token.token().token_type() {
        TokenType::StringLiteral { literal, .. } if !literal.contains('\\') => {
            Some((literal.to_string(), token.token().start_position().line()))
        }
        _ => None,
    };
    match args {
        FunctionArgs::String(token) => text(token),
        FunctionArgs::Parentheses { arguments, .. } => match arguments.iter().next()? {
            Expression::String(token) => text(token),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_names_are_found_wherever_they_stand() {
        let found = of(r#"
            local funcs = require("funcs")
            local f <const> = require "funcs"
            local function main(id)
              funcs.call("a:one", 1)
              funcs.call(id)
              local later = f.async('a:two')
              funcs.new():with_options{ timeout = 5 }:call([[three]], {})
              require("funcs").call("a:four")
              other.call("a:no")
              -- funcs.call("a:comment")
              return "funcs.call('a:text')"
            end
            return { main = main }
        "#);
        let of =
            |what| found.iter().filter(move |m| m.what == what).map(|m| (m.name.as_str(), m.line)).collect::<Vec<_>>();
        assert_eq!(of(What::Call), [("a:one", 5), ("a:two", 7), ("three", 8), ("a:four", 9)]);
        assert_eq!(of(What::Require), [("funcs", 2), ("funcs", 3)]);
    }
}
