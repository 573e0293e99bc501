//! `uart-flow`: tests the module's UART at every rate, both ways, and that RTS and CTS stop and release it.
//!
//! The UART is the link itself. The firmware switches flow control on for a limited time, so that a defect of these
//! lines cannot lose the module.

use crate::bus_peer::{BusLine, nonce, wrong_bits};
use crate::resolve::{self, can_drive};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{Coverage, Function, ParamProblem, Resolved, Spanned, Surroundings};
use bench_run::{BenchTime, Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::frame::{Decoder, encode_request};
use dut_protocol::{BUS_MAX_BYTES, FLOW_BUFFER_BYTES, FlowControlRequest, MAX_FRAME, Reply, Request, SUPPORTED_BAUDS};
use futures_util::future::join;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Rates to test; the link stays at the last one.
    #[schemars(with = "Vec<u32>", length(min = 1))]
    bauds: Spanned<Vec<Spanned<u32>>>,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
}

pub struct UartFlow {
    bus: String,
    rts: BusLine,
    cts: BusLine,
    /// The module's TX and RX.
    data: [Contact; 2],
    supply: String,
    rates: Vec<(u32, MeasurementSpec)>,
    ready: MeasurementSpec,
    full: MeasurementSpec,
    again: MeasurementSpec,
    while_high: MeasurementSpec,
    when_low: MeasurementSpec,
}

/// Sent and brought back at each rate.
const MESSAGES: u32 = 6;
/// Delay after a change of rate: the firmware makes sure that its reply is out, two bytes at the old rate.
const RATE_SETTLE: Duration = Duration::from_millis(2);
/// How long the firmware reads nothing from its buffer; meanwhile the bench fills it and reads RTS.
const PAUSE_MS: u16 = 250;
/// How long flow control stays on: the pause, and the test of CTS after it.
const FLOW_MS: u16 = 600;
/// Time for a request to be executed, and to see that a held-back answer does not arrive.
const MARGIN: Duration = Duration::from_millis(20);
/// Fills the buffer and a part of the FIFO behind it with ends of frames, which the firmware ignores. All of it fits.
const FILLING: [u8; FLOW_BUFFER_BYTES + 2] = [0; FLOW_BUFFER_BYTES + 2];
/// Ends of frames, sent only to listen for as long as they take.
const LISTENING: [u8; 32] = [0; 32];
/// A sequence number that the conversation does not reach in a run.
const HELD_BACK: u16 = 0xFFFE;

