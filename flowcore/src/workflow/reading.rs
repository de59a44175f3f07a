//! Reading files that stand beside workflows as workflows are read: every problem at once, each with
//! its place, its code and what was probably meant.

pub use super::path::Path;
use super::place::place;
pub use super::reader::{Area, Fields, Problems};
use super::{Diagnostics, Source};
use crate::value::Value;

/// Reads a file with a function that gets the whole as a tree, and lists what is wrong with it.
///
/// There is no result when the text cannot be read as JSON or YAML. The diagnostics have places and
/// are in the order of the text; at most 1,000 that the function reports are listed.
pub fn read_file<T>(
    source: &Source,
    read: impl FnOnce(&Value, &mut Problems) -> T,
) -> (Option<T>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let result = source.read_tree(&mut diagnostics).map(|tree| {
        let mut problems = Problems::default();
        let result = read(&tree, &mut problems);
        diagnostics.extend(problems.finish().0);
        result
    });
    place(source, &mut diagnostics);
    (result, diagnostics)
}

/// The places of problems that were found later in a file that was read.
pub fn place_all(source: &Source, mut diagnostics: Diagnostics) -> Diagnostics {
    place(source, &mut diagnostics);
    diagnostics
}
