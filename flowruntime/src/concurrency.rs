//! How many executions of a workflow with the same key run at the same time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::{CancelReason, ConcurrencyLimit, Digest, OnLimit, Plan, ProjectId, WorkflowId};
use tokio::sync::oneshot;

use crate::control::{Command, Control, Told};

/// The executions of a runtime whose workflows limit how many of them run.
#[derive(Default)]
pub(crate) struct Lanes(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    lanes: HashMap<LaneKey, Lane>,
    next_hold: u64,
    holds: BTreeSet<u64>,
    /// Lanes in which one could run but for a hold, by the hold before which all have to be over.
    held: BTreeMap<u64, HashSet<LaneKey>>,
}

/// Executions that were accepted before are on their way back to their places: until this is dropped,
/// the turn of those that take their places meanwhile does not come, for it could be another's. Those
/// that took theirs before do not wait for it, so nobody waits for ever.
pub(crate) struct Hold {
    lanes: Arc<Mutex<All>>,
    number: u64,
}

/// Executions that count together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct LaneKey {
    project: ProjectId,
    workflow: Name,
    key: Digest,
}

/// All versions of a workflow with an id count together, within their project. One without an id is only itself: its plan
/// is held by every execution, so its identity is not used again meanwhile.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Id(WorkflowId),
    Identity(usize),
}

/// Executions of one key, in the order of their starts: those that run, and those that wait.
#[derive(Default)]
struct Lane {
    members: VecDeque<Member>,
    next_ticket: u64,
}

struct Member {
    ticket: u64,
    /// It waits until all holds with a lower number are over.
    after: u64,
    /// How many may run, as the version of its workflow says.
    limit: u32,
    control: Arc<Control>,
    /// Tells it that its turn has come; `None` once it has.
    waits: Option<oneshot::Sender<()>>,
    /// Whether it was told to make room.
    is_told: bool,
}

/// The place of an execution: it counts until this is dropped.
pub(crate) struct Place {
    lanes: Arc<Mutex<All>>,
    key: LaneKey,
    ticket: u64,
    /// Ready when it may run; `None` once it may.
    turn: Option<oneshot::Receiver<()>>,
}

impl Lanes {
    /// Takes a place for an execution that starts now; `None` when it is not to be started. Its
    /// turn may be still to come, and another execution may have been told to make room.
    pub(crate) fn arrive(
        &self,
        project: &ProjectId,
        plan: &Plan,
        limit: &ConcurrencyLimit,
        control: &Arc<Control>,
    ) -> Option<Place> {
        let key = LaneKey::of(project, plan, limit);
        let mut all = lock(&self.0);
        let after = all.next_hold;
        let lane = all.lanes.entry(key.clone()).or_default();
        match limit.on_limit {
            OnLimit::Skip if lane.members.len() >= limit.limit as usize => return None,
            OnLimit::Queue | OnLimit::Skip => {}
            OnLimit::CancelOldest => lane.make_room(limit.limit, control),
        }
        let (ticket, turn) = lane.join(lane.members.len(), after, limit.limit, control);
        all.admit(&key);
        drop(all);
        Some(Place { lanes: self.0.clone(), key, ticket, turn: Some(turn) })
    }

    /// Lets nobody's turn come before executions that go on here have taken their places again.
    /// Loading takes a while, and those that were accepted later may be loaded sooner.
    pub(crate) fn hold(&self) -> Hold {
        let mut all = lock(&self.0);
        let number = all.next_hold;
        all.next_hold += 1;
        all.holds.insert(number);
        drop(all);
        Hold { lanes: self.0.clone(), number }
    }

    /// Takes a place again for an execution that was accepted before, and goes on in this process: it
    /// waits for its turn as if it had come when it was accepted, also if it had begun. Nobody makes
    /// room for it.
    pub(crate) fn rejoin(
        &self,
        project: &ProjectId,
        plan: &Plan,
        limit: &ConcurrencyLimit,
        control: &Arc<Control>,
    ) -> Place {
        let key = LaneKey::of(project, plan, limit);
        let mut all = lock(&self.0);
        let after = all.next_hold;
        let lane = all.lanes.entry(key.clone()).or_default();
        // Ids are in the order of the starts.
        let is_later = |member: &Member| member.control.execution_id > control.execution_id;
        let position = lane.members.iter().position(is_later).unwrap_or(lane.members.len());
        let (ticket, turn) = lane.join(position, after, limit.limit, control);
        all.admit(&key);
        drop(all);
        Place { lanes: self.0.clone(), key, ticket, turn: Some(turn) }
    }
}

