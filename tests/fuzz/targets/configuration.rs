//! Configuration files: any text is a configuration or a list of errors that can be shown.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use strait_config::{GatewayConfig, NodeAgentConfig};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("fuzz.yaml");
    if let Err(errors) = NodeAgentConfig::parse(text, path) {
        assert!(!errors.to_string().is_empty());
    }
    if let Err(errors) = GatewayConfig::parse(text, path) {
        assert!(!errors.to_string().is_empty());
    }
});
