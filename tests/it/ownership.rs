//! Claims with owners: who may act on a feature, what ends a claim, and what never does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autoforge_store::{
    AttemptOutcome, Caller, CheckFeatures, ClaimFeature, ClaimNext, ClaimRecord, ClaimedNext,
    ClearInProgress, Command, DeleteFeature, Error, EventKind, ExplainFeature, FeatureId,
    FeatureRefusal, FenceToken, GetAttempts, GetBudgets, GetClaims, GetLog, GetPolicy, GetReady,
    LeaseKeeper, MarkFailing, MarkInProgress, MarkPassing, Policy, ProcessIdentity, RecordFindings,
    RecoverClaims, Refusal, RenewClaims, RetryFeature, SetPolicy, SkipFeature, Store, dispose,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Child, FOREVER, Project, eventually, feature, ids, listen, number, say};

/// Longer than any test takes.
const LONG: Option<Duration> = Some(FOREVER);
/// So short that it is over before anybody can look.
const OVER: Option<Duration> = Some(Duration::ZERO);

fn caller(agent: &str) -> Arc<Caller> {
    Arc::new(Caller::new(agent, "session").in_process(ProcessIdentity::current()))
}

/// A caller whose process has ended long ago: its number is this process's, its start is not.
fn dead_caller(agent: &str) -> Arc<Caller> {
    let process = ProcessIdentity::current().map(|own| ProcessIdentity { started: 1, ..own });
    assert!(process.is_some(), "this system tells which process this is");
    Arc::new(Caller::new(agent, "session").in_process(process))
}

fn claim(store: &Store, id: i64, caller: &Arc<Caller>, lease: Option<Duration>) -> FenceToken {
    let claim = store.call(ClaimFeature { id: id.into() }.by(caller).owning(lease)).unwrap();
    assert!(!claim.already_claimed);
    claim.token.unwrap()
}

fn attempts(store: &Store, id: i64) -> Vec<ClaimRecord> {
    store.call(GetAttempts { feature: Some(id.into()), limit: 100 }).unwrap()
}

fn outcomes(store: &Store, id: i64) -> Vec<Option<AttemptOutcome>> {
    attempts(store, id).into_iter().map(|a| a.end.map(|end| end.outcome)).collect()
}

fn kinds(store: &Store, id: i64) -> Vec<EventKind> {
    let log = GetLog { feature: Some(id.into()), limit: 100, ..GetLog::default() };
    store.call(log).unwrap().into_iter().map(|event| event.kind).collect()
}

fn code<T>(result: Result<T, Error<FeatureRefusal>>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(error) => error.code(),
    }
}

/// Every command that is done under a claim, with its answer's code.
fn each_verdict(store: &Store, id: FeatureId, sign: Sign<'_>) -> Vec<&'static str> {
    vec![
        code(store.call(sign.on(MarkPassing { id }))),
        code(store.call(sign.on(MarkFailing { id }))),
        code(store.call(sign.on(SkipFeature { id }))),
        code(store.call(sign.on(ClearInProgress { id }))),
    ]
}

/// How a call is signed.
#[derive(Clone, Copy)]
struct Sign<'a> {
    by: Option<&'a Arc<Caller>>,
    under: Option<FenceToken>,
    overriding: bool,
}

impl Sign<'_> {
    fn on<C: Command>(self, command: C) -> autoforge_store::Signed<C> {
        // Every call has a reason, which changes nothing of what it may.
        let mut signed = command.because("a test");
        if let Some(caller) = self.by {
            signed = signed.by(caller);
        }
        if let Some(token) = self.under {
            signed = signed.under(token);
        }
        if self.overriding { signed.overriding() } else { signed }
    }
}

const NOBODY: Sign<'_> = Sign { by: None, under: None, overriding: false };

