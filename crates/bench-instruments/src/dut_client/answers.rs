//! Matches replies to requests, and keeps results that arrive unasked.

use dut_protocol::{BleRequest, FlashRequest, JobResult, Reply, Request};
use std::collections::VecDeque;

/// Whether `reply` is of the kind that `request` expects. A refusal is not.
pub fn answers(reply: &Reply, request: &Request) -> bool {
    match request {
        Request::Hello { .. } => matches!(reply, Reply::Hello { .. }),
        Request::Identify => matches!(reply, Reply::Identity(_)),
        Request::SetBaud { .. }
        | Request::ReleasePorts
        | Request::SetLinkTimeout { .. }
        | Request::UnwatchEdges
        | Request::FillRetained { .. }
        | Request::Restart
        | Request::LendTx { .. }
        | Request::SystemOff { .. }
        | Request::StartUsb { .. }
        | Request::StopUsb
        | Request::FlowControl(_)
        | Request::StartPwm(_)
        | Request::StopPwm
        | Request::LeadCrystal { .. }
        | Request::LeaveCrystal
        | Request::StarveWatchdog
        | Request::HoldPorts { .. }
        | Request::OpenModem(_)
        | Request::CloseModem
        | Request::WriteModem { .. }
        | Request::StartNfc { .. }
        | Request::StopNfc => *reply == Reply::Done,
        Request::TimeCrystal { .. } => matches!(reply, Reply::Crystal { .. }),
        Request::ReadNfc => matches!(reply, Reply::Nfc(_)),
        Request::ReadStatus => matches!(reply, Reply::Status(_)),
        Request::WatchEdges { .. } => matches!(reply, Reply::Channel { .. }),
        Request::TakeEdgeCounts => matches!(reply, Reply::EdgeCounts(_)),
        Request::CheckRetained { .. } => matches!(reply, Reply::Retained { .. }),
        Request::Flash(FlashRequest::Identify | FlashRequest::Read { .. }) => matches!(reply, Reply::Bytes(_)),
        Request::Flash(FlashRequest::EraseSector { .. } | FlashRequest::Write { .. }) => *reply == Reply::Done,
        Request::Flash(
            FlashRequest::Checksum { .. } | FlashRequest::KeepSector { .. } | FlashRequest::PutBackSector,
        ) => matches!(reply, Reply::Checksum { .. }),
        Request::ApplyVector(_) | Request::ReadPorts => matches!(reply, Reply::Levels(_)),
        Request::SampleAdc(_) => matches!(reply, Reply::Samples(_)),
        Request::SpiTransfer(_) | Request::SpiMaster(_) | Request::Echo { .. } => matches!(reply, Reply::Bytes(_)),
        Request::ReadModem => matches!(reply, Reply::Modem(_)),
        Request::I2cMaster(_) => matches!(reply, Reply::I2c(_)),
        Request::Ble(BleRequest::Report) => matches!(reply, Reply::Ble(_)),
        Request::Ble(_) => *reply == Reply::Done,
        Request::StartJob(_) => matches!(reply, Reply::JobAccepted { .. }),
        Request::PollJob { job } => matches!(reply, Reply::JobState { job: of, .. } if of == job),
    }
}

/// The firmware has far fewer jobs; more entries would never be read.
const KEPT: usize = 16;

/// Results of jobs that were not asked for yet.
#[derive(Debug, Default)]
pub struct JobResults {
    /// Number of requests sent so far.
    request: u64,
    /// Each with the request during or after which it arrived.
    results: VecDeque<(u64, u8, JobResult)>,
}

impl JobResults {
    pub fn new_request(&mut self) {
        self.request += 1;
    }

    pub fn put(&mut self, job: u8, result: JobResult) {
        if self.results.len() == KEPT {
            self.results.pop_front();
        }
        self.results.push_back((self.request, job, result));
    }

    /// A new job got this number: an existing result is that of an older job. The new one may already be done.
    pub fn accepted(&mut self, job: u8) {
        let current = self.request;
        self.results.retain(|(request, number, _)| *number != job || *request == current);
    }

    pub fn take(&mut self, job: u8) -> Option<JobResult> {
        let index = self.results.iter().position(|(_, number, _)| *number == job)?;
        self.results.remove(index).map(|(_, _, result)| result)
    }

    pub fn clear(&mut self) {
        self.results.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_used_again_does_not_get_the_old_result() {
        let mut results = JobResults::default();
        results.put(1, JobResult::Waited { ms: 1 });
        results.put(2, JobResult::Waited { ms: 2 });
        results.new_request();
        results.put(2, JobResult::Waited { ms: 3 });
        results.accepted(1);
        results.accepted(2);
        assert_eq!(results.take(1), None);
        assert_eq!(results.take(2), Some(JobResult::Waited { ms: 3 }));
        assert_eq!(results.take(2), None);
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut results = JobResults::default();
        (0..20).for_each(|job| results.put(job, JobResult::Waited { ms: 0 }));
        assert_eq!((results.take(3), results.results.len()), (None, KEPT));
    }
}
