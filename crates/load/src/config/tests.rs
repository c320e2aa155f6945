//! What the command line accepts and what it refuses.

use super::*;

fn read(line: &str) -> Result<Command, String> {
    Command::from_arguments(line.split_whitespace().map(String::from))
}

fn echo(line: &str) -> Config {
    match read(line).unwrap() {
        Command::Echo(config) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_reach_their_fields() {
    let config = echo(
        "--address 127.0.0.1:80 --connections 3 --size 100 --in-flight 4 --seconds 0.5 \
         --warm-up 0 --server-pid 7 --core 1 --verify --tls c.pem",
    );
    assert_eq!(config.target, Target::Tcp(SocketAddr::from(([127, 0, 0, 1], 80))));
    assert_eq!((config.connections, config.size, config.in_flight), (3, 100, 4));
    assert_eq!(config.window, Duration::from_millis(500));
    assert!(config.warm_up.is_zero());
    assert_eq!((config.server_pid, config.core, config.verify), (Some(7), Some(1), true));
    assert_eq!(config.tls, Some("c.pem".into()));
    let config = echo("echo --unix /tmp/x --talk http --path /y");
    assert_eq!((config.target, config.talk), (Target::Unix("/tmp/x".into()), Talk::Http));
    assert_eq!(config.path, "/y");
}

#[test]
fn commands_are_told_apart() {
    assert!(matches!(read("connect --address 127.0.0.1:80 --exchange").unwrap(),
        Command::Connect(config) if config.exchange));
    assert!(matches!(read("idle --address 127.0.0.1:80").unwrap(), Command::Idle(_)));
    assert_eq!(read("certificate /tmp").unwrap(), Command::Certificate("/tmp".into()));
    let Command::Serve(service) = read("serve --what http --size 9 --core 1").unwrap() else {
        panic!("not a service")
    };
    assert_eq!((service.what, service.size, service.core), (What::Http, 9, Some(1)));
    assert_eq!((service.place, service.reset), (Place::Tcp, false));
    let Command::Serve(service) = read("serve --reset --core 1").unwrap() else {
        panic!("not a service")
    };
    assert_eq!((service.reset, service.core, service.read), (true, Some(1), 256 << 10));
    let Command::Serve(service) = read("serve --read 65536").unwrap() else {
        panic!("not a service")
    };
    assert_eq!(service.read, 65536);
}

#[test]
fn bad_options_are_refused_by_name() {
    for (line, word) in [
        ("--connections 3", "--address"),
        ("--address nowhere", "--address"),
        ("--address 127.0.0.1:80 --size 1", "--size"),
        ("--address 127.0.0.1:80 --size 9999999 --in-flight 9999999", "--in-flight"),
        ("--address 127.0.0.1:80 --in-flight 0", "--in-flight"),
        ("--address 127.0.0.1:80 --seconds 0", "--seconds"),
        ("--address 127.0.0.1:80 --seconds -1", "--seconds"),
        ("--address 127.0.0.1:80 --speed 3", "--speed"),
        ("--address 127.0.0.1:80 --core", "--core"),
        ("--address 127.0.0.1:80 --server-pid -4", "--server-pid"),
        ("--address 127.0.0.1:80 --talk loudly", "--talk"),
        ("--address 127.0.0.1:80 --talk http --in-flight 2", "--in-flight"),
        ("--unix /tmp/x --tls c.pem", "--tls"),
        ("--udp 127.0.0.1:80 --size 70000", "--size"),
        ("--udp 127.0.0.1:80 --talk http", "--talk"),
        ("--pipes /tmp", "--connections"),
        ("--udp 127.0.0.1:80 --address 127.0.0.1:80", "one place"),
        ("serve --uring --tls-key /tmp", "one place"),
        ("serve --what ever", "--what"),
        ("serve --udp-echo --what sink", "--what"),
        ("serve --udp-echo --reset", "--reset"),
        ("serve --read 0", "--read"),
        ("serve --uring --read 1", "--read"),
        ("sing", "sing"),
        ("certificate", "certificate"),
    ] {
        let problem = read(line).unwrap_err();
        assert!(problem.contains(word), "{line}: {problem}");
    }
}