#[test]
fn the_claim_of_an_owner_is_acted_on_by_its_owner_and_under_its_token_alone() {
    let (_project, store) = Project::with_features(2);
    let (mine, other) = (caller("mine"), caller("other"));
    let token = claim(&store, 1, &mine, LONG);
    let id = FeatureId::from(1);
    let before = feature(&store, 1);

    let refused = |sign| each_verdict(&store, id, sign);
    let stale = FenceToken::from(token.get() + 1);
    assert_eq!(refused(NOBODY), ["held_by_other"; 4]);
    assert_eq!(refused(Sign { by: Some(&other), ..NOBODY }), ["held_by_other"; 4]);
    for by in [None, Some(&mine), Some(&other)] {
        assert_eq!(refused(Sign { by, under: Some(stale), overriding: true }), ["stale_token"; 4]);
    }
    let next = store.call(MarkInProgress { id }.by(&other).owning(LONG));
    assert_eq!(code(next), "held_by_other");
    assert_eq!(feature(&store, 1), before);

    let again = store.call(ClaimFeature { id }.by(&other).owning(LONG)).unwrap();
    assert!(again.already_claimed && again.token.is_none());
    assert_eq!(again.holder.unwrap().owner, Some((*mine).clone()));
    let again = store.call(ClaimFeature { id }.by(&mine).owning(LONG)).unwrap();
    assert_eq!((again.already_claimed, again.token), (true, Some(token)));

    store.call(MarkPassing { id }.under(token)).unwrap();
    assert!(feature(&store, 1).passes);
    assert_eq!(outcomes(&store, 1), [Some(AttemptOutcome::Passed)]);
    let late = store.call(MarkFailing { id }.under(token));
    assert_eq!(code(late), "stale_token", "the claim ended when the feature passed");
}

#[test]
fn a_claim_without_an_owner_is_everybodys_as_it_always_was() {
    let (_project, store) = Project::with_features(4);
    for (id, end) in [(1, "pass"), (2, "fail"), (3, "skip"), (4, "release")] {
        let id = FeatureId::from(id);
        let token = store.call(MarkInProgress { id }).unwrap().token;
        let other = FenceToken::from(token.get() + 7);
        assert_eq!(code(store.call(MarkPassing { id }.under(other))), "stale_token");
        let ended = match end {
            "pass" => code(store.call(MarkPassing { id })),
            "fail" => code(store.call(MarkFailing { id }.by(&caller("other")))),
            "skip" => code(store.call(SkipFeature { id }.under(token))),
            _ => code(store.call(ClearInProgress { id })),
        };
        assert_eq!(ended, "done", "{end}");
    }
    assert!(store.call(GetClaims).unwrap().is_empty());
    assert_eq!(store.call(GetReady { limit: 9 }).unwrap().total, 3, "no budget was used");
}

#[test]
fn overriding_ends_an_owners_claim_and_the_history_says_so() {
    let (_project, store) = Project::with_features(1);
    let (mine, other) = (caller("mine"), caller("other"));
    let token = claim(&store, 1, &mine, LONG);
    let id = FeatureId::from(1);
    let release = ClearInProgress { id }.by(&other).overriding().because("it looked stuck");
    store.call(release).unwrap();
    let log = store.call(GetLog { limit: 1, ..GetLog::default() }).unwrap();
    assert_eq!(log[0].kind, EventKind::Released);
    assert_eq!((log[0].claim, log[0].overrode), (Some(token), true));
    assert_eq!(log[0].agent.as_deref(), Some("other"));
    assert_eq!(log[0].reason.as_deref(), Some("it looked stuck"));
    assert_eq!(attempts(&store, 1)[0].end.as_ref().unwrap().outcome, AttemptOutcome::Released);
    assert_eq!(code(store.call(MarkPassing { id }.by(&mine).under(token))), "stale_token");
}

#[test]
fn a_deletion_against_the_owners_claim_is_told_as_one_that_overrode() {
    let (_project, store) = Project::with_features(1);
    let token = claim(&store, 1, &caller("mine"), LONG);
    let delete = DeleteFeature { id: 1.into(), force: true };
    store.call(delete.by(&caller("other")).overriding()).unwrap();
    let log = store.call(GetLog { limit: 1, ..GetLog::default() }).unwrap();
    assert_eq!(log[0].kind, EventKind::Deleted);
    assert_eq!((log[0].claim, log[0].overrode), (Some(token), true));
}

#[test]
fn of_old_attempts_no_more_are_kept_than_the_policy_says_and_a_few() {
    let (_project, store) = Project::with_features(1);
    let policy = Policy { ended_claims: 10, ..store.call(GetPolicy).unwrap() };
    store.call(SetPolicy(policy)).unwrap();
    let mine = caller("mine");
    for _ in 0..200 {
        let token = claim(&store, 1, &mine, LONG);
        store.call(ClearInProgress { id: 1.into() }.by(&mine).under(token)).unwrap();
        assert!(attempts(&store, 1).len() <= 10 + 64);
    }
    let mut kept: Vec<_> = attempts(&store, 1).iter().map(|attempt| attempt.token.get()).collect();
    kept.reverse();
    assert!(kept.len() >= 10 && kept.ends_with(&(191..=200).collect::<Vec<_>>()), "{kept:?}");
}

