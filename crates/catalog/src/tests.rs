//! The catalog as its zones tell it.

mod changes;
mod reverse;
mod specification;
mod sync;
