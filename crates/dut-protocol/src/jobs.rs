//! Numbers and results of jobs.

use crate::{JobResult, JobState, Refusal};

/// Up to `N` jobs at a time. Keeps the result of a finished job until a new job needs its slot.
#[derive(Debug)]
pub struct JobTable<const N: usize> {
    slots: [Slot; N],
    last_number: u8,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Free,
    Running(u8),
    /// Number of the job, how many jobs have started since it ended, its result.
    Done(u8, u8, JobResult),
}

impl<const N: usize> Default for JobTable<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> JobTable<N> {
    /// Creates a table without jobs.
    pub const fn new() -> Self {
        Self { slots: [Slot::Free; N], last_number: 0 }
    }

    /// Takes a slot for a new job. Returns the index of the slot and the number of the job.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if every slot has a running job.
    pub fn start(&mut self) -> Result<(usize, u8), Refusal> {
        let index = (0..N).min_by_key(|index| preference(&self.slots[*index])).ok_or(Refusal::Busy)?;
        if matches!(self.slots[index], Slot::Running(_)) {
            return Err(Refusal::Busy);
        }
        self.slots[index] = Slot::Free;
        let number = self.free_number();
        for slot in &mut self.slots {
            if let Slot::Done(_, age, _) = slot {
                *age = age.saturating_add(1);
            }
        }
        self.last_number = number;
        self.slots[index] = Slot::Running(number);
        Ok((index, number))
    }

    /// Records that the job in this slot ended. Returns its number, or `None` if the slot had no running job.
    pub fn finish(&mut self, index: usize, result: JobResult) -> Option<u8> {
        let slot = self.slots.get_mut(index)?;
        let Slot::Running(number) = *slot else { return None };
        *slot = Slot::Done(number, 0, result);
        Some(number)
    }

    /// Returns the state of job `number`.
    pub fn state(&self, number: u8) -> JobState {
        self.slots
            .iter()
            .find_map(|slot| match slot {
                Slot::Running(other) if *other == number => Some(JobState::Running),
                Slot::Done(other, _, result) if *other == number => Some(JobState::Done(*result)),
                _ => None,
            })
            .unwrap_or(JobState::Unknown)
    }

    /// The next number after the last that no kept job has; never 0.
    fn free_number(&self) -> u8 {
        let mut number = self.last_number;
        loop {
            number = if number == u8::MAX { 1 } else { number + 1 };
            // The loop ends: there are 255 numbers and far fewer slots.
            if matches!(self.state(number), JobState::Unknown) {
                return number;
            }
        }
    }
}

/// Free slots first, then the oldest result, running jobs last.
fn preference(slot: &Slot) -> (u8, u8) {
    match slot {
        Slot::Free => (0, 0),
        Slot::Done(_, age, _) => (1, u8::MAX - age),
        Slot::Running(_) => (2, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobResult::Waited;

    #[test]
    fn a_third_job_waits_for_a_free_slot() {
        let mut jobs = JobTable::<2>::new();
        assert_eq!(jobs.start(), Ok((0, 1)));
        assert_eq!(jobs.start(), Ok((1, 2)));
        assert_eq!(jobs.start(), Err(Refusal::Busy));
        assert_eq!(jobs.state(1), JobState::Running);
        assert_eq!(jobs.state(3), JobState::Unknown);

        assert_eq!(jobs.finish(0, Waited { ms: 5 }), Some(1));
        assert_eq!(jobs.state(1), JobState::Done(Waited { ms: 5 }));
        assert_eq!(jobs.finish(0, Waited { ms: 6 }), None, "it ended before");
        assert_eq!(jobs.finish(9, Waited { ms: 6 }), None, "there is no such slot");
        assert_eq!(jobs.start(), Ok((0, 3)));
        assert_eq!(jobs.state(1), JobState::Unknown, "its place was taken");
    }

    #[test]
    fn a_new_job_replaces_the_oldest_result() {
        let mut jobs = JobTable::<2>::new();
        for expected in [(0, 1), (1, 2), (0, 3), (1, 4), (0, 5)] {
            assert_eq!(jobs.start(), Ok(expected));
            jobs.finish(expected.0, Waited { ms: 1 });
        }
        assert_eq!(jobs.state(4), JobState::Done(Waited { ms: 1 }));
    }

    #[test]
    fn numbers_wrap_around_zero_and_around_known_jobs() {
        let mut jobs = JobTable::<2>::new();
        assert_eq!(jobs.start(), Ok((0, 1)), "keeps running all the time");
        let numbers: std::vec::Vec<u8> = (0..300)
            .map(|_| {
                let (slot, number) = jobs.start().unwrap();
                jobs.finish(slot, Waited { ms: 1 });
                number
            })
            .collect();
        assert_eq!(numbers[..2], [2, 3]);
        assert_eq!(numbers[252..256], [254, 255, 2, 3]);
    }

    #[test]
    fn no_slots_is_always_busy() {
        assert_eq!(JobTable::<0>::new().start(), Err(Refusal::Busy));
    }
}