#[test]
fn a_lease_that_has_run_out_ends_the_claim_whether_or_not_anybody_wants_the_feature() {
    let (_project, store) = Project::with_features(1);
    let mine = caller("mine");
    let token = claim(&store, 1, &mine, OVER);
    let id = FeatureId::from(1);
    let sign = Sign { by: Some(&mine), under: Some(token), overriding: false };
    assert_eq!(each_verdict(&store, id, sign), ["stale_token"; 4]);
    assert_eq!(store.call(RenewClaims { tokens: vec![token] }).unwrap().lost, [token]);
    assert_eq!(store.call(GetReady { limit: 1 }).unwrap().features[0].id, id);
    let lapse = store.call(GetClaims).unwrap()[0].lapse;
    assert_eq!(lapse, Some(AttemptOutcome::Expired));

    let next = store.call(ClaimNext.by(&caller("other")).owning(LONG)).unwrap();
    let ClaimedNext::Feature(next) = next else { panic!("{next:?}") };
    assert!(next.token > token);
    assert_eq!(outcomes(&store, 1), [None, Some(AttemptOutcome::Expired)]);
    assert_eq!(
        kinds(&store, 1),
        [EventKind::Claimed, EventKind::Expired, EventKind::Claimed, EventKind::Created]
    );
}

#[test]
fn the_claim_of_a_dead_process_is_over_at_once() {
    let (_project, store) = Project::with_features(3);
    let dead = dead_caller("dead");
    let tokens: Vec<FenceToken> = (1..=3).map(|id| claim(&store, id, &dead, LONG)).collect();
    assert_eq!(store.call(GetReady { limit: 9 }).unwrap().total, 3);
    let mine = caller("mine");
    store.call(MarkInProgress { id: 1.into() }.by(&mine).owning(LONG)).unwrap();
    assert_eq!(outcomes(&store, 1), [None, Some(AttemptOutcome::Died)]);
    store.call(MarkPassing { id: 2.into() }).unwrap();
    assert_eq!(outcomes(&store, 2), [Some(AttemptOutcome::Died)]);
    assert_eq!(code(store.call(MarkPassing { id: 3.into() }.under(tokens[2]))), "stale_token");
}

#[test]
fn a_feature_that_has_failed_too_often_is_tried_again_only_after_a_reset() {
    let (_project, store) = Project::with_features(2);
    let mine = caller("mine");
    let (one, two) = (FeatureId::from(1), FeatureId::from(2));
    // One of each kind of failure.
    let token = claim(&store, 1, &mine, LONG);
    store.call(MarkFailing { id: one }.under(token).because("does not build")).unwrap();
    claim(&store, 1, &mine, OVER);
    claim(&store, 1, &dead_caller("dead"), LONG);
    let ready: Vec<_> = store.call(GetReady { limit: 9 }).unwrap().features;
    assert_eq!(ready.iter().map(|feature| feature.id).collect::<Vec<_>>(), [two]);
    let refusal = store.call(ClaimFeature { id: one }.by(&mine).owning(LONG)).unwrap_err();
    let Error::Refused(refusal) = refusal else { panic!("{refusal}") };
    assert_eq!(refusal, FeatureRefusal::OutOfAttempts { id: one, failures: 3, limit: 3 });
    assert_eq!(refusal.features(), [one]);

    store.call(MarkPassing { id: two }).unwrap();
    let next = store.call(ClaimNext).unwrap();
    assert!(matches!(next, ClaimedNext::NothingReady { exhausted: 1, .. }), "{next:?}");
    store.call(RetryFeature { id: one }).unwrap();
    assert_eq!(store.call(GetReady { limit: 9 }).unwrap().features[0].id, one);

    let token = claim(&store, 1, &mine, LONG);
    store.call(ClearInProgress { id: one }.under(token)).unwrap();
    let generous = Policy { attempts: Some(1), ..store.call(GetPolicy).unwrap() };
    store.call(SetPolicy(generous)).unwrap();
    assert_eq!(store.call(GetReady { limit: 9 }).unwrap().total, 1, "giving back is no failure");
}

