//! What is counted and timed on the data path, for Prometheus. Buckets, never summaries: replicas can be added up.

use crate::{Error, catalog::CatalogStand};
use clyra_policy::Decision;
use clyra_spec::{KillClass, KillLevel, KillScope, Verdict};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::{collections::HashMap, fmt, sync::Mutex, sync::PoisonError, time::Duration};

/// The instruments of pools.
#[derive(Clone)]
pub(crate) struct PoolMetrics {
    /// Connections to the server that are open; those not idle are in use.
    pub(crate) open: Gauge,
    pub(crate) idle: Gauge,
    /// Clients that wait for one.
    pub(crate) waiting: Gauge,
    /// Clients that keep theirs for what it holds of them.
    pub(crate) pinned: Gauge,
    waited_us: Histogram,
}

impl PoolMetrics {
    /// A client waited so long for a connection.
    pub(crate) fn waited(&self, time: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one wait stay far below 2^53")]
        self.waited_us.record(time.as_micros() as f64);
    }
}

impl fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMetrics").finish_non_exhaustive()
    }
}

/// The gateway's instruments.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    allowed: Counter,
    /// By rule id: a counter for each verdict, carried out or not, that it has given.
    by_rule: Mutex<HashMap<Box<str>, Vec<Spoken>>>,
    /// By rule id: what its cap has let through.
    cap_used: Mutex<HashMap<Box<str>, Counter>>,
    pub(crate) decision_us: Histogram,
    pub(crate) added_us: Histogram,
    pub(crate) upstream_us: Histogram,
    pub(crate) sessions: Gauge,
    pub(crate) logins_refused: Counter,
    pub(crate) logins_throttled: Counter,
    pub(crate) protocol_errors: Counter,
    outbox_depth: Gauge,
    recorder_lag_us: Gauge,
    recorder_connected: Gauge,
    shut: Gauge,
    /// Messages that ran, and that the kill switch wants stopped.
    pub(crate) kill_stopped: Counter,
    kill_level: Gauge,
    kill_epoch: Gauge,
}

type Spoken = (Verdict, bool, Counter);

