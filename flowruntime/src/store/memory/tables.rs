//! What is kept, and the rules by which it changes. Stores on disk follow the same ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flowcore::{Digest, EVENT_FORMAT, ExecutionId, ProjectId, Timestamp};

use crate::store::message::MAX_WAITING;
use crate::store::row::KEY_LIFE;
use crate::store::{
    Append, Appended, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept, LogLine,
    Message, NewExecution, OwnerId, Pruned, Query, Retention, Segment, Sent, StartKey, StoreError,
    StoreMetrics,
};

/// How many executions one call of `prune` forgets at most.
const PRUNED_AT_ONCE: usize = 100;

#[derive(Default)]
pub(super) struct Tables {
    executions: BTreeMap<ExecutionId, Entry>,
    owners: BTreeSet<OwnerId>,
    keys: HashMap<(ProjectId, String), (Digest, ExecutionId)>,
    blobs: HashMap<Digest, Blob>,
    definitions: HashMap<Digest, Arc<Definition>>,
    appends: u64,
}

struct Entry {
    row: ExecutionRow,
    start: Vec<u8>,
    segments: Vec<Segment>,
    messages: Vec<Message>,
    logs: Vec<LogLine>,
    /// The values that it uses.
    blobs: BTreeSet<Digest>,
    key: Option<String>,
    /// When it may be claimed, while nobody executes it; `None` is not by time.
    due_at: Option<Timestamp>,
}

impl Tables {
    pub(super) fn create(&mut self, new: NewExecution) -> Result<Created, StoreError> {
        if let Some(StartKey { key, fingerprint }) = &new.key
            && let Some((known, id)) = self.keys.get(&(new.project.clone(), key.clone()))
            && let Some(earlier) = self.executions.get(id)
            && new.created_at.since(earlier.row.created_at) < KEY_LIFE
        {
            return if known == fingerprint {
                Ok(Created::Existing(*id))
            } else {
                Err(StoreError::KeyConflict { key: key.clone() })
            };
        }
        if self.executions.contains_key(&new.id) {
            return Ok(Created::Existing(new.id));
        }
        // Nobody would ever claim what belongs to one who is gone.
        let owner = new.owner.filter(|owner| self.lives(*owner));
        let fence = u64::from(owner.is_some());
        let row = ExecutionRow { owner, fence, ..ExecutionRow::accepted(&new) };
        self.definitions.entry(row.definition).or_insert(new.definition);
        let blobs = self.keep_blobs(new.blobs);
        if let Some(StartKey { key, fingerprint }) = &new.key {
            self.keys.insert((new.project, key.clone()), (*fingerprint, new.id));
        }
        let entry = Entry {
            row,
            start: new.start,
            segments: Vec::new(),
            messages: Vec::new(),
            logs: Vec::new(),
            blobs: blobs.collect(),
            key: new.key.map(|key| key.key),
            due_at: Some(new.created_at),
        };
        self.executions.insert(new.id, entry);
        Ok(Created::New)
    }

    fn keep_blobs(&mut self, blobs: Vec<Blob>) -> impl Iterator<Item = Digest> + use<> {
        let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        for blob in blobs {
            self.blobs.entry(blob.digest).or_insert(blob);
        }
        digests.into_iter()
    }

    pub(super) fn append(&mut self, append: Append) -> Appended {
        let Some(entry) = self.executions.get_mut(&append.execution) else {
            return Appended::Fenced;
        };
        if entry.row.fence != append.fence {
            return Appended::Fenced;
        }
        if entry.has(&append) {
            return Appended::Committed;
        }
        if entry.row.status.is_terminal() {
            return Appended::Fenced;
        }
        if entry.row.owner.is_none() {
            // Perhaps it was let go by an earlier call of the same.
            let is_repeated = append.progress.release && append.last_seq == entry.row.last_seq;
            return if is_repeated { Appended::Committed } else { Appended::Fenced };
        }
        let last_seq = entry.row.last_seq;
        if append.first_seq != last_seq + 1 {
            return Appended::OutOfOrder { last_seq };
        }
        self.appends += 1;
        entry.extend(&append);
        let (execution, blobs) = (append.execution, append.blobs);
        let digests = self.keep_blobs(blobs);
        if let Some(entry) = self.executions.get_mut(&execution) {
            entry.blobs.extend(digests);
        }
        Appended::Committed
    }

    pub(super) fn enter(&mut self, owner: OwnerId) {
        self.owners.insert(owner);
    }

    pub(super) fn lives(&self, owner: OwnerId) -> bool {
        self.owners.contains(&owner)
    }

    pub(super) fn leave(&mut self, owner: OwnerId) {
        self.owners.remove(&owner);
        for entry in self.executions.values_mut().filter(|entry| entry.row.owner == Some(owner)) {
            entry.row.owner = None;
            // Whoever had it may have left something under way.
            entry.due_at = Some(Timestamp::default());
        }
    }

    pub(super) fn kill_owners(&mut self) {
        std::mem::take(&mut self.owners).into_iter().for_each(|owner| self.leave(owner));
    }

