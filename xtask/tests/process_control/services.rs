//! `make services`: the end of the command is the end of the servers.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, geteuid};

use super::checkout::{Checkout, Running, eventually, exists, noted_processes};

/// A command that touches a file and then runs until it is stopped.
const WAIT: &[&str] = &[
    "services",
    "--",
    "sh",
    "-c",
    "touch started; exec sleep 1000",
];

/// Starts it and waits until its servers and its command run.
fn start(checkout: &Checkout) -> Running {
    let running = Running(
        checkout
            .command(WAIT)
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let started = checkout.path().join("started");
    eventually("the command starts", || fs::remove_file(&started).ok());
    running
}

/// Postgres, Redis and the command, which may run before its process is noted.
fn three_processes(data: &Path) -> Vec<Pid> {
    eventually("three processes are noted", || {
        let processes = noted_processes(data);
        (processes.len() == 3).then_some(processes)
    })
}

#[test]
fn interrupt_stops_everything() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let checkout = Checkout::new("interrupt");
        let mut running = start(&checkout);
        let processes = three_processes(&checkout.test_data()[0]);
        running.signal(signal);
        running.signal(signal); // does not cut the stopping short
        assert_eq!(running.0.wait().unwrap().code(), Some(code));
        assert!(!processes.into_iter().any(exists));
        assert!(checkout.test_data().is_empty());
    }
}

#[test]
fn killed_owner_leaves_nothing_after_next_start() {
    let checkout = Checkout::new("killed");
    let mut running = start(&checkout);
    let alive = start(&checkout);
    let data = checkout.test_data();
    assert_eq!(data.len(), 2);
    let is_of_killed = |folder: &&std::path::PathBuf| {
        fs::read_to_string(folder.join("owner")).unwrap() == running.0.id().to_string()
    };
    let stale = data.iter().find(is_of_killed).unwrap().clone();
    let kept = data
        .iter()
        .find(|folder| **folder != stale)
        .unwrap()
        .clone();
    let processes = three_processes(&stale);
    running.signal(Signal::KILL);
    running.0.wait().unwrap();
    assert!(
        processes.iter().copied().all(exists),
        "the servers outlive their owner"
    );

    let next = checkout
        .command(&["services", "--", "true"])
        .status()
        .unwrap();
    assert!(next.success());
    // Their parent has ended, so the system waits for them in its own time.
    eventually("the servers of the killed owner are gone", || {
        (!processes.iter().copied().any(exists)).then_some(())
    });
    assert_eq!(checkout.test_data().as_slice(), std::slice::from_ref(&kept));
    assert!(noted_processes(&kept).into_iter().all(exists));
    drop(alive);
    assert!(checkout.test_data().is_empty());
}

#[test]
fn exit_code_of_command_is_passed_on() {
    let checkout = Checkout::new("exit-code");
    // A background process of the command does not outlive it.
    let script = "sleep 1000 & echo $! >../background; exit 7";
    let script = script.replace("../", &format!("{}/", checkout.path().display()));
    let ended = checkout
        .command(&["services", "--", "sh", "-c", &script])
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(7));
    let background = fs::read_to_string(checkout.path().join("background")).unwrap();
    let background = Pid::from_raw(background.trim().parse().unwrap()).unwrap();
    // Its parent has ended, so the system waits for it in its own time.
    eventually("the background process is gone", || {
        (!exists(background)).then_some(())
    });
}

#[test]
fn ordinary_user_needs_no_rights() {
    if !geteuid().is_root() {
        return; // all other tests have shown it
    }
    const NOBODY: u32 = 65534;
    let checkout = Checkout::owned_by("ordinary", NOBODY);
    let script = "test $(id -u) = 65534 && test -O .data/test-*/postgres && kill -0 $(cut -d ' ' -f 1 .data/test-*/redis.pid)";
    let ended = checkout
        .command(&["services", "--", "sh", "-c", script])
        .output()
        .unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(checkout.test_data().is_empty());
}