impl Kind for UartFlow {
    const NAME: &'static str = "uart-flow";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let bus = around.dut.buses.iter().find(|bus| bus.function == Some(Function::Uart));
        let bus = bus.map_or_else(|| "UART".to_owned(), |bus| bus.name.clone());
        let line = |role: &'static str| {
            let info = around.dut.by_role(Function::Uart, role);
            let line = info.and_then(|info| Some(BusLine { contact: info.contact, port: info.port?, role }));
            line.filter(|line| can_drive(around.fixture, line.contact)).ok_or_else(|| {
                ParamProblem::new(format!("the family {} has no {role} that a nail reaches", around.dut.name))
            })
        };
        let (rts, cts) = (line("RTS")?, line("CTS")?);
        let data = [around.fixture.link.dut_tx, around.fixture.link.dut_rx];
        let spec = |name: String, limits, contacts: &[Contact]| MeasurementSpec {
            name,
            unit: MeasurementUnit::One,
            limits,
            contacts: contacts.to_vec(),
        };
        let (none, yes) = (Limits::exactly(0.0), Limits::exactly(1.0));
        let mut rates: Vec<(u32, MeasurementSpec)> = Vec::new();
        for baud in params.bauds.get_ref() {
            let rate = *baud.get_ref();
            if !SUPPORTED_BAUDS.contains(&rate) || rates.iter().any(|(supported, _)| *supported == rate) {
                let supported: Vec<String> = SUPPORTED_BAUDS.iter().map(ToString::to_string).collect();
                return Err(ParamProblem::new(format!(
                    "{rate} baud is not a rate of the firmware, or is listed twice"
                ))
                .at(baud.span(), "not usable")
                .help(format!("expected some of {}", supported.join(", "))));
            }
            rates.push((rate, spec(format!("{bus}.{rate}-baud.wrong-bits"), none, &data)));
        }
        if rates.is_empty() {
            return Err(ParamProblem::new("no rate is given").at(params.bauds.span(), "empty"));
        }
        let (of_rts, of_cts) = ([rts.contact], [cts.contact]);
        let step = UartFlow {
            ready: spec("RTS.low-when-ready".into(), yes, &of_rts),
            full: spec("RTS.high-when-full".into(), yes, &of_rts),
            again: spec("RTS.low-again".into(), yes, &of_rts),
            while_high: spec("CTS.bytes-while-high".into(), none, &of_cts),
            when_low: spec("CTS.answers-when-low".into(), yes, &of_cts),
            bus,
            rts,
            cts,
            data,
            supply,
            rates,
        };
        let others = [&step.ready, &step.full, &step.again, &step.while_high, &step.when_low];
        Ok(Resolved {
            measurements: step.rates.iter().map(|(_, spec)| spec).chain(others).cloned().collect(),
            coverage: [
                (rts.contact, "flow control"),
                (cts.contact, "flow control"),
                (data[0], "UART"),
                (data[1], "UART"),
            ]
            .into_iter()
            .map(|(contact, aspect)| Coverage { contact, aspects: vec![aspect] })
            .collect(),
            uses: resource::list(&[resource::DUT, resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for UartFlow {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        nest.supply_volts(&self.supply).await?;
        for (baud, spec) in &self.rates {
            self.talk(nest, log, *baud, spec).await?;
        }
        // Low lets the module send.
        let flow = async {
            nest.drive_nail(self.cts.contact, false).await?;
            self.flow(nest, log).await
        };
        nest.released_after(flow).await?;
        // Back to no flow control, which only an answer proves.
        nest.ask(Request::ReadPorts).await.map(drop)
    }
}

impl UartFlow {
    async fn talk(&self, nest: &Nest, log: &dyn StepLog, baud: u32, spec: &MeasurementSpec) -> Result<(), StepError> {
        nest.ask(Request::SetBaud { baud }).await?;
        nest.settle(RATE_SETTLE).await;
        let mut wrong = 0;
        for n in 0..MESSAGES {
            let sent = nonce::<BUS_MAX_BYTES>(nest, baud ^ n);
            match nest.ask(Request::Echo { bytes: sent.into_iter().collect() }).await? {
                Reply::Bytes(back) => wrong += wrong_bits(&back, &sent),
                other => return Err(DutError::OutOfTurn(other).into()),
            }
        }
        log.measured(&spec.name, Some(f64::from(wrong)));
        if wrong > 0 {
            let labels = self.data.map(|contact| nest.label(contact));
            let text = format!(
                "contacts {} and {}: {wrong} bits came back wrong at {baud} baud, in frames that are whole",
                labels[0], labels[1]
            );
            let mut contacts = self.data.to_vec();
            contacts.sort_unstable();
            log.diagnosed(Diagnosis { defect: Defect::Other, contacts, text });
        }
        Ok(())
    }

    async fn flow(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let flow = FlowControlRequest { rts: self.rts.port, cts: self.cts.port, pause_ms: PAUSE_MS, for_ms: FLOW_MS };
        nest.ask(Request::FlowControl(flow)).await?;
        let begun = nest.clock.now();
        let seen = self.watch(nest, begun).await;
        // After success or error: only then has the module no flow control.
        nest.clock.sleep_until(begun + Duration::from_millis(FLOW_MS.into()) + MARGIN).await;
        let seen = seen?;
        let yes = |seen: bool| Some(f64::from(u8::from(seen)));
        log.measured(&self.ready.name, yes(seen.low_when_ready));
        log.measured(&self.full.name, yes(seen.high_when_full));
        log.measured(&self.again.name, yes(seen.low_again));
        log.measured(&self.while_high.name, Some(seen.bytes_while_high as f64));
        log.measured(&self.when_low.name, yes(seen.answers_when_low));
        for (line, text) in [(self.rts, seen.rts_defect()), (self.cts, seen.cts_defect())] {
            if let Some(text) = text {
                let text = format!("{}: {text}", line.describe(nest, &self.bus));
                log.diagnosed(Diagnosis { defect: Defect::Other, contacts: vec![line.contact], text });
            }
        }
        Ok(())
    }

    async fn watch(&self, nest: &Nest, begun: BenchTime) -> Result<Seen, StepError> {
        let rts_high = || async { Ok::<_, StepError>(nest.nails.read().await?.contains(self.rts.contact)) };
        nest.settle(MARGIN).await;
        let low_when_ready = !rts_high().await?;
        nest.dut.echo(&FILLING, None).await?;
        let high_when_full = rts_high().await?;
        nest.clock.sleep_until(begun + Duration::from_millis(PAUSE_MS.into()) + MARGIN).await;
        let low_again = !rts_high().await?;

        nest.drive_nail(self.cts.contact, true).await?;
        let mut buffer = [0; MAX_FRAME];
        let frame = encode_request(HELD_BACK, &Request::ReadPorts, &mut buffer)
            .map_err(|error| StepError::Bench(format!("a request cannot be sent: {error}")))?;
        let bytes_while_high = nest.dut.echo(frame, None).await?.len();
        let release = async {
            nest.settle(RATE_SETTLE).await;
            nest.drive_nail(self.cts.contact, false).await
        };
        // Listen first: the answer arrives at once.
        let (heard, released) = join(nest.dut.echo(&LISTENING, None), release).await;
        released?;
        let mut answers_when_low = false;
        let mut decoder: Decoder = Decoder::new();
        decoder.feed(&heard?, |frame| {
            answers_when_low |=
                frame.is_ok_and(|frame| frame.seq == HELD_BACK && matches!(frame.reply(), Ok(Reply::Levels(_))));
        });
        Ok(Seen { low_when_ready, high_when_full, low_again, bytes_while_high, answers_when_low })
    }
}

/// Results of the flow control test.
struct Seen {
    low_when_ready: bool,
    high_when_full: bool,
    low_again: bool,
    /// Received from the module while CTS was high.
    bytes_while_high: usize,
    /// Whether the held-back bytes arrived once CTS was low.
    answers_when_low: bool,
}

impl Seen {
    fn rts_defect(&self) -> Option<&'static str> {
        match (self.low_when_ready, self.high_when_full, self.low_again) {
            (true, true, true) => None,
            (_, true, false) | (false, true, _) => Some("RTS stays high although the module can receive"),
            (_, false, _) => Some("RTS stays low although the module's receive buffer is full"),
        }
    }

    fn cts_defect(&self) -> Option<&'static str> {
        match (self.bytes_while_high, self.answers_when_low) {
            (0, true) => None,
            (0, false) => Some("the module sends nothing although CTS is low"),
            _ => Some("the module sends although CTS is high: it ignores CTS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_defects_are_diagnosed() {
        let rows = [
            ([true, true, true], (0, true), None, None),
            ([false, true, false], (0, true), Some("stays high"), None),
            ([true, true, false], (0, true), Some("stays high"), None),
            ([true, false, true], (12, false), Some("stays low"), Some("although CTS is high")),
            ([true, true, true], (0, false), None, Some("although CTS is low")),
        ];
        for ([low_when_ready, high_when_full, low_again], (bytes_while_high, answers_when_low), rts, cts) in rows {
            let seen = Seen { low_when_ready, high_when_full, low_again, bytes_while_high, answers_when_low };
            for (said, expected) in [(seen.rts_defect(), rts), (seen.cts_defect(), cts)] {
                assert_eq!(said.is_some(), expected.is_some());
                assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{said:?} {expected:?}");
            }
        }
    }
}