    pub(super) fn claim(&mut self, owner: OwnerId, now: Timestamp, limit: usize) -> Claimed {
        if !self.lives(owner) {
            return Claimed::default();
        }
        let open = self.executions.values_mut().filter(|entry| entry.is_claimable());
        let mut due: Vec<&mut Entry> = open.filter(|entry| entry.due_at.is_some()).collect();
        due.sort_by_key(|entry| (entry.due_at, entry.row.id));
        let mut claimed = Claimed::default();
        for entry in due {
            if entry.due_at > Some(now) || claimed.executions.len() == limit {
                claimed.next_at = entry.due_at;
                break;
            }
            claimed.executions.push(entry.claim(owner));
        }
        claimed
    }

    pub(super) fn claim_one(&mut self, owner: OwnerId, id: ExecutionId) -> Option<Claim> {
        if !self.lives(owner) {
            return None;
        }
        let entry = self.executions.get_mut(&id).filter(|entry| entry.is_claimable())?;
        Some(entry.claim(owner))
    }

    pub(super) fn send(&mut self, id: ExecutionId, message: Message) -> Sent {
        let Some(entry) = self.executions.get_mut(&id) else { return Sent::NotFound };
        if entry.row.status.is_terminal() {
            return Sent::Finished;
        }
        if entry.messages.iter().any(|kept| kept.id == message.id) {
            return Sent::Kept;
        }
        if entry.messages.len() >= MAX_WAITING {
            return Sent::TooMany;
        }
        entry.messages.push(message);
        if entry.row.owner.is_none() {
            entry.due_at = Some(Timestamp::default());
        }
        Sent::Kept
    }

    pub(super) fn inbox(&self, owner: OwnerId) -> Vec<(ExecutionId, Message)> {
        let own = self.executions.values().filter(|entry| entry.row.owner == Some(owner));
        let messages = own.flat_map(|entry| {
            let id = entry.row.id;
            entry.messages.iter().map(move |message| (id, message.clone()))
        });
        let mut messages: Vec<_> = messages.collect();
        messages.sort_by_key(|(_, message)| (message.at, message.id));
        messages
    }

    pub(super) fn messages(&self, id: ExecutionId) -> Vec<Message> {
        let mut messages: Vec<Message> =
            self.executions.get(&id).map(|entry| entry.messages.clone()).unwrap_or_default();
        messages.sort_by_key(|message| (message.at, message.id));
        messages
    }

    pub(super) fn row(&self, id: ExecutionId) -> Option<ExecutionRow> {
        self.executions.get(&id).map(|entry| entry.row.clone())
    }

    pub(super) fn list(&self, query: &Query) -> Vec<ExecutionRow> {
        let mut rows: Vec<&ExecutionRow> = self
            .executions
            .values()
            .map(|entry| &entry.row)
            .filter(|row| fits(row, query))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.into_iter().take(query.limit).cloned().collect()
    }

    pub(super) fn load(&self, id: ExecutionId) -> Option<Kept> {
        let entry = self.executions.get(&id)?;
        let (row, start) = (entry.row.clone(), entry.start.clone());
        let (segments, last_line) = (entry.segments.clone(), entry.last_line());
        Some(Kept { row, start, segments, last_line })
    }

    pub(super) fn segments(&self, id: ExecutionId, after: u64, limit: usize) -> Vec<Segment> {
        let entry = self.executions.get(&id);
        let all = entry.into_iter().flat_map(|entry| &entry.segments);
        all.filter(|segment| segment.last_seq > after).take(limit).cloned().collect()
    }

    pub(super) fn blobs(&self, digests: &[Digest]) -> Vec<Blob> {
        digests.iter().filter_map(|digest| self.blobs.get(digest).cloned()).collect()
    }

    pub(super) fn definition(&self, digest: Digest) -> Option<Arc<Definition>> {
        self.definitions.get(&digest).cloned()
    }

    pub(super) fn logs(&self, id: ExecutionId, after: u64, limit: usize) -> Vec<LogLine> {
        let entry = self.executions.get(&id);
        let all = entry.into_iter().flat_map(|entry| &entry.logs);
        all.filter(|line| line.number > after).take(limit).cloned().collect()
    }

    pub(super) fn prune(&mut self, retention: &Retention, now: Timestamp) -> Pruned {
        let mut gone = self.to_forget(retention, now);
        gone.truncate(PRUNED_AT_ONCE);
        let pruned = self.size_of(&gone);
        gone.into_iter().for_each(|id| self.forget(id));
        pruned
    }

    pub(super) fn prunable(&self, retention: &Retention, now: Timestamp) -> Pruned {
        self.size_of(&self.to_forget(retention, now))
    }