/// What stands beside the data path when the page is rendered.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) outbox_depth: u64,
    pub(crate) recorder_lag_us: u64,
    pub(crate) recorder_connected: bool,
    pub(crate) shut: bool,
    pub(crate) kill: std::sync::Arc<crate::kill::KillSet>,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, Error> {
        let wrong = |err: metrics_exporter_prometheus::BuildError| Error::Metrics(err.to_string());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_microseconds".to_owned()), &BUCKETS_US)
            .map_err(wrong)?
            .build_recorder();
        describe(&recorder);
        Ok(Self {
            allowed: counter(&recorder, &[("rule", "none"), ("verdict", "allow"), ("enforced", "true")]),
            by_rule: Mutex::default(),
            cap_used: Mutex::default(),
            decision_us: histogram(&recorder, "clyra_decision_microseconds"),
            added_us: histogram(&recorder, "clyra_added_latency_microseconds"),
            upstream_us: histogram(&recorder, "clyra_upstream_microseconds"),
            sessions: gauge(&recorder, "clyra_sessions"),
            logins_refused: recorder.register_counter(&Key::from_name("clyra_logins_refused_total"), &META),
            logins_throttled: recorder
                .register_counter(&Key::from_name("clyra_logins_throttled_total"), &META),
            protocol_errors: recorder.register_counter(&Key::from_name("clyra_protocol_errors_total"), &META),
            outbox_depth: gauge(&recorder, "clyra_outbox_depth"),
            recorder_lag_us: gauge(&recorder, "clyra_recorder_lag_microseconds"),
            recorder_connected: gauge(&recorder, "clyra_recorder_connected"),
            shut: gauge(&recorder, "clyra_gate_shut"),
            kill_level: gauge(&recorder, "clyra_kill_level"),
            kill_epoch: gauge(&recorder, "clyra_kill_epoch"),
            kill_stopped: recorder.register_counter(&Key::from_name("clyra_kill_stopped_total"), &META),
            recorder,
        })
    }

    /// Counts a decision: once for each rule that spoke, or once as allowed.
    pub(crate) fn decided(&self, decision: &Decision) {
        if decision.rules.is_empty() {
            self.allowed.increment(1);
            return;
        }
        for rule in decision.rules.iter() {
            self.spoke(&rule.id, rule.verdict, rule.enforced);
        }
    }

    /// Counts what one rule said.
    pub(crate) fn spoke(&self, rule: &str, verdict: Verdict, enforced: bool) {
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_rule.contains_key(rule) {
            by_rule.insert(rule.into(), Vec::new());
        }
        let Some(spoken) = by_rule.get_mut(rule) else { return };
        let same = |said: &&Spoken| (said.0, said.1) == (verdict, enforced);
        if let Some((_, _, counter)) = spoken.iter().find(same) {
            counter.increment(1);
            return;
        }
        let labels = [
            ("rule", rule),
            ("verdict", verdict.as_str()),
            ("enforced", if enforced { "true" } else { "false" }),
        ];
        let counter = counter(&self.recorder, &labels);
        counter.increment(1);
        spoken.push((verdict, enforced, counter));
    }

    /// Counts what a rule's cap has let through, in its own units.
    pub(crate) fn cap_used(&self, rule: &str, units: u64) {
        let mut used = self.cap_used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.contains_key(rule) {
            let labels = vec![Label::new("rule", rule.to_owned())];
            let key = Key::from_parts("clyra_cap_used_total", labels);
            used.insert(rule.into(), self.recorder.register_counter(&key, &META));
        }
        if let Some(counter) = used.get(rule) {
            counter.increment(units);
        }
    }

    /// The instruments of pools; they are on the page from the first call.
    pub(crate) fn of_pools(&self) -> PoolMetrics {
        PoolMetrics {
            open: gauge(&self.recorder, "clyra_pool_open"),
            idle: gauge(&self.recorder, "clyra_pool_idle"),
            waiting: gauge(&self.recorder, "clyra_pool_waiting"),
            pinned: gauge(&self.recorder, "clyra_pool_pinned"),
            waited_us: histogram(&self.recorder, "clyra_pool_wait_microseconds"),
        }
    }

    /// Shows how the catalog of a database stands.
    pub(crate) fn catalog(&self, stand: &CatalogStand) {
        let gauge = |name: &'static str, value: f64| {
            let labels = vec![Label::new("database", stand.database.clone())];
            self.recorder.register_gauge(&Key::from_parts(name, labels), &META).set(value);
        };
        gauge("clyra_catalog_age_seconds", stand.age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of snapshots and failures stay far below 2^53"
        )]
        {
            gauge("clyra_catalog_snapshot", stand.number as f64);
            gauge("clyra_catalog_failures", stand.failures as f64);
            gauge("clyra_catalog_pending_changes", stand.pending as f64);
        }
    }

    /// Drains what the histograms have gathered; to be called every few seconds.
    pub(crate) fn upkeep(&self) {
        self.handle().run_upkeep();
    }

    /// The page in Prometheus' text format.
    pub(crate) fn render(&self, standing: &Standing) -> String {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a float, and depth and lag stay far below 2^53"
        )]
        {
            self.outbox_depth.set(standing.outbox_depth as f64);
            self.recorder_lag_us.set(standing.recorder_lag_us as f64);
        }
        self.recorder_connected.set(f64::from(u8::from(standing.recorder_connected)));
        self.shut.set(f64::from(u8::from(standing.shut)));
        self.render_kill(&standing.kill);
        self.handle().render()
    }

    /// One gauge for each kind of scope and level, also for those of which none stands.
    fn render_kill(&self, set: &crate::kill::KillSet) {
        let global = set.of(&crate::kill::Scope::default(), KillClass::All);
        self.kill_level.set(f64::from(global.map_or(0, |kill| kill.level.number())));
        #[expect(clippy::cast_precision_loss, reason = "turns are made by hand and stay far below 2^53")]
        self.kill_epoch.set(set.turn as f64);
        for scope in KillScope::ALL {
            for level in KillLevel::ALL.into_iter().skip(1) {
                let count = set.kills.iter().filter(|kill| kill.scope.kind == scope && kill.level == level);
                let labels = vec![Label::new("scope", scope.as_str()), Label::new("level", level.as_str())];
                let key = Key::from_parts("clyra_kill_active", labels);
                let gauge = self.recorder.register_gauge(&key, &META);
                gauge.set(f64::from(u32::try_from(count.count()).unwrap_or(u32::MAX)));
            }
        }
    }

    fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn counter(recorder: &PrometheusRecorder, labels: &[(&str, &str)]) -> Counter {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::new((*name).to_owned(), (*value).to_owned())).collect();
    recorder.register_counter(&Key::from_parts("clyra_decisions_total", labels), &META)
}

