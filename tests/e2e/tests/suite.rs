//! The proof by count: whatever goes wrong meanwhile, every sample that a real Prometheus scrapes
//! is stored once, with a valid token. A test of its own process, because it stalls things.
//!
//! `FAULT_SEED` repeats the mix of a run; a failure names it.

use std::thread;
use std::time::Duration;

use e2e::faults::{CATALOG, Place, Scene, Stage, Trouble, mixed, one_by_one, schedule, seed};
use e2e::screen::summary;
use e2e::{Look, Protocol, Release};

/// How long faults are mixed.
const MIX: Duration = Duration::from_secs(75);

/// Each of these faults in turn, and samples flow again after it.
fn in_turn(scene: Scene, wanted: fn(&Trouble) -> bool) -> Result<(), String> {
    let troubles = CATALOG.iter().filter(|trouble| wanted(trouble));
    run(scene, |stage| one_by_one(stage, troubles))
}

/// The faults mixed.
fn at_random(scene: Scene, seed: u64) -> Result<(), String> {
    let acts = schedule(seed, MIX, |_| true);
    run(scene, |stage| mixed(stage, &acts, |_| Ok(())))
        .map_err(|reason| format!("{reason}\nFAULT_SEED={seed} repeats the schedule"))
}

fn run(scene: Scene, play: impl FnOnce(&mut Stage) -> Result<(), String>) -> Result<(), String> {
    let mut stage = Stage::start(scene)?;
    let title = stage.prometheus().title();
    let judged = play(&mut stage).and_then(|()| stage.judge());
    match judged.and_then(|look| check_protocol(scene, &look).map(|()| look)) {
        Ok(look) => {
            let faults: u64 = stage.played().values().sum();
            println!("{title}: {faults} faults; {}", summary(&look));
            Ok(())
        }
        Err(reason) => Err(format!("{}{title}: {reason}", stage.tail())),
    }
}

/// The scene was what it says: remote write of this version over this HTTP.
fn check_protocol(scene: Scene, look: &Look) -> Result<(), String> {
    let target = &look.state.target;
    let (wanted, other) = match scene.protocol {
        Protocol::One => (target.writes.v1, target.writes.v2),
        Protocol::Two => (target.writes.v2, target.writes.v1),
    };
    let version = if scene.http2 { "HTTP/2.0" } else { "HTTP/1.1" };
    if wanted > 0 && other == 0 && target.versions.keys().eq([version]) {
        Ok(())
    } else {
        Err(format!("{:?} over {:?}", target.writes, target.versions))
    }
}

/// Runs scenes side by side: most of each is waiting.
fn side_by_side<const N: usize>(scenes: [&(dyn Fn() -> Result<(), String> + Sync); N]) {
    let failures: Vec<String> = thread::scope(|scope| {
        let running = scenes.map(|scene| scope.spawn(scene));
        running
            .into_iter()
            .filter_map(|scene| scene.join().expect("no panic").err())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn prometheus_2_loses_no_sample_while_faults_come_one_by_one_and_mixed() {
    let seed = seed().expect("a seed");
    println!("FAULT_SEED={seed}");
    let scene = |http2| Scene {
        release: Release::Packaged,
        protocol: Protocol::One,
        http2,
    };
    side_by_side([
        &|| in_turn(scene(true), |trouble| trouble.place == Place::TokenEndpoint),
        &|| in_turn(scene(true), |trouble| trouble.place != Place::TokenEndpoint),
        &|| at_random(scene(false), seed),
    ]);
}

#[test]
#[cfg_attr(
    not(feature = "prometheus3"),
    ignore = "needs Prometheus 3, which Go builds: `make test-all` runs it"
)]
fn prometheus_3_loses_no_sample_with_remote_write_1_and_2_while_faults_come_mixed() {
    let seed = seed().expect("a seed");
    println!("FAULT_SEED={seed}");
    let scene = |protocol, http2| Scene {
        release: Release::Three,
        protocol,
        http2,
    };
    side_by_side([&|| at_random(scene(Protocol::One, false), seed), &|| {
        at_random(scene(Protocol::Two, true), seed.wrapping_add(1))
    }]);
}