impl All {
    /// Lets those of a lane run whose turn has come.
    fn admit(&mut self, key: &LaneKey) {
        let oldest_hold = self.holds.first().copied();
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(after) = lane.admit(oldest_hold) {
            self.held.entry(after).or_default().insert(key.clone());
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut all = lock(&self.lanes);
        all.holds.remove(&self.number);
        let go_on = match all.holds.first().copied() {
            // Nobody waited for this one alone.
            Some(oldest) if oldest < self.number => return,
            Some(oldest) => {
                let held = all.held.split_off(&(oldest + 1));
                std::mem::replace(&mut all.held, held)
            }
            None => std::mem::take(&mut all.held),
        };
        go_on.values().flatten().for_each(|key| all.admit(key));
    }
}

impl LaneKey {
    fn of(project: &ProjectId, plan: &Plan, limit: &ConcurrencyLimit) -> Self {
        let workflow = plan.workflow();
        let name = workflow.id.clone().map_or(Name::Identity(workflow.identity()), Name::Id);
        Self { project: project.clone(), workflow: name, key: Digest::of(&limit.key) }
    }
}

impl Lane {
    /// Takes one more in, before the one at this position.
    fn join(
        &mut self,
        position: usize,
        after: u64,
        limit: u32,
        control: &Arc<Control>,
    ) -> (u64, oneshot::Receiver<()>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (sender, turn) = oneshot::channel();
        let (control, waits) = (control.clone(), Some(sender));
        self.members
            .insert(position, Member { ticket, after, limit, control, waits, is_told: false });
        (ticket, turn)
    }

    /// Tells the oldest to stop until one more fits among those that go on. Those that wait count
    /// as well: they would be older than the new one when they run.
    fn make_room(&mut self, limit: u32, newer: &Control) {
        let limit = limit as usize;
        let going_on = self.members.iter().filter(|member| !member.is_told).count();
        let too_many = (going_on + 1).saturating_sub(limit);
        let oldest = self.members.iter_mut().filter(|member| !member.is_told).take(too_many);
        for member in oldest {
            member.is_told = true;
            let by = Some(Arc::from(newer.execution_id.to_string()));
            let told = Told::Cancel { reason: CancelReason::Superseded, by };
            // One that has ended has made room by itself.
            let _ = member.control.command(Command::Told(None, told));
        }
    }

    /// Lets those run whose turn has come. When one has to wait for holds that are not over, gives the
    /// number below which they are.
    fn admit(&mut self, oldest_hold: Option<u64>) -> Option<u64> {
        let running = self.members.iter().filter(|member| member.waits.is_none()).count();
        let waiting = self.members.iter_mut().filter(|member| member.waits.is_some());
        for (running, member) in (running..).zip(waiting) {
            if running >= member.limit as usize {
                return None;
            }
            if oldest_hold.is_some_and(|hold| hold < member.after) {
                return Some(member.after);
            }
            // One that was cancelled meanwhile does not listen; it gives its place back by itself.
            let _ = member.waits.take().map(|waits| waits.send(()));
        }
        None
    }
}

impl Place {
    /// Waits until the execution may run. Cancel safe.
    pub(crate) async fn turn(&mut self) {
        if let Some(turn) = &mut self.turn {
            // The other end is dropped only with this place.
            let _ = turn.await;
            self.turn = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = lock(&self.lanes);
        let Some(lane) = all.lanes.get_mut(&self.key) else { return };
        lane.members.retain(|member| member.ticket != self.ticket);
        if lane.members.is_empty() {
            all.lanes.remove(&self.key);
        } else {
            all.admit(&self.key);
        }
    }
}

fn lock(all: &Mutex<All>) -> MutexGuard<'_, All> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use flowcore::{ExecutionId, NodeRegistry, Object, Workflow};

    use super::*;
    use crate::FlowRuntime;

    /// Whether the turn of one has just come.
    fn has_come(place: &mut Place) -> bool {
        place.turn.as_mut().is_some_and(|turn| turn.try_recv().is_ok())
    }

    #[test]
    fn turns_wait_for_those_who_were_on_their_way_back_before_and_for_no_others() {
        let runtime = FlowRuntime::builder().registry(NodeRegistry::new()).build().unwrap();
        let workflow = r#"{"id": "w", "nodes": [{"id": "x", "node_type": "control.stop"}],
                           "settings": {"concurrency": {"limit": 1}}}"#;
        let plan = runtime.plan(&Workflow::from_json(workflow).unwrap()).unwrap();
        let limit = plan.concurrency(&Object::new()).unwrap().unwrap();
        let lanes = &runtime.shared.lanes;
        let back = |number: u128| {
            let id = ExecutionId::from_uuid(uuid::Uuid::from_u128(number));
            lanes.rejoin(
                &ProjectId::default(),
                &plan,
                &limit,
                &runtime.new_control(id, plan.clone()),
            )
        };
        let hold = lanes.hold();
        let mut third = back(3);
        let later = lanes.hold();
        let mut second = back(2);
        assert!(!has_come(&mut third) && !has_come(&mut second));
        // Others on their way since do not hold up those who have their places.
        drop(hold);
        assert!(!has_come(&mut third) && !has_come(&mut second));
        let mut first = back(1);
        drop(later);
        assert!(has_come(&mut first) && !has_come(&mut second) && !has_come(&mut third));
        let newer = lanes.hold();
        drop(first);
        assert!(has_come(&mut second));
        drop(second);
        assert!(has_come(&mut third));
        // Whoever comes now waits for those who are on their way.
        drop(third);
        let mut fourth = back(4);
        assert!(!has_come(&mut fourth));
        drop(newer);
        assert!(has_come(&mut fourth));
    }
}