#[test]
fn budgets_count_what_is_over_before_anybody_has_written_it_down() {
    let (project, store) = Project::with_features(2);
    let mine = caller("mine");
    store.call(SetPolicy(Policy { attempts: Some(2), ..Policy::default() })).unwrap();
    let budgets = || {
        let budgets = store.call(GetBudgets).unwrap().into_iter();
        budgets.map(|b| (b.feature.get(), b.failures, b.exhausted)).collect::<Vec<_>>()
    };
    assert_eq!(budgets(), []);
    let token = claim(&store, 1, &mine, LONG);
    store.call(MarkFailing { id: 1.into() }.under(token)).unwrap();
    assert_eq!(budgets(), [(1, 1, false)]);
    claim(&store, 1, &mine, OVER);
    let written = "SELECT failures FROM autoforge_budgets";
    assert_eq!((budgets(), number(&project.foreign(), written)), (vec![(1, 2, true)], 1));
    let explained = store.call(ExplainFeature { id: 1.into() }).unwrap();
    assert_eq!(explained.failures, 2);
    assert!(explained.hindrances[0].to_string().starts_with("it has failed 2 times of 2"));
    store.call(RecoverClaims).unwrap();
    assert_eq!((budgets(), number(&project.foreign(), written)), (vec![(1, 2, true)], 2));
}

#[test]
fn a_reset_forgets_a_claim_that_is_over_with_the_others() {
    let (_project, store) = Project::with_features(1);
    store.call(SetPolicy(Policy { attempts: Some(1), ..Policy::default() })).unwrap();
    claim(&store, 1, &caller("mine"), OVER);
    assert_eq!(store.call(GetReady { limit: 1 }).unwrap().total, 0);
    assert!(!store.call(RetryFeature { id: 1.into() }).unwrap().in_progress);
    assert_eq!(store.call(GetBudgets).unwrap(), []);
    assert_eq!(store.call(GetReady { limit: 1 }).unwrap().total, 1);
    let kinds = [EventKind::Retried, EventKind::Expired, EventKind::Claimed, EventKind::Created];
    assert_eq!(self::kinds(&store, 1), kinds);
    store.call(RetryFeature { id: 1.into() }).unwrap();
    assert_eq!(self::kinds(&store, 1), kinds, "there was nothing left to forget");
}

#[test]
fn what_programs_without_triggers_leave_behind_is_found() {
    let (project, store) = Project::with_features(5);
    let mine = caller("mine");
    let claims: Vec<FenceToken> = [1, 2].map(|id| claim(&store, id, &mine, LONG)).into();
    store.call(MarkInProgress { id: 5.into() }).unwrap();
    let records = || store.call(CheckFeatures).unwrap().records.unwrap();
    assert_eq!(records(), RecordFindings { unowned: ids(&[5]), ..RecordFindings::default() });

    let foreign = project.foreign();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    foreign.set_db_config(off, false).unwrap();
    foreign
        .execute_batch(
            "UPDATE features SET in_progress = 0 WHERE id = 1;
             DELETE FROM features WHERE id = 2;
             UPDATE features SET name = 'Other' WHERE id = 3;
             DELETE FROM autoforge_events WHERE id = 4",
        )
        .unwrap();
    let found = records();
    let tokens: Vec<FenceToken> = found.without_flag.iter().map(|claim| claim.token).collect();
    assert_eq!(tokens, claims);
    assert_eq!((found.missing_events, found.unseen_changes), (1, ids(&[1, 2, 3])));
    assert_eq!(found.unowned, ids(&[5]));
}

#[test]
fn a_keeper_renews_its_claims_and_knows_when_one_is_lost() {
    let (project, store) = Project::with_features(2);
    let lease = Duration::from_secs(2);
    let keeper = LeaseKeeper::start(&store, Caller::new("agent", "s"), lease).unwrap();
    for id in ids(&[1, 2]) {
        let claim = store.call(keeper.sign(ClaimFeature { id })).unwrap();
        keeper.keep(id, claim.token.unwrap());
    }
    let renewed = || {
        let claims = store.call(GetClaims).unwrap();
        claims.iter().map(|c| c.claim.lease.clone().unwrap().renewed.uptime).collect::<Vec<_>>()
    };
    let first = renewed();
    assert!(eventually(|| renewed() != first), "never renewed");
    assert!(keeper.tokens().len() == 2);
    let shown = format!("{keeper:?}");
    assert!(shown.contains("agent") && shown.contains("2s"), "{shown}");

    project.foreign().execute_batch("UPDATE features SET in_progress = 0 WHERE id = 1").unwrap();
    assert!(eventually(|| keeper.tokens().len() == 1), "the lost claim was never noticed");
    let (one, two) = (FeatureId::from(1), FeatureId::from(2));
    let late = store.call(keeper.under(one, MarkPassing { id: one }));
    assert_eq!(code(late), "stale_token", "the agent is told, though nobody holds the feature");
    store.call(keeper.under(two, MarkPassing { id: two })).unwrap();
}

