//! The configurations that charts make: the programs would start with them.

use std::process::Command;

use serde_json::Value;
use strait_tests::program::{binary, run};
use strait_tests::{Authority, Folder, Leaf, TlsIdentity};

use super::{containers, pod_specs, rendered, the};

#[test]
fn the_programs_take_what_the_charts_make() {
    for (name, objects) in rendered() {
        let data = the(&objects, "ConfigMap")["data"].as_object().unwrap();
        let (file, text) = data.iter().next().unwrap();
        let program = file.strip_suffix(".yaml").unwrap();
        let folder = Folder::new();
        let id = match program {
            "gateway" => "spiffe://cluster-a.example.com/gateway",
            _ => "spiffe://cluster-a.example.com/node-agent/node-1",
        };
        let authority = Authority::new("cluster-a.example.com");
        let TlsIdentity { certificate, key } = authority.issue(&Leaf::of(id));
        folder.write("identity/tls.crt", certificate);
        folder.write("identity/tls.key", key);
        folder.write("identity/ca.crt", authority.certificate());
        folder.write("etc/resolv.conf", "nameserver 192.0.2.53\n");
        // The container's folders as folders here.
        let mut text = text.as_str().unwrap().to_owned();
        for (there, here) in [
            ("/identity/", "identity/"),
            ("/run/strait/", "run/"),
            ("/var/lib/strait", "state"),
            ("/etc/resolv.conf", "etc/resolv.conf"),
            ("/host/upstreams/resolv.conf", "etc/resolv.conf"),
        ] {
            text = text.replace(there, &folder.path(here).display().to_string());
        }
        std::fs::create_dir_all(folder.path("run")).unwrap();
        std::fs::create_dir_all(folder.path("state")).unwrap();
        let config = folder.write(file, &text);
        let output = run(Command::new(binary(program))
            .env("STRAIT_NODE", "node-1")
            .arg("--check-config")
            .arg("--config")
            .arg(&config));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{name}: {said}\n{text}");
        // Nor is there a word of warning: a chart must not make what is probably not meant.
        assert_eq!(said.trim(), format!("{}: ok", config.display()), "{name}");
    }
}

/// Commands in manifests are commands of our programs: the words, and the options as well.
#[test]
fn the_programs_know_the_commands_of_the_manifests() {
    for (name, objects) in rendered() {
        for (_, pod) in pod_specs(&objects) {
            for container in containers(pod) {
                let mut commands = vec![[words(&container["command"]), words(&container["args"])].concat()];
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    commands
                        .extend(Some(words(&container[probe]["exec"]["command"])).filter(|words| !words.is_empty()));
                }
                for command in commands {
                    let (program, arguments) = command.split_first().unwrap();
                    let program = program.strip_prefix('/').expect("the image has its programs at the root");
                    // Everything is read before the help is given: an unknown word or option is an error.
                    let output = run(Command::new(binary(program)).args(arguments).arg("--help"));
                    assert!(
                        output.status.success(),
                        "{name}: {command:?}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                }
            }
        }
    }
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}
