//! The client against a firmware in memory, over a bad line.

use super::fake_firmware::{FakeLink, Firmware, Mishap};
use super::*;
use crate::ManualClock;
use dut_protocol::{Job, PortSet};
use futures_util::future::join;
use proptest::prelude::*;

const FAST: u32 = 1_000_000;
const READ: Request = Request::ReadPorts;
const fn wait(ms: u16) -> Request {
    Request::StartJob(Job::Wait { ms })
}

struct Bench {
    clock: ManualClock,
    firmware: Rc<RefCell<Firmware>>,
    client: DutClient<FakeLink>,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new();
        let firmware = Firmware::new(&clock);
        let client = DutClient::new(Firmware::link(&firmware, &clock), Rc::new(clock.clone()));
        Self { clock, firmware, client }
    }

    fn connected() -> Self {
        let bench = Self::new();
        assert_eq!(bench.clock.run(bench.client.connect(FAST)), Ok(FAST));
        bench
    }

    fn request(&self, request: Request) -> Result<Reply, DutError> {
        self.clock.run(self.client.request(request))
    }

    fn after(&self, ms: u64) -> BenchTime {
        self.clock.now() + Duration::from_millis(ms)
    }
}

#[test]
fn connects_at_the_higher_rate() {
    let bench = Bench::connected();
    assert_eq!(bench.request(READ), Ok(Reply::Levels(PortSet::EMPTY)));
    assert_eq!(bench.client.statistics(), LinkStatistics { sent: 5, received: 5, ..LinkStatistics::default() });
    assert!(bench.clock.now() < BenchTime(10_000), "nothing was lost, so nothing was waited for");
}

#[test]
fn waits_for_a_module_that_still_starts() {
    let bench = Bench::new();
    bench.firmware.borrow_mut().boots_until = bench.after(800);
    assert_eq!(bench.clock.run(bench.client.connect(FAST)), Ok(FAST));
}

#[test]
fn a_dead_module_is_silent_in_the_end() {
    let bench = Bench::new();
    bench.firmware.borrow_mut().boots_until = BenchTime(u64::MAX);
    let outcome = bench.clock.run(bench.client.connect(FAST));
    assert_eq!(outcome, Err(DutError::Silent { attempts: HELLO_ATTEMPTS, garbled: 0 }));
    assert!((1_000_000..2_000_000).contains(&bench.clock.now().as_micros()), "took {}", bench.clock.now());
}

#[test]
fn a_rate_that_does_not_work_is_given_up() {
    let bench = Bench::new();
    bench.firmware.borrow_mut().dead_rates = vec![FAST];
    assert_eq!(bench.clock.run(bench.client.connect(FAST)), Ok(INITIAL_BAUD));
    assert_eq!(bench.request(READ), Ok(Reply::Levels(PortSet::EMPTY)));
}

#[test]
fn the_rate_is_found_when_every_answer_at_the_new_one_is_lost_at_first() {
    let bench = Bench::new();
    let mut mishaps = vec![Mishap::None, Mishap::None]; // Hello, SetBaud
    mishaps.extend([Mishap::Lose; TRIAL_ATTEMPTS as usize]);
    bench.firmware.borrow_mut().to_bench = mishaps.into();
    assert_eq!(bench.clock.run(bench.client.connect(FAST)), Ok(FAST));
    assert_eq!(bench.request(READ), Ok(Reply::Levels(PortSet::EMPTY)));
}

#[test]
fn another_protocol_is_reported_with_both_versions() {
    let bench = Bench::new();
    bench.firmware.borrow_mut().version = 77;
    let error = bench.clock.run(bench.client.connect(FAST)).unwrap_err();
    assert_eq!(error, DutError::OtherProtocol { version: 77, schema: schema_hash() });
    assert!(error.to_string().contains("protocol 77 (schema ") && error.to_string().contains("flash"), "{error}");
}

#[test]
fn the_bench_does_not_connect_to_itself() {
    let bench = Bench::new();
    bench.firmware.borrow_mut().loopback = true;
    for baud in [INITIAL_BAUD, FAST] {
        assert!(matches!(bench.clock.run(bench.client.connect(baud)), Err(DutError::Silent { .. })));
    }
    assert_eq!(bench.clock.run(bench.client.echo(b"\x00U\xFF", None)), Ok(b"\x00U\xFF".to_vec()));
}

#[test]
fn an_echo_without_loopback_is_empty() {
    let bench = Bench::connected();
    assert_eq!(bench.clock.run(bench.client.echo(b"UUU", None)), Ok(Vec::new()));
    assert_eq!(bench.request(READ), Ok(Reply::Levels(PortSet::EMPTY)), "the rest of it disturbs no request");
}

