//! Readiness: named conditions, all of which must hold.

/// The conditions. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness {}

/// One condition; not ready until told.
#[derive(Debug)]
pub struct Gate {}

impl Readiness {
    /// Adds a condition, not ready for now.
    pub fn gate(&self, name: &'static str) -> Gate {
        let _ = name;
        unimplemented!()
    }
}

impl Gate {
    /// The condition holds.
    pub fn ready(&self) {
        unimplemented!()
    }

    /// The condition does not hold, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        let _ = why.into();
        unimplemented!()
    }
}
