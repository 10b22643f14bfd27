//! The proof by count: whatever goes wrong meanwhile, every sample that a real Prometheus scrapes
//! is stored once, with a valid token. A test of its own process, because it stalls things.
//!
//! `FAULT_SEED` repeats the mix of a run; a failure names it.

use std::thread;
use std::time::Duration;

use e2e::faults::{
    CATALOG, FaultInjection, Place, RunOptions, TestBed, mixed, one_by_one, schedule, seed,
};
use e2e::screen::summary;
use e2e::{Look, Protocol, Release};

/// How long faults are mixed. `make soak` mixes them for longer.
const MIX: Duration = Duration::from_secs(45);

/// Each of these faults in turn, and samples flow again after it.
fn in_turn(options: RunOptions, wanted: fn(&FaultInjection) -> bool) -> Result<(), String> {
    let injections = CATALOG.iter().filter(|injection| wanted(injection));
    run(options, |test_bed| one_by_one(test_bed, injections))
}

/// The faults mixed.
fn at_random(options: RunOptions, seed: u64) -> Result<(), String> {
    let acts = schedule(seed, MIX, |_| true);
    run(options, |test_bed| mixed(test_bed, &acts, |_| Ok(())))
        .map_err(|reason| format!("{reason}\nFAULT_SEED={seed} repeats the schedule"))
}

fn run(
    options: RunOptions,
    play: impl FnOnce(&mut TestBed) -> Result<(), String>,
) -> Result<(), String> {
    let mut test_bed = TestBed::start(options)?;
    let title = test_bed.prometheus().title();
    let judged = play(&mut test_bed).and_then(|()| test_bed.judge());
    match judged.and_then(|look| check_protocol(options, &look).map(|()| look)) {
        Ok(look) => {
            let faults: u64 = test_bed.played().values().sum();
            println!("{title}: {faults} faults; {}", summary(&look));
            Ok(())
        }
        Err(reason) => Err(format!("{}{title}: {reason}", test_bed.tail())),
    }
}

/// Checks that the samples came by the run's version of remote write and of HTTP.
fn check_protocol(options: RunOptions, look: &Look) -> Result<(), String> {
    let target = &look.state.target;
    let (wanted, other) = match options.protocol {
        Protocol::One => (target.writes.v1, target.writes.v2),
        Protocol::Two => (target.writes.v2, target.writes.v1),
    };
    let version = if options.http2 {
        "HTTP/2.0"
    } else {
        "HTTP/1.1"
    };
    if wanted > 0 && other == 0 && target.versions.keys().eq([version]) {
        Ok(())
    } else {
        Err(format!("{:?} over {:?}", target.writes, target.versions))
    }
}

/// Runs several at the same time: each one waits for most of its time.
fn side_by_side<const N: usize>(runs: [&(dyn Fn() -> Result<(), String> + Sync); N]) {
    let failures: Vec<String> = thread::scope(|scope| {
        let running = runs.map(|run| scope.spawn(run));
        running
            .into_iter()
            .filter_map(|run| run.join().expect("no panic").err())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn prometheus_2_loses_no_sample_while_faults_come_one_by_one_and_mixed() {
    let seed = seed().expect("a seed");
    println!("FAULT_SEED={seed}");
    let options = |http2| RunOptions {
        release: Release::Packaged,
        protocol: Protocol::One,
        http2,
    };
    side_by_side([
        &|| {
            in_turn(options(true), |injection| {
                injection.place == Place::TokenEndpoint
            })
        },
        &|| {
            in_turn(options(true), |injection| {
                injection.place != Place::TokenEndpoint
            })
        },
        &|| at_random(options(false), seed),
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
    let options = |protocol, http2| RunOptions {
        release: Release::Three,
        protocol,
        http2,
    };
    side_by_side([&|| at_random(options(Protocol::One, false), seed), &|| {
        at_random(options(Protocol::Two, true), seed.wrapping_add(1))
    }]);
}
