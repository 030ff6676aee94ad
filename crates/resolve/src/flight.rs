//! Single flight: equal questions in flight share one exchange.
