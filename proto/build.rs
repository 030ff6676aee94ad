//! Compiles the `.proto` files without protoc.

const FILES: [&str; 7] = [
    "coredns/dns/dns.proto",
    "strait/v1/dns.proto",
    "strait/v1/federation.proto",
    "strait/v1/admin.proto",
    "strait/v1/cache.proto",
    "strait/v1/ready.proto",
    "strait/v1/peering.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