    /// Those that need not be kept, the oldest first.
    fn to_forget(&self, retention: &Retention, now: Timestamp) -> Vec<ExecutionId> {
        let ended = self.executions.values().filter_map(|entry| {
            Some((std::cmp::Reverse((entry.row.ended_at?, entry.row.id)), entry.row.id))
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable();
        let is_old = |ended_at: Timestamp| {
            retention.max_age.is_some_and(|max_age| now.since(ended_at) > max_age)
        };
        let kept = retention.max_count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let gone = ended.into_iter().enumerate().filter(|(position, (at, _))| {
            is_old(at.0.0) || kept.is_some_and(|count| *position >= count)
        });
        let gone: Vec<ExecutionId> = gone.map(|(_, (_, id))| id).collect();
        gone.into_iter().rev().collect()
    }

    /// What only these have.
    fn size_of(&self, ids: &[ExecutionId]) -> Pruned {
        let ids: BTreeSet<&ExecutionId> = ids.iter().collect();
        let (gone, others): (Vec<_>, Vec<_>) =
            self.executions.iter().partition(|(id, _)| ids.contains(id));
        let used: BTreeSet<&Digest> = others.iter().flat_map(|(_, entry)| &entry.blobs).collect();
        let unused: BTreeSet<&Digest> = gone.iter().flat_map(|(_, entry)| &entry.blobs).collect();
        let unused = unused.difference(&used).filter_map(|digest| self.blobs.get(*digest));
        let mut pruned = Pruned { executions: gone.len() as u64, ..Pruned::default() };
        for (_, entry) in gone {
            let segments = entry.segments.iter().map(|segment| segment.bytes.len());
            let lines = entry.logs.iter().map(|line| line.text.len());
            pruned.bytes += (entry.start.len() + segments.chain(lines).sum::<usize>()) as u64;
        }
        for blob in unused {
            pruned.blobs += 1;
            pruned.bytes += blob.bytes.len() as u64;
        }
        pruned
    }

    fn forget(&mut self, id: ExecutionId) {
        let Some(entry) = self.executions.remove(&id) else { return };
        if let Some(key) = entry.key.map(|key| (entry.row.project.clone(), key))
            // A later start may have the key by now.
            && self.keys.get(&key).is_some_and(|(_, holder)| *holder == id)
        {
            self.keys.remove(&key);
        }
        let others: Vec<&Entry> = self.executions.values().collect();
        if !others.iter().any(|other| other.row.definition == entry.row.definition) {
            self.definitions.remove(&entry.row.definition);
        }
        let is_used = |digest| others.iter().any(|other| other.blobs.contains(digest));
        entry.blobs.iter().filter(|digest| !is_used(digest)).for_each(|digest| {
            self.blobs.remove(digest);
        });
    }

    pub(super) fn metrics(&self) -> StoreMetrics {
        let (commits, appends) = (self.appends, self.appends);
        StoreMetrics { connections: 1, in_use: 0, waiting: 0, commits, appends }
    }
}

impl Entry {
    fn is_claimable(&self) -> bool {
        self.row.owner.is_none()
            && !self.row.status.is_terminal()
            && self.row.format <= EVENT_FORMAT
    }

    fn claim(&mut self, owner: OwnerId) -> Claim {
        self.row.fence += 1;
        self.row.owner = Some(owner);
        Claim { execution: self.row.id, fence: self.row.fence }
    }

    /// Whether an append was made before.
    fn has(&self, append: &Append) -> bool {
        if !append.has_events() {
            return false;
        }
        self.segments.iter().any(|segment| {
            segment.first_seq == append.first_seq
                && segment.last_seq == append.last_seq
                && segment.bytes == append.segment
        })
    }

    fn last_line(&self) -> u64 {
        self.logs.last().map_or(0, |line| line.number)
    }

    fn extend(&mut self, append: &Append) {
        if append.has_events() {
            self.segments.push(Segment {
                first_seq: append.first_seq,
                last_seq: append.last_seq,
                bytes: append.segment.clone(),
            });
            self.row.last_seq = append.last_seq;
        }
        self.messages.retain(|message| !append.taken.contains(&message.id));
        let last = self.last_line();
        let lines = (append.first_line..).zip(&append.logs).filter(|(number, _)| *number > last);
        self.logs.extend(lines.map(|(number, line)| LogLine { number, ..line.clone() }));
        let progress = &append.progress;
        self.row.status = progress.status;
        self.row.started_at = self.row.started_at.or(progress.started_at);
        self.row.wake_at = progress.wake_at;
        if progress.status.is_terminal() {
            self.row.ended_at = Some(progress.at);
            self.row.error.clone_from(&progress.error);
            self.row.owner = None;
            self.messages.clear();
        } else if progress.release {
            self.row.owner = None;
            let is_told = !self.messages.is_empty();
            self.due_at = if is_told { Some(Timestamp::default()) } else { progress.wake_at };
        }
    }
}

fn fits(row: &ExecutionRow, query: &Query) -> bool {
    row.project == query.project
        && query.workflow_id.as_ref().is_none_or(|id| row.workflow_id == *id)
        && (query.statuses.is_empty() || query.statuses.contains(&row.status))
        && query.created_from.is_none_or(|from| row.created_at >= from)
        && query.created_before.is_none_or(|before| row.created_at < before)
        && query.ended_from.is_none_or(|from| row.ended_at.is_some_and(|at| at >= from))
        && query.after.is_none_or(|after| (row.created_at, row.id) < (after.created_at, after.id))
}
