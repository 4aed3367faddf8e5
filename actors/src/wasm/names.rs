//! Names: WIT's kebab-case, the snake_case and camelCase of languages, and exports reached by either.

/// Names of WIT interfaces and functions that only differ in how words are joined are the same to a user.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || kebab(a) == kebab(b)
}

/// The kebab-case form of a name: `add_one` and `addOne` are `add-one`. What is kebab-case already stays as it is.
pub(super) fn kebab(name: &str) -> String {
    if wit_parser::validate_id(name).is_ok() {
        return name.to_owned();
    }
    let mut kebab = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        match c {
            '_' | '-' | '.' | ' ' => {
                if !kebab.is_empty() && !kebab.ends_with('-') {
                    kebab.push('-');
                }
                after_lower = false;
            }
            c if c.is_ascii_uppercase() => {
                if after_lower {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
                after_lower = false;
            }
            c => {
                kebab.push(c);
                after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
            }
        }
    }
    kebab.truncate(kebab.trim_end_matches('-').len());
    kebab
}

/// The parts of `ns:pkg/iface@1.0.0`: package, interface, version. A plain interface name has neither package nor version.
pub(super) fn interface_parts(name: &str) -> (Option<&str>, &str, Option<&str>) {
    let (name, version) = name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version)));
    match name.rsplit_once('/') {
        Some((package, interface)) => (Some(package), interface, version),
        None => (None, name, version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_languages_become_kebab_case() {
        for (name, expected) in [
            ("add", "add"),
            ("add_one", "add-one"),
            ("addOne", "add-one"),
            ("AddOne", "add-one"),
            ("_private", "private"),
            ("sha256_of", "sha256-of"),
            ("double__under", "double-under"),
            ("add-one", "add-one"),
            ("HTTP-get", "HTTP-get"),
        ] {
            assert_eq!(kebab(name), expected, "{name}");
        }
        assert!(same("add_one", "add-one") && same("addOne", "add_one") && !same("add", "sub"));
    }

    #[test]
    fn an_interface_name_has_parts() {
        assert_eq!(interface_parts("a:b/c@1.0.0"), (Some("a:b"), "c", Some("1.0.0")));
        assert_eq!(interface_parts("c"), (None, "c", None));
    }
}
