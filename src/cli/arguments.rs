//! The arguments of a call as they are written on the command line: JSON, or a bare string where it is not JSON.

use serde_json::Value;

/// One argument, and why it is not JSON when it looks as if it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Argument {
    /// What the function is given.
    pub(super) value: Value,
    /// For the user, when the call is refused.
    pub(super) hint: Option<String>,
}

/// Reads the arguments, in order.
pub(super) fn read(args: &[String]) -> Vec<Argument> {
    args.iter().enumerate().map(|(index, text)| argument(index, text)).collect()
}

fn argument(index: usize, text: &str) -> Argument {
    match serde_json::from_str(text) {
        Ok(value) => Argument { value, hint: None },
        Err(error) => {
            let meant_json = text.trim_start().starts_with(['{', '[', '"']);
            let hint = meant_json.then(|| format!("args[{index}] was taken as a string, as it is not JSON: {error}"));
            Argument { value: Value::String(text.to_owned()), hint }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_json_is_json_and_the_rest_is_a_string() {
        let texts = ["-3", "1e3", "true", "null", "\"7\"", "[1, 2]", "{\"a\": 1}", "hello", "", "-x", "NaN", "1 2"];
        let values: Vec<_> = texts.iter().map(|text| argument(0, text).value).collect();
        let expected = [
            json!(-3),
            json!(1e3),
            json!(true),
            json!(null),
            json!("7"),
            json!([1, 2]),
            json!({ "a": 1 }),
            json!("hello"),
            json!(""),
            json!("-x"),
            json!("NaN"),
            json!("1 2"),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn broken_json_is_a_string_with_a_hint() {
        let found = argument(1, "[1, 2");
        assert_eq!(found.value, json!("[1, 2"));
        assert!(found.hint.unwrap().starts_with("args[1] was taken as a string"));
        assert_eq!(argument(0, "plain").hint, None);
    }
}
