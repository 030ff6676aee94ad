//! Federation.
