//! What the firmware decides without hardware: refusals, repeated frames, ports.

use crate::any::{any_port, any_vector};
use dut_protocol::check::{LINK_PORTS, NFC_PORTS, PortRules};
use dut_protocol::dedupe::LastExchange;
use dut_protocol::frame::Frame;
use dut_protocol::*;
use proptest::prelude::*;

fn port(text: &str) -> Port {
    text.parse().unwrap_or_else(|_| panic!("{text} is no port"))
}

fn ports(texts: &str) -> PortSet {
    texts.split_whitespace().map(port).collect()
}

fn spi(sck: &str, mosi: &str, miso: &str, chip_select: &str, read: u8) -> Request {
    let [sck, mosi, miso, chip_select] = [sck, mosi, miso, chip_select].map(port);
    Request::SpiTransfer(SpiRequest { sck, mosi, miso, chip_select, write: heapless::Vec::new(), read })
}

fn adc(input: AdcInput, acquisition_us: u8, count: u8) -> Request {
    Request::SampleAdc(AdcRequest { input, range: AdcRange::Ratiometric, acquisition_us, count })
}

fn modem(tx: &str, rx: &str, flow: Option<(&str, &str)>, baud: u32) -> Request {
    let flow = flow.map(|(rts, cts)| ModemFlow { rts: port(rts), cts: port(cts) });
    Request::OpenModem(ModemUart { tx: port(tx), rx: port(rx), flow, baud })
}

fn pwm(unit: u8, frequency_hz: u32, outputs: &[(&str, u16)]) -> Request {
    let output = |&(text, duty_permille): &(&str, u16)| PwmOutput { port: port(text), duty_permille };
    let outputs = std::array::from_fn(|channel| outputs.get(channel).map(output));
    Request::StartPwm(PwmRequest { unit, frequency_hz, outputs })
}

fn advertise(count: u16, interval_ms: u16, dbm: i8) -> Request {
    Request::Ble(BleRequest::Advertise { nonce: [1; 8], count, interval_ms, dbm })
}

fn listen(channel: u8, window_ms: u16) -> Request {
    Request::Ble(BleRequest::Listen { channel, window_ms, nonce: [1; 8] })
}