#[test]
fn a_lost_answer_does_not_start_a_job_twice() {
    let bench = Bench::connected();
    bench.firmware.borrow_mut().to_bench = [Mishap::None, Mishap::Lose, Mishap::Lose].into(); // JobDone, then answers
    assert_eq!(bench.request(wait(5)), Ok(Reply::JobAccepted { job: 1 }));
    assert_eq!(bench.firmware.borrow().executed.len(), 1);
    // It was done long before its acceptance was received.
    assert_eq!(bench.clock.run(bench.client.job_done(1, bench.after(1))), Ok(JobResult::Waited { ms: 5 }));
    assert_eq!(bench.client.statistics().repeated, 2);
}

#[test]
fn a_restart_between_the_copies_leaves_it_unknown() {
    let bench = Bench::connected();
    bench.firmware.borrow_mut().to_bench = [Mishap::None, Mishap::Lose].into();
    bench.firmware.borrow_mut().to_dut = [Mishap::None, Mishap::Restart].into();
    // The restarted module listens at the initial rate, so the copies are noise to it: use that rate from the
    // beginning.
    let slow = Bench::new();
    assert_eq!(slow.clock.run(slow.client.connect(INITIAL_BAUD)), Ok(INITIAL_BAUD));
    slow.firmware.borrow_mut().to_bench = [Mishap::None, Mishap::Lose].into();
    slow.firmware.borrow_mut().to_dut = [Mishap::None, Mishap::Restart].into();
    assert_eq!(slow.request(wait(5)), Err(DutError::Unknown));
    assert_eq!(slow.firmware.borrow().executed.len(), 1);
    assert_eq!(slow.request(READ), Err(DutError::Refused(Refusal::HelloFirst)));

    assert!(matches!(bench.request(wait(5)), Err(DutError::Silent { .. })));
    assert_eq!(bench.firmware.borrow().executed.len(), 1);
    bench.clock.run(bench.client.disconnect());
    assert_eq!(bench.clock.run(bench.client.connect(FAST)), Ok(FAST));
}

#[test]
fn no_copy_is_sent_after_the_firmware_has_forgotten_the_first() {
    let bench = Bench::connected();
    assert_eq!(bench.request(Request::SetLinkTimeout { timeout_ms: 100 }), Ok(Reply::Done));
    bench.firmware.borrow_mut().to_bench = [Mishap::None, Mishap::Lose, Mishap::Lose, Mishap::Lose].into();
    assert_eq!(bench.request(wait(5)), Err(DutError::Unknown));
    assert_eq!(bench.firmware.borrow().executed.len(), 1);
}

#[test]
fn a_job_reports_by_itself_and_the_link_stays_alive() {
    let bench = Bench::connected();
    assert_eq!(bench.request(wait(3_010)), Ok(Reply::JobAccepted { job: 1 }));
    let began = bench.clock.now();
    assert_eq!(bench.clock.run(bench.client.job_done(1, bench.after(5_000))), Ok(JobResult::Waited { ms: 3_010 }));
    assert_eq!(bench.clock.now() - began, Duration::from_millis(3_010), "reported at once, not at the next poll");
    let firmware = bench.firmware.borrow();
    let silence = firmware.heard.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(silence < DEFAULT_LINK_TIMEOUT / 2, "the firmware would have released its ports: {silence:?}");
}

#[test]
fn a_lost_job_message_is_asked_for() {
    let bench = Bench::connected();
    bench.firmware.borrow_mut().to_bench = [Mishap::Lose].into();
    assert_eq!(bench.request(wait(300)), Ok(Reply::JobAccepted { job: 1 }));
    assert_eq!(bench.clock.run(bench.client.job_done(1, bench.after(5_000))), Ok(JobResult::Waited { ms: 300 }));
}

#[test]
fn late_jobs_are_distinguished_from_lost_ones() {
    let bench = Bench::connected();
    assert_eq!(bench.request(wait(3_000)), Ok(Reply::JobAccepted { job: 1 }));
    assert_eq!(bench.clock.run(bench.client.job_done(1, bench.after(500))), Err(DutError::JobLate(1)));
    assert_eq!(bench.clock.run(bench.client.job_done(9, bench.after(500))), Err(DutError::JobLost(9)));
}

#[test]
fn requests_and_two_listeners_share_the_link() {
    let bench = Bench::connected();
    for (job, ms) in [(1, 700), (2, 400)] {
        assert_eq!(bench.request(wait(ms)), Ok(Reply::JobAccepted { job }));
    }
    let deadline = bench.after(5_000);
    let requests = async {
        for _ in 0..50 {
            let began = bench.clock.now();
            assert!(bench.client.request(READ).await.is_ok());
            assert_eq!(bench.clock.now(), began, "a listener yields at once");
            bench.clock.sleep(Duration::from_millis(7)).await;
        }
    };
    let jobs = join(bench.client.job_done(1, deadline), bench.client.job_done(2, deadline));
    let (jobs, ()) = bench.clock.run(join(jobs, requests));
    assert_eq!(jobs, (Ok(JobResult::Waited { ms: 700 }), Ok(JobResult::Waited { ms: 400 })));
}