#[test]
fn a_keeper_that_is_dropped_leaves_its_store_and_keeps_no_claim_that_it_was_told_to_forget() {
    let (project, store) = Project::with_features(1);
    let keeper = LeaseKeeper::start(&store, Caller::new("agent", "s"), FOREVER).unwrap();
    let id = FeatureId::from(1);
    let token = store.call(keeper.sign(ClaimFeature { id })).unwrap().token.unwrap();
    keeper.keep(id, token);
    assert_eq!((keeper.token_of(id), keeper.tokens()), (Some(token), vec![(id, token)]));
    keeper.forget(id);
    assert_eq!((keeper.token_of(id), keeper.tokens()), (None, vec![]));
    drop((keeper, store));
    assert!(dispose(project.database()).unwrap().is_none(), "its thread still has the store");
}

#[test]
fn a_keeper_goes_on_with_a_store_that_was_opened_again() {
    let (project, store) = Project::with_features(1);
    let lease = Duration::from_millis(1500);
    let keeper = LeaseKeeper::start(&store, Caller::new("agent", "s"), lease).unwrap();
    let id = FeatureId::from(1);
    store.close();
    let store = project.open();
    keeper.attach(&store);
    let claim = store.call(keeper.sign(ClaimFeature { id })).unwrap();
    keeper.keep(id, claim.token.unwrap());
    let renewed = || store.call(GetClaims).unwrap()[0].claim.lease.clone().unwrap().renewed;
    let first = renewed();
    assert!(eventually(|| renewed() != first), "never renewed");
    keeper.release_all("the end");
    assert!(!feature(&store, 1).in_progress);
    assert_eq!(attempts(&store, 1)[0].end.as_ref().unwrap().reason.as_deref(), Some("the end"));
}

/// In a child: claims the feature it is told under the lease it is told, and does verdicts.
pub(crate) fn hold_claims(folder: &Path) {
    let store = Store::open_project(folder).unwrap();
    let lease = Duration::from_millis(listen().unwrap().parse().unwrap());
    let keeper = LeaseKeeper::start(&store, Caller::new("child", "s"), lease).unwrap();
    while let Some(task) = listen() {
        let (verb, id) = task.split_once(' ').unwrap();
        let id = FeatureId::from(id.parse::<i64>().unwrap());
        say(match verb {
            "claim" => {
                let claim = store.call(keeper.sign(ClaimFeature { id })).unwrap();
                claim.token.map(|token| keeper.keep(id, token)).map_or("taken", |()| "claimed")
            }
            _ => code(store.call(keeper.under(id, MarkPassing { id }))),
        });
    }
}

