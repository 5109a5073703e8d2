//! Files of sums.

use commons_domain::names::Sha256;
use commons_domain::sums::{parse, render};

/// A file of sums is read line by line: what is read is written as a file that is read the
/// same, and what is refused is refused for the line that is named.
pub fn sums(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let by_line: Vec<Result<Vec<(String, Sha256)>, String>> = text.lines().map(parse).collect();
    match parse(text) {
        Ok(mut files) => {
            let lines = by_line.into_iter().flat_map(|line| line.expect("a line"));
            assert!(lines.eq(files.iter().cloned()), "lines are read alone");
            assert!(files.iter().all(|(name, _)| !name.is_empty()));
            // The names are sorted, those that are the same stay in their order.
            files.sort_by(|(a, _), (b, _)| a.cmp(b));
            assert_eq!(parse(&render(&files)), Ok(files));
        }
        Err(why) => {
            let first = by_line.iter().position(Result::is_err);
            let line = first.expect("a line that is no sum") + 1;
            assert_eq!(why, format!("line {line} is no SHA-256 sum"));
        }
    }
}
