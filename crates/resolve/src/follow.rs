//! Following aliases out of one zone into another, each target routed and checked anew.
