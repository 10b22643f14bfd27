//! What is aimed at, compared with what was measured. A goal that is missed is explained in the guide.

use serde::Serialize;

use crate::figures::Figures;
use crate::load::{GET_16, POST_20K};
use crate::results::LoadResult;
use crate::test_bed::Upstream;
use crate::variants::{ISTIO, LAUNCHER, NO_TARGET};

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) limit: f64,
    pub(crate) met: bool,
}

impl Goal {
    pub(crate) fn new(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            measured,
            limit,
            met: measured <= limit,
        }
    }
}

/// Those of which something was measured.
pub(crate) fn judge(loads: &[LoadResult], figures: &Figures, module_bytes: u64) -> Vec<Goal> {
    let mut goals = Vec::new();
    for result in loads {
        let native = |variant: &str| Some(result.variant(variant)?.to_injector.median);
        let bare = |variant: &str| Some(result.variant(variant)?.to_bare.median);
        let upstream = match result.upstream {
            Upstream::Plain => "plain",
            Upstream::Tls => "TLS",
        };
        let mut goal = |what: &str, measured: Option<f64>, limit| {
            let what = format!("{}, {upstream}: {what}", result.title);
            goals.extend(measured.map(|measured| Goal::new(what, measured, limit)));
        };
        if result.load == GET_16.name {
            goal("launcher ÷ native", native(LAUNCHER), 1.05);
            goal("Istio ÷ native", native(ISTIO), 1.12);
            if result.upstream == Upstream::Plain {
                goal("launcher ÷ bare", bare(LAUNCHER), 1.16);
                goal("no target (Istio) ÷ bare", bare(NO_TARGET), 1.10);
            }
        }
        if result.load == POST_20K.name {
            goal("launcher ÷ native", native(LAUNCHER), 1.05);
        }
    }
    goals.push(Goal::new("module in kB", module_bytes as f64 / 1e3, 200.0));
    goals.extend(figures.goals());
    goals
}
