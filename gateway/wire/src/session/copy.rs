//! What is special while a client copies data in: a server reads over `Sync` then, and over the data's end where no copy
//! runs. It never looks into the data.
//!
//! Whether a `Sync` was read over is certain when the copy succeeds. When it fails, the server may not have come to read
//! it; then its answers tell, and until they do nothing is sent on that the server might read in two ways.

use super::{Expect, Heard, Session, own::NAME};
use crate::{
    WireError,
    answer::message,
    frame::{self, HEAD_BYTES},
};

impl<P: Clone, T> Session<P, T> {
    /// `CopyInResponse`: the `Sync` that were sent on blindly are read over, up to the data's end.
    pub(super) fn copy_begins(&mut self) -> Result<(), WireError> {
        let executes = match self.expects.front() {
            Some(Expect::Query { .. }) => false,
            Some(Expect::Execute { .. }) => true,
            _ => return Err(WireError::OutOfStep { tag: b'G' }),
        };
        let (mut syncs, mut data, mut ends) = (0_u32, false, false);
        while !ends {
            match self.expects.get(1) {
                Some(Expect::Sync) => (syncs, data) = (syncs.saturating_add(1), false),
                Some(Expect::CopyData) => data = true,
                Some(Expect::CopyEnd) => (data, ends) = (true, true),
                // Anything else ends the session: so the server says, and that is what the client reads.
                Some(_) => break,
                None => {
                    self.copy_in = true;
                    break;
                }
            }
            self.expects.remove(1);
        }
        if syncs > 0 {
            self.expects.insert(1, Expect::PassedOver { syncs, data });
        }
        // What was read over did not end the segment.
        if executes && !self.expects.iter().any(|expect| matches!(expect, Expect::Sync)) {
            self.segment = true;
        }
        Ok(())
    }

    /// Breaks off the copy that takes the client's data: what to send to the server next. Nothing where none runs, and in
    /// the middle of a message. The server answers with an error, and reads over the data that is still to come.
    pub fn break_copy(&mut self, why: &str) -> Option<Vec<u8>> {
        let breaks = self.copy_in && self.client_left.0 == 0;
        breaks.then(|| message(b'f', &[why.as_bytes(), b"\0"].concat()))
    }

    /// Data for a copy, or its end.
    pub(super) fn copy_data(&mut self, ends: bool) {
        if !self.copy_in {
            match self.expects.back() {
                _ if ends => self.expects.push_back(Expect::CopyEnd),
                // Where nothing is open, or data came just before, it changes nothing.
                None | Some(Expect::CopyData) => {}
                Some(_) => self.expects.push_back(Expect::CopyData),
            }
            return;
        }
        self.copy_in = !ends;
        self.flush_due |= ends && self.watching && self.segment;
        if let Some(Expect::PassedOver { data, .. }) = self.expects.back_mut() {
            *data = true;
        }
    }

    /// A `Sync` of the client while the server takes its data.
    pub(super) fn pass_over_sync(&mut self) {
        if let Some(Expect::PassedOver { syncs, data }) = self.expects.back_mut() {
            (*syncs, *data) = (syncs.saturating_add(1), false);
        } else {
            self.expects.push_back(Expect::PassedOver { syncs: 1, data: false });
        }
    }

    /// A statement completed: if it was a copy, what was read over stands now at this place of the open messages.
    pub(super) fn copy_ended(&mut self, place: usize) {
        if matches!(self.expects.get(place), Some(Expect::PassedOver { .. })) {
            self.expects.remove(place);
        }
    }