fn histogram(recorder: &PrometheusRecorder, name: &'static str) -> Histogram {
    recorder.register_histogram(&Key::from_name(name), &META)
}

fn gauge(recorder: &PrometheusRecorder, name: &'static str) -> Gauge {
    recorder.register_gauge(&Key::from_name(name), &META)
}

fn describe(recorder: &PrometheusRecorder) {
    recorder.describe_counter("clyra_decisions_total".into(), None, "Decisions by rule and verdict.".into());
    let histograms = [
        ("clyra_decision_microseconds", "Time to decide one message."),
        (
            "clyra_added_latency_microseconds",
            "Time from a client's bytes to sending them on, receipt included.",
        ),
        ("clyra_pool_wait_microseconds", "Time that clients waited for a connection of a pool."),
        ("clyra_upstream_microseconds", "Time from sending a message on to the end of the server's answer."),
    ];
    for (name, help) in histograms {
        recorder.describe_histogram(name.into(), None, help.into());
    }
    recorder.describe_counter(
        "clyra_cap_used_total".into(),
        None,
        "What a velocity rule has let through, in its own units.".into(),
    );
    recorder.describe_counter(
        "clyra_logins_refused_total".into(),
        None,
        "Connections refused before login.".into(),
    );
    recorder.describe_counter(
        "clyra_logins_throttled_total".into(),
        None,
        "Logins turned away since too many before them failed.".into(),
    );
    recorder.describe_counter(
        "clyra_kill_stopped_total".into(),
        None,
        "Messages that ran when the kill switch was turned, and that it had stopped.".into(),
    );
    recorder.describe_counter(
        "clyra_protocol_errors_total".into(),
        None,
        "Sessions ended by a broken protocol.".into(),
    );
    let gauges = [
        ("clyra_sessions", "Open client sessions."),
        ("clyra_pool_open", "Connections of pools to the server; those not idle are in use."),
        ("clyra_pool_idle", "Connections of pools that nobody uses now."),
        ("clyra_pool_waiting", "Clients that wait for a connection of a pool."),
        (
            "clyra_pool_pinned",
            "Clients that keep a connection beyond a transaction for what it holds of them.",
        ),
        ("clyra_catalog_age_seconds", "Time since the snapshot of a database was last seen to hold."),
        ("clyra_catalog_snapshot", "Number of the snapshot of a database; another one after each change."),
        ("clyra_catalog_failures", "Looks at a database that failed."),
        ("clyra_catalog_pending_changes", "Changes of a database that its snapshot does not hold yet."),
        ("clyra_outbox_depth", "Entries not yet acknowledged by the recorder."),
        ("clyra_recorder_lag_microseconds", "Age of the oldest entry not yet acknowledged."),
        ("clyra_recorder_connected", "1 while the stream to the recorder stands."),
        ("clyra_gate_shut", "1 while receipts cannot be kept and statements are refused."),
        (
            "clyra_kill_level",
            "Level of the kill switch for everybody: 0 observe, 1 block writes, 2 block statements, 3 cancel running, \
             4 disconnect.",
        ),
        ("clyra_kill_epoch", "Number of the last turn of the kill switch."),
        ("clyra_kill_active", "Kills that stand, by the kind of their scope and their level."),
    ];
    for (name, help) in gauges {
        recorder.describe_gauge(name.into(), None, help.into());
    }
}

const META: Metadata<'static> = Metadata::new("clyra", Level::INFO, None);

/// From a memoised decision to a statement that waits.
const BUCKETS_US: [f64; 19] = [
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    200.0,
    500.0,
    1_000.0,
    2_000.0,
    5_000.0,
    10_000.0,
    15_000.0,
    50_000.0,
    100_000.0,
    500_000.0,
    2_000_000.0,
    10_000_000.0,
];