#[test]
fn a_dropped_request_leaves_the_client_usable() {
    let bench = Bench::connected();
    bench.firmware.borrow_mut().to_bench = [Mishap::Delay { ms: 30 }].into();
    let dropped = with_deadline(&bench.clock, bench.after(10), bench.client.request(READ));
    assert!(bench.clock.run(dropped).is_err());
    bench.clock.advance(Duration::from_millis(50));
    let reply = bench.request(Request::SetLinkTimeout { timeout_ms: 500 });
    assert_eq!(reply, Ok(Reply::Done), "and not the levels that came late");
    assert_eq!(bench.client.statistics().late, 1);
}

/// No frame to the DUT is later than `SEND_LATENCY`: beyond that no bench could know what was executed.
fn mishap(latest_ms: u16) -> impl Strategy<Value = Mishap> {
    prop_oneof![
        6 => Just(Mishap::None),
        2 => Just(Mishap::Lose),
        2 => (0usize..40, any::<u8>()).prop_map(|(byte, xor)| Mishap::Damage { byte, xor }),
        1 => (0usize..30).prop_map(|after| Mishap::Cut { after }),
        1 => Just(Mishap::Double),
        2 => (0..latest_ms).prop_map(|ms| Mishap::Delay { ms }),
        1 => Just(Mishap::Restart),
    ]
}

#[derive(Debug, Clone)]
enum Act {
    Read,
    /// In units of 20 ms, plus an offset that identifies it.
    StartJob(u16),
    SetLinkTimeout(u16),
    /// The request is dropped after this many milliseconds.
    DropAfter(u16),
    Await,
    Connect,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Read),
        4 => (0u16..20).prop_map(Act::StartJob),
        1 => (100u16..2_000).prop_map(Act::SetLinkTimeout),
        1 => (0u16..150).prop_map(Act::DropAfter),
        2 => Just(Act::Await),
        1 => Just(Act::Connect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Never hangs (the clock or the time bound would show it), never executes a job twice, never answers wrongly.
    #[test]
    fn a_bad_line_never_doubles_a_job(
        acts in prop::collection::vec(act(), 1..20),
        to_dut in prop::collection::vec(mishap(100), 0..60),
        to_bench in prop::collection::vec(mishap(400), 0..60),
        baud in prop_oneof![Just(INITIAL_BAUD), Just(FAST)],
    ) {
        let bench = Bench::new();
        bench.firmware.borrow_mut().to_dut = to_dut.into();
        bench.firmware.borrow_mut().to_bench = to_bench.into();
        let mut last_job = None;
        // The next frame completes one whose end was lost, so a cancelled request may still be executed later. Each job
        // has another duration, which shows how often it was executed.
        let executions = |ms: u16| bench.firmware.borrow().executed.iter().filter(|job| **job == Job::Wait { ms }).count();
        for (number, act) in (1..).zip(std::iter::once(Act::Connect).chain(acts)) {
            let began = bench.clock.now();
            match act {
                Act::Connect => {
                    bench.clock.run(bench.client.disconnect());
                    bench.firmware.borrow_mut().restart();
                    if let Ok(rate) = bench.clock.run(bench.client.connect(baud)) {
                        prop_assert!(rate == baud || rate == INITIAL_BAUD);
                    }
                }
                Act::Read => {
                    if let Ok(reply) = bench.request(READ) {
                        prop_assert_eq!(reply, Reply::Levels(PortSet::EMPTY));
                    }
                }
                Act::StartJob(times) => {
                    let ms = times * 20 + number;
                    match bench.request(wait(ms)) {
                        Ok(Reply::JobAccepted { job }) => {
                            prop_assert_eq!(executions(ms), 1);
                            last_job = Some((job, ms));
                        }
                        Ok(other) => prop_assert!(false, "StartJob answered by {:?}", other),
                        Err(_) => last_job = None,
                    }
                }
                Act::SetLinkTimeout(timeout_ms) => {
                    let _ = bench.request(Request::SetLinkTimeout { timeout_ms });
                }
                Act::DropAfter(ms) => {
                    let _ = bench.clock.run(with_deadline(
                        &bench.clock, bench.after(ms.into()), bench.client.request(wait(500 + number)),
                    ));
                    last_job = None;
                }
                Act::Await => {
                    if let Some((job, ms)) = last_job.take()
                        && let Ok(result) = bench.clock.run(bench.client.job_done(job, bench.after(2_000)))
                    {
                        prop_assert_eq!(result, JobResult::Waited { ms });
                    }
                }
            }
            prop_assert!(bench.clock.now() - began < Duration::from_secs(20));
        }
        // Once the line is good again, so is the conversation.
        bench.firmware.borrow_mut().to_dut.clear();
        bench.firmware.borrow_mut().to_bench.clear();
        bench.clock.run(bench.client.disconnect());
        bench.firmware.borrow_mut().restart();
        prop_assert_eq!(bench.clock.run(bench.client.connect(baud)), Ok(baud));
        for job in &bench.firmware.borrow().executed {
            let Job::Wait { ms } = *job else { unreachable!("no other job was asked for") };
            prop_assert_eq!(executions(ms), 1, "a job of {} ms was executed more than once", ms);
        }
    }
}