#[test]
fn refusals() {
    let vector = PortVector::default();
    let rows = [
        (advertise(1, 20, 0), Ok(())),
        (advertise(1_000, 1_000, -40), Ok(())),
        (advertise(0, 20, 0), Err(Refusal::OutOfRange)),
        (advertise(1_001, 20, 0), Err(Refusal::OutOfRange)),
        (advertise(1, 19, 0), Err(Refusal::OutOfRange)),
        (advertise(1, 20, 1), Err(Refusal::OutOfRange)),
        (listen(37, 1), Ok(())),
        (listen(39, 5_000), Ok(())),
        (listen(36, 1), Err(Refusal::OutOfRange)),
        (listen(40, 1), Err(Refusal::OutOfRange)),
        (listen(38, 0), Err(Refusal::OutOfRange)),
        (listen(38, 5_001), Err(Refusal::OutOfRange)),
        (Request::Ble(BleRequest::Carrier { mhz: 2_402, modulated: true, dbm: 8 }), Ok(())),
        (Request::Ble(BleRequest::Carrier { mhz: 2_401, modulated: true, dbm: 8 }), Err(Refusal::OutOfRange)),
        (Request::Ble(BleRequest::Carrier { mhz: 2_480, modulated: false, dbm: 9 }), Err(Refusal::OutOfRange)),
        (Request::Ble(BleRequest::Stop), Ok(())),
        (Request::Ble(BleRequest::Report), Ok(())),
        (Request::ApplyVector(vector), Ok(())),
        (Request::ApplyVector(PortVector { high: ports("P0.03"), low: ports("P0.04 P1.15"), ..vector }), Ok(())),
        (Request::ApplyVector(PortVector { high: ports("P0.06"), ..vector }), Err(Refusal::LinkPort(port("P0.06")))),
        (Request::ApplyVector(PortVector { float: ports("P0.08"), ..vector }), Err(Refusal::LinkPort(port("P0.08")))),
        (
            Request::ApplyVector(PortVector { pull_up: ports("P0.00"), ..vector }),
            Err(Refusal::ReservedPort(port("P0.00"))),
        ),
        (
            Request::ApplyVector(PortVector { pull_down: ports("P0.18"), ..vector }),
            Err(Refusal::ReservedPort(port("P0.18"))),
        ),
        (Request::ApplyVector(PortVector { low: ports("P0.09"), ..vector }), Err(Refusal::ReservedPort(port("P0.09")))),
        (
            Request::ApplyVector(PortVector { high: ports("P0.03 P1.02"), float: ports("P1.02"), ..vector }),
            Err(Refusal::Overlap(port("P1.02"))),
        ),
        (Request::ApplyVector(PortVector { low: PortSet(1 << 48), ..vector }), Err(Refusal::NoSuchPort(48))),
        (Request::ApplyVector(PortVector { low: PortSet(1 << 63), ..vector }), Err(Refusal::NoSuchPort(63))),
        (Request::ApplyVector(PortVector { settle_us: 10_000, ..vector }), Ok(())),
        (Request::ApplyVector(PortVector { settle_us: 10_001, ..vector }), Err(Refusal::OutOfRange)),
        (spi("P0.19", "P0.20", "P0.21", "P0.17", 3), Ok(())),
        (spi("P0.19", "P0.20", "P0.21", "P0.17", 64), Ok(())),
        (spi("P0.19", "P0.20", "P0.21", "P0.17", 65), Err(Refusal::OutOfRange)),
        (spi("P0.19", "P0.20", "P0.20", "P0.17", 3), Err(Refusal::Overlap(port("P0.20")))),
        (spi("P0.19", "P0.20", "P0.21", "P0.08", 3), Err(Refusal::LinkPort(port("P0.08")))),
        (adc(AdcInput::Ain(7), 40, 32), Ok(())),
        (adc(AdcInput::Vdd, 3, 1), Ok(())),
        (adc(AdcInput::Ain(8), 40, 32), Err(Refusal::OutOfRange)),
        (adc(AdcInput::Ain(0), 41, 32), Err(Refusal::OutOfRange)),
        (adc(AdcInput::Ain(0), 40, 0), Err(Refusal::OutOfRange)),
        (adc(AdcInput::Ain(0), 40, 33), Err(Refusal::OutOfRange)),
        (Request::SetBaud { baud: 1_000_000 }, Ok(())),
        (Request::SetBaud { baud: 9_600 }, Err(Refusal::OutOfRange)),
        (Request::SetLinkTimeout { timeout_ms: 99 }, Err(Refusal::OutOfRange)),
        (Request::SetLinkTimeout { timeout_ms: 100 }, Ok(())),
        (Request::SetLinkTimeout { timeout_ms: 60_001 }, Err(Refusal::OutOfRange)),
        (pwm(3, 200_000, &[("P0.03", 0), ("P1.08", 1000)]), Ok(())),
        (pwm(4, 1_000, &[("P0.03", 500)]), Err(Refusal::OutOfRange)),
        (pwm(0, 99, &[("P0.03", 500)]), Err(Refusal::OutOfRange)),
        (pwm(0, 200_001, &[("P0.03", 500)]), Err(Refusal::OutOfRange)),
        (pwm(0, 1_000, &[("P0.03", 1001)]), Err(Refusal::OutOfRange)),
        (pwm(0, 1_000, &[]), Err(Refusal::OutOfRange)),
        (pwm(0, 1_000, &[("P0.03", 500), ("P0.03", 100)]), Err(Refusal::Overlap(port("P0.03")))),
        (pwm(0, 1_000, &[("P0.06", 500)]), Err(Refusal::LinkPort(port("P0.06")))),
        (Request::LeadCrystal { port: port("P1.08") }, Ok(())),
        (Request::LeadCrystal { port: port("P0.00") }, Err(Refusal::ReservedPort(port("P0.00")))),
        (Request::StartJob(Job::Wait { ms: 10_000 }), Ok(())),
        (Request::StartJob(Job::Wait { ms: 10_001 }), Err(Refusal::OutOfRange)),
        (Request::StartJob(Job::Press { port: port("P0.16"), high: false, ms: 30_000 }), Ok(())),
        (Request::StartJob(Job::Press { port: port("P0.16"), high: false, ms: 30_001 }), Err(Refusal::OutOfRange)),
        (Request::StartJob(Job::Press { port: port("P0.16"), high: false, ms: 0 }), Err(Refusal::OutOfRange)),
        (
            Request::StartJob(Job::Press { port: port("P0.08"), high: true, ms: 1 }),
            Err(Refusal::LinkPort(port("P0.08"))),
        ),
        (Request::HoldPorts { ports: [port("P0.16"), port("P1.05")].into_iter().collect() }, Ok(())),
        (Request::HoldPorts { ports: PortSet(1 << 48) }, Err(Refusal::NoSuchPort(48))),
        (Request::HoldPorts { ports: PortSet(1) }, Err(Refusal::ReservedPort(port("P0.00")))),
        (modem("P1.05", "P1.04", Some(("P1.07", "P1.06")), 460_800), Ok(())),
        (modem("P1.05", "P1.04", None, 115_200), Ok(())),
        (modem("P1.05", "P1.04", None, 1_200), Err(Refusal::OutOfRange)),
        (modem("P1.05", "P1.05", None, 115_200), Err(Refusal::Overlap(port("P1.05")))),
        (modem("P1.05", "P1.04", Some(("P1.07", "P0.06")), 115_200), Err(Refusal::LinkPort(port("P0.06")))),
        (Request::StartJob(Job::Busy { ms: 50 }), Ok(())),
        (Request::StartJob(Job::Busy { ms: 51 }), Err(Refusal::OutOfRange)),
        (Request::StartJob(Job::Busy { ms: 0 }), Err(Refusal::OutOfRange)),
        (Request::SystemOff { wake: port("P0.11") }, Ok(())),
        (Request::SystemOff { wake: port("P0.18") }, Err(Refusal::ReservedPort(port("P0.18")))),
        (Request::LendTx { pull: Pull::Up }, Ok(())),
        (Request::Flash(FlashRequest::KeepSector { address: 4096 }), Ok(())),
        (Request::Flash(FlashRequest::KeepSector { address: 4100 }), Err(Refusal::OutOfRange)),
        (Request::Flash(FlashRequest::PutBackSector), Ok(())),
        (Request::StartJob(Job::CountEdges { port: port("P0.11"), window_ms: 0 }), Err(Refusal::OutOfRange)),
        (
            Request::StartJob(Job::CountEdges { port: port("P0.01"), window_ms: 1 }),
            Err(Refusal::ReservedPort(port("P0.01"))),
        ),
    ];
    for (request, expected) in rows {
        assert_eq!(PortRules::new(false).check(&request), expected, "{request:?}");
    }
}

