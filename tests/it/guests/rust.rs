//! The library in Rust, called with types of Rust.

use greenroom::{ErrorKind, Runtime};
use serde::{Deserialize, Serialize};

use crate::examples::Copy;

#[derive(Debug, PartialEq, Deserialize)]
struct Counts {
    lines: u32,
    words: u32,
    chars: u64,
    longest: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Edit {
    Reverse,
    Append(&'static str),
    Replace(&'static str, &'static str),
    Repeat(u8),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EditError {
    TooLong(u32),
    NothingToReplace,
}

/// A `result` of WIT, whose cases are written small.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome<T, E> {
    Ok(T),
    Err(E),
}

#[tokio::test]
async fn types_of_rust_go_in_and_come_out() {
    let copy = Copy::new();
    let builder = Runtime::builder().name("guests-rust").guest_threads(1).instances_max(100);
    let runtime = builder.registry(copy.root("rust")).start().await.unwrap();
    let counts: Counts = runtime.call("rust:count", ("a bb\ncc",)).await.unwrap();
    assert_eq!(counts, Counts { lines: 2, words: 3, chars: 7, longest: Some("bb".to_owned()) });
    let counts: Counts = runtime.call("rust:count", ("",)).await.unwrap();
    assert_eq!(counts, Counts { lines: 0, words: 0, chars: 0, longest: None });

    let edit =
        async |edits: Vec<Edit>| runtime.call::<Outcome<String, EditError>>("rust:edit", ("ab", edits)).await.unwrap();
    let edits = vec![Edit::Reverse, Edit::Append("c"), Edit::Replace("a", "x"), Edit::Repeat(2)];
    assert_eq!(edit(edits).await, Outcome::Ok("bxcbxc".to_owned()));
    assert_eq!(edit(vec![Edit::Replace("", "x")]).await, Outcome::Err(EditError::NothingToReplace));
    let grown = (0..3).map(|_| Edit::Repeat(255)).collect();
    assert_eq!(edit(grown).await, Outcome::Err(EditError::TooLong(1)));
    assert_eq!(edit(Vec::new()).await, Outcome::Ok("ab".to_owned()));

    let wrong = runtime.call::<Option<char>>("rust:initial", (7,)).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
    assert_eq!(runtime.call::<Option<char>>("rust:initial", ("été",)).await.unwrap(), Some('é'));
    let (hash, space): (u64, f64) = runtime.call("rust:measure", ("a b ",)).await.unwrap();
    assert_eq!(space.to_bits(), 0.5_f64.to_bits());
    assert_ne!(hash, runtime.call::<(u64, f64)>("rust:measure", ("a b",)).await.unwrap().0);
}