fn holding(project: &Project, lease: Duration, features: &[i64]) -> Child {
    let mut child = Child::start("hold_claims", project.folder());
    child.tell(&lease.as_millis().to_string());
    for id in features {
        child.tell(&format!("claim {id}"));
        assert_eq!(child.hear(), "claimed");
    }
    child
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_killed_process_loses_its_claims_to_whoever_wants_them_and_a_living_one_keeps_them() {
    let (project, store) = Project::with_features(4);
    let mut killed = holding(&project, FOREVER, &[1, 2]);
    let living = holding(&project, FOREVER, &[3, 4]);
    let mine = caller("mine");
    let nothing = store.call(ClaimNext.by(&mine).owning(LONG)).unwrap();
    assert!(matches!(nothing, ClaimedNext::NothingReady { in_progress: 4, .. }), "{nothing:?}");
    killed.kill();
    // No waiting: the proof of its death is there as soon as it is dead.
    for _ in 0..2 {
        let next = store.call(ClaimNext.by(&mine).owning(LONG)).unwrap();
        let ClaimedNext::Feature(next) = next else { panic!("{next:?}") };
        assert!(next.feature.id.get() <= 2);
    }
    let nothing = store.call(ClaimNext.by(&mine).owning(LONG)).unwrap();
    assert!(matches!(nothing, ClaimedNext::NothingReady { in_progress: 4, .. }), "{nothing:?}");
    drop(living);
}

#[test]
fn a_stopped_process_keeps_its_claims_within_the_lease_and_is_refused_after_it() {
    let (project, store) = Project::with_features(2);
    let mine = caller("mine");
    let mut patient = holding(&project, FOREVER, &[1]);
    let mut hasty = holding(&project, Duration::from_secs(1), &[2]);
    signal(&patient, Signal::STOP);
    signal(&hasty, Signal::STOP);
    let taken = || store.call(MarkInProgress { id: 2.into() }.by(&mine).owning(LONG));
    assert!(eventually(|| taken().is_ok()), "the lease never ran out");
    let other = store.call(MarkInProgress { id: 1.into() }.by(&mine).owning(LONG));
    assert_eq!(code(other), "held_by_other");

    signal(&patient, Signal::CONT);
    signal(&hasty, Signal::CONT);
    patient.tell("pass 1");
    assert_eq!(patient.hear(), "done");
    hasty.tell("pass 2");
    assert_eq!(hasty.hear(), "stale_token");
    assert!(!feature(&store, 2).passes);
    assert_eq!(outcomes(&store, 2), [None, Some(AttemptOutcome::Expired)]);
}

#[test]
fn what_another_program_does_to_a_claimed_feature_ends_the_claim_truthfully() {
    let (project, store) = Project::with_features(6);
    let mine = caller("mine");
    let tokens: Vec<FenceToken> = (1..=5).map(|id| claim(&store, id, &mine, LONG)).collect();
    let foreign = project.foreign();
    for sql in [
        "UPDATE features SET passes = 1, in_progress = 0 WHERE id = 1",
        "UPDATE features SET in_progress = 0 WHERE id = 2",
        "UPDATE features SET priority = 99, in_progress = 0 WHERE id = 3",
        "UPDATE features SET needs_human_input = 1, in_progress = 0 WHERE id = 4",
        "DELETE FROM features WHERE id = 5",
        "UPDATE features SET in_progress = 1 WHERE id = 6",
    ] {
        foreign.execute_batch(sql).unwrap();
    }
    let outcomes: Vec<_> = (1..=6).map(|id| outcomes(&store, id)).collect();
    assert_eq!(
        outcomes,
        [
            [Some(AttemptOutcome::Passed)],
            [Some(AttemptOutcome::Released)],
            [Some(AttemptOutcome::Released)],
            [Some(AttemptOutcome::WaitingForHuman)],
            [Some(AttemptOutcome::Released)],
            [None]
        ]
    );
    let log = store.call(GetLog { limit: 6, ..GetLog::default() }).unwrap();
    let kinds: Vec<_> = log.iter().rev().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["passed", "released", "skipped", "asked", "deleted", "claimed"]);
    for (event, token) in log.iter().rev().zip(&tokens) {
        assert_eq!((event.claim, event.overrode), (Some(*token), true));
        assert_eq!((&event.agent, event.pid), (&None, None));
    }
    for (id, token) in ids(&[2, 3]).into_iter().zip(&tokens[1..]) {
        assert_eq!(code(store.call(MarkPassing { id }.by(&mine).under(*token))), "stale_token");
    }
    let standing = "SELECT count(*) FROM autoforge_claims WHERE outcome IS NULL";
    assert_eq!(number(&foreign, standing), 1, "that of the other program");
}

#[test]
fn a_program_that_ran_without_triggers_leaves_no_claim_behind() {
    let (project, store) = Project::with_features(1);
    let mine = caller("mine");
    let token = claim(&store, 1, &mine, LONG);
    let foreign = project.foreign();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    foreign.set_db_config(off, false).unwrap();
    foreign.execute_batch("UPDATE features SET in_progress = 0 WHERE id = 1").unwrap();
    let id = FeatureId::from(1);
    assert_eq!(code(store.call(MarkPassing { id }.under(token))), "stale_token");
    let next = store.call(MarkInProgress { id }.by(&mine).owning(LONG)).unwrap();
    assert!(next.token > token);
    assert_eq!(outcomes(&store, 1), [None, Some(AttemptOutcome::Released)]);
}