    /// A copy of the extended protocol failed: the server skips up to the first `Sync` that it has not read over.
    pub(super) fn copy_failed(&mut self, syncs: u32, data: bool, sqlstate: [u8; 5]) -> Result<(), WireError> {
        if !data {
            // It reads no `Sync` before it must, so that these are still to be read.
            self.expects.pop_front();
            (0..syncs).for_each(|_| self.expects.push_front(Expect::Sync));
            self.segment &= !self.expects.iter().all(|expect| matches!(expect, Expect::Sync));
            return Ok(());
        }
        match self.past_copies() {
            // What the gateway says itself could not be put in its place.
            Some(Expect::Sync) if !self.expects.iter().any(|open| matches!(open, Expect::Said { .. })) => {
                Ok(())
            }
            // Whether these run or are skipped is not known, nor whose the next answers are.
            Some(_) if sqlstate == PROTOCOL_VIOLATION => {
                self.expects.push_front(Expect::Farewell);
                Ok(())
            }
            Some(_) => Err(WireError::Unexpected {
                tag: b'E',
                place: "from a copy with other messages behind its end",
            }),
            None => {
                self.copy_doubt = true;
                Ok(())
            }
        }
    }

    /// The message must wait, since the server may skip it or not.
    pub(super) fn holds(&self, tag: u8) -> bool {
        (self.copy_doubt && !matches!(tag, b'd' | b'c' | b'f' | b'H' | b'S'))
            || self.lingers()
            || self.probes()
    }

    /// After a copy failed, and all is answered that surely is: what to send at once so that the server's answer tells
    /// whether there is more. Until it does, [`Session::client`] says `Hold`. The client does not hear of it.
    pub fn probe(&mut self) -> Option<Vec<u8>> {
        let probe = (self.client_left.0 == 0 && self.lingers())
            .then(|| [message(b'C', &[b"S", NAME, b"\0"].concat()), message(b'S', &[])].concat());
        if probe.is_some() {
            self.expects.push_back(Expect::Probe);
        }
        probe
    }

    pub(super) fn hear_probe(&mut self, rest: &[u8]) -> Result<Option<Heard>, WireError> {
        let Some(head) = frame::head(rest)? else { return Ok(Some(Heard::More)) };
        match (head.tag, rest.get(HEAD_BYTES)) {
            (b'3', _) => {}
            (b'Z', None) => return Ok(Some(Heard::More)),
            (b'Z', Some(&status)) => {
                self.expects.pop_front();
                self.now_at(status);
            }
            _ => return Ok(None),
        }
        Ok(Some(self.swallow(rest, head)))
    }

    /// Only a `Sync` is open that may have no answer.
    fn lingers(&self) -> bool {
        !self.copy_doubt
            && matches!(self.expects.front(), Some(Expect::PassedOver { .. }))
            && self.past_copies().is_none()
    }

    fn probes(&self) -> bool {
        matches!(self.past_copies(), Some(Expect::Probe))
    }

    /// Takes what gets no answer off the front, when an answer with this tag is there.
    pub(super) fn read_over(&mut self, tag: Option<u8>) {
        let answers = !matches!(tag, None | Some(b'S' | b'N' | b'A' | b'K' | b'v' | b'Z'));
        while match self.expects.front() {
            Some(Expect::CopyData | Expect::CopyEnd) => true,
            Some(Expect::PassedOver { .. }) => answers,
            _ => false,
        } {
            self.expects.pop_front();
        }
    }

    /// `ReadyForQuery` came for one of so many `Sync` that may have been read over.
    pub(super) fn pass_sync(&mut self, syncs: u32) {
        // Perhaps the next `Sync` was meant, and this one had been read over: then that gets no other answer.
        let next = self.expects.iter().position(|expect| !expect.is_copy());
        let next = next.filter(|place| matches!(self.expects.get(*place), Some(Expect::Sync)));
        if let Some(place) = next {
            self.expects.drain(..=place);
        }
        let left = syncs.saturating_sub(1) + u32::from(next.is_some());
        if left > 0 {
            self.expects.push_front(Expect::PassedOver { syncs: left, data: true });
        } else if self.past_copies().is_none() {
            self.expects.clear();
            self.segment = false;
        }
    }

    /// The first open message but the ends and `Sync` of copies.
    fn past_copies(&self) -> Option<&Expect<P, T>> {
        self.expects.iter().find(|expect| !matches!(expect, Expect::PassedOver { .. }) && !expect.is_copy())
    }
}

/// With this a server refuses what is no copy data, and ends the session.
const PROTOCOL_VIOLATION: [u8; 5] = *b"08P01";