#[test]
fn nfc_pads_are_ports_when_uicr_says_so() {
    for port in NFC_PORTS.iter() {
        assert_eq!(PortRules::new(true).check_port(port), Ok(()));
        assert_eq!(PortRules::new(false).check_port(port), Err(Refusal::ReservedPort(port)));
    }
    assert_eq!(PortRules::new(true).usable().len(), 48 - 2 - 3);
    assert_eq!(PortRules::new(false).usable().len(), 48 - 2 - 3 - 2);
}

proptest! {
    #[test]
    fn an_accepted_vector_touches_only_what_it_may(vector in any_vector(), nfc_pads_are_gpio: bool) {
        let rules = PortRules::new(nfc_pads_are_gpio);
        let sets = [vector.high, vector.low, vector.pull_up, vector.pull_down, vector.float];
        let accepted = rules.check(&Request::ApplyVector(vector)).is_ok();
        let bits: u32 = sets.iter().map(|set| set.len()).sum();
        let all = sets.into_iter().fold(PortSet::EMPTY, PortSet::union);
        let harmless = bits == all.len() && all.minus(rules.usable()).is_empty() && vector.settle_us <= 10_000;
        prop_assert_eq!(accepted, harmless);
    }

    #[test]
    fn ports_are_read_as_they_are_written(port in any_port()) {
        prop_assert_eq!(port.to_string().parse(), Ok(port));
        prop_assert_eq!(Port::from_bank(port.bank(), port.pin()), Some(port));
        prop_assert_eq!(PortSet::EMPTY.with(port).iter().collect::<Vec<_>>(), [port]);
    }

    #[test]
    fn text_that_is_no_port_is_refused(text in "\\PC{0,8}") {
        if let Ok(port) = text.parse::<Port>() {
            prop_assert_eq!(port.to_string(), text);
        }
    }
}

#[test]
fn texts_that_are_no_port() {
    for text in [
        "", "P", "P0", "P0.", "P0.3", "P0.003", "P0.32", "P1.16", "P2.00", "p0.03", "P0.+3", "P+.03", "P-1.03", "0.03",
        " P0.03", "P0.03 ", "P0,03", "P0.0x", "P00.03", "P٠.03",
    ] {
        assert_eq!(text.parse::<Port>(), Err(NotAPort), "{text:?}");
    }
    assert_eq!(Port::new(48), None);
    assert_eq!(port("P1.15").index(), 47);
    assert_eq!(LINK_PORTS, ports("P0.06 P0.08"));
}

#[test]
fn a_repeated_frame_gets_the_same_reply() {
    let mut last = LastExchange::new();
    let frame = Frame { seq: 7, body: &[8, 0, 3, 1] };
    assert_eq!(last.repeated(&frame), None);
    last.remember(&frame, b"reply");
    let rows = [
        ("same", frame, Some(&b"reply"[..])),
        ("same once more", frame, Some(b"reply")),
        ("other number", Frame { seq: 8, ..frame }, None),
        ("other bytes", Frame { body: &[8, 0, 3, 2], ..frame }, None),
        ("shorter", Frame { body: &[8, 0, 3], ..frame }, None),
        ("empty", Frame { body: &[], ..frame }, None),
    ];
    for (what, frame, expected) in rows {
        assert_eq!(last.repeated(&frame), expected, "{what}");
    }
    last.forget();
    assert_eq!(last.repeated(&frame), None, "its effect is gone, so it must be executed again");
}

#[test]
fn only_the_last_exchange_is_known() {
    let mut last = LastExchange::new();
    let first = Frame { seq: 1, body: &[1] };
    last.remember(&first, b"one");
    last.remember(&Frame { seq: 2, body: &[1] }, b"two");
    assert_eq!(last.repeated(&first), None);
}

#[test]
fn nothing_executed_matches_nothing() {
    assert_eq!(LastExchange::new().repeated(&Frame { seq: UNASKED, body: &[] }), None);
}
