//! Any message, for the property tests.

use dut_protocol::*;
use proptest::collection::vec;
use proptest::prelude::*;

pub fn any_port() -> impl Strategy<Value = Port> {
    (0..Port::COUNT).prop_map(|index| Port::new(index).unwrap())
}

/// Also sets with bits that are no ports: the check has to find them, the wire has to carry them.
pub fn any_port_set() -> impl Strategy<Value = PortSet> {
    prop_oneof![any::<u64>().prop_map(PortSet), vec(any_port(), 0..5).prop_map(PortSet::from_iter)]
}

pub fn any_vector() -> impl Strategy<Value = PortVector> {
    let sets = [any_port_set(), any_port_set(), any_port_set(), any_port_set(), any_port_set()];
    let strength = prop_oneof![Just(DriveStrength::Standard), Just(DriveStrength::High)];
    (sets, strength, any::<u16>()).prop_map(|([high, low, pull_up, pull_down, float], strength, settle_us)| {
        PortVector { high, low, pull_up, pull_down, float, strength, settle_us }
    })
}

fn any_spi_bytes() -> impl Strategy<Value = heapless::Vec<u8, SPI_MAX_BYTES>> {
    vec(any::<u8>(), 0..=SPI_MAX_BYTES).prop_map(|bytes| heapless::Vec::from_slice(&bytes).unwrap())
}

fn any_job() -> impl Strategy<Value = Job> {
    prop_oneof![
        (any_port(), any::<u16>()).prop_map(|(port, window_ms)| Job::CountEdges { port, window_ms }),
        any::<u16>().prop_map(|ms| Job::Wait { ms }),
        any::<u16>().prop_map(|ms| Job::Busy { ms }),
    ]
}

fn any_job_result() -> impl Strategy<Value = JobResult> {
    prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(rising, window_us)| JobResult::Edges { rising, window_us }),
        any::<u16>().prop_map(|ms| JobResult::Waited { ms }),
    ]
}

fn any_adc() -> impl Strategy<Value = AdcRequest> {
    let input = prop_oneof![any::<u8>().prop_map(AdcInput::Ain), Just(AdcInput::Vdd)];
    let range = prop_oneof![Just(AdcRange::Ratiometric), Just(AdcRange::Internal3V6)];
    (input, range, any::<u8>(), any::<u8>()).prop_map(|(input, range, acquisition_us, count)| AdcRequest {
        input,
        range,
        acquisition_us,
        count,
    })
}

fn any_spi_master() -> impl Strategy<Value = SpiMasterRequest> {
    let ports = [any_port(), any_port(), any_port(), any_port()];
    (any::<u8>(), ports, any::<u8>(), any::<u16>(), any_spi_bytes(), any::<u8>()).prop_map(
        |(unit, [sck, mosi, miso, chip_select], mode, kilohertz, write, read)| SpiMasterRequest {
            unit,
            sck,
            mosi,
            miso,
            chip_select,
            mode,
            kilohertz,
            write,
            read,
        },
    )
}

fn any_i2c_master() -> impl Strategy<Value = I2cMasterRequest> {
    (any::<u8>(), [any_port(), any_port()], any::<u16>(), any::<u8>(), any_spi_bytes(), any::<u8>()).prop_map(
        |(unit, [sda, scl], kilohertz, address, write, read)| I2cMasterRequest {
            unit,
            sda,
            scl,
            kilohertz,
            address,
            write,
            read,
        },
    )
}

fn any_i2c_outcome() -> impl Strategy<Value = I2cOutcome> {
    prop_oneof![
        any_spi_bytes().prop_map(I2cOutcome::Done),
        Just(I2cOutcome::AddressNack),
        Just(I2cOutcome::DataNack),
        any::<[bool; 2]>().prop_map(|[sda_high, scl_high]| I2cOutcome::Stuck { sda_high, scl_high }),
    ]
}

fn any_pwm() -> impl Strategy<Value = PwmRequest> {
    let output = || proptest::option::of((any_port(), any::<u16>()));
    let outputs = [output(), output(), output(), output()];
    (any::<u8>(), any::<u32>(), outputs).prop_map(|(unit, frequency_hz, outputs)| PwmRequest {
        unit,
        frequency_hz,
        outputs: outputs.map(|output| output.map(|(port, duty_permille)| PwmOutput { port, duty_permille })),
    })
}

fn any_ble() -> impl Strategy<Value = BleRequest> {
    prop_oneof![
        (any::<BleNonce>(), any::<u16>(), any::<u16>(), any::<i8>())
            .prop_map(|(nonce, count, interval_ms, dbm)| BleRequest::Advertise { nonce, count, interval_ms, dbm }),
        (any::<u8>(), any::<u16>(), any::<BleNonce>()).prop_map(|(channel, window_ms, nonce)| BleRequest::Listen {
            channel,
            window_ms,
            nonce
        }),
        any::<(u16, bool, i8)>().prop_map(|(mhz, modulated, dbm)| BleRequest::Carrier { mhz, modulated, dbm }),
        Just(BleRequest::Stop),
        Just(BleRequest::Report),
    ]
}

fn any_ble_report() -> impl Strategy<Value = BleReport> {
    let rssi = any::<(i16, i8, i8)>().prop_map(|(mean_tenths_dbm, min_dbm, max_dbm)| BleRssi {
        mean_tenths_dbm,
        min_dbm,
        max_dbm,
    });
    (any::<bool>(), any::<[u16; 3]>(), any::<[u16; 3]>(), proptest::option::of(rssi))
        .prop_map(|(busy, sent, [heard, others, broken], rssi)| BleReport { busy, sent, heard, others, broken, rssi })
}

pub fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::<u16>(), any::<u64>()).prop_map(|(version, schema)| Request::Hello { version, schema }),
        Just(Request::Identify),
        any::<u32>().prop_map(|baud| Request::SetBaud { baud }),
        any_vector().prop_map(Request::ApplyVector),
        Just(Request::ReadPorts),
        Just(Request::ReleasePorts),
        any_adc().prop_map(Request::SampleAdc),
        ([any_port(), any_port(), any_port(), any_port()], any_spi_bytes(), any::<u8>()).prop_map(
            |([sck, mosi, miso, chip_select], write, read)| Request::SpiTransfer(SpiRequest {
                sck,
                mosi,
                miso,
                chip_select,
                write,
                read
            })
        ),
        any_job().prop_map(Request::StartJob),
        any::<u8>().prop_map(|job| Request::PollJob { job }),
        any::<u16>().prop_map(|timeout_ms| Request::SetLinkTimeout { timeout_ms }),
        Just(Request::Restart),
        prop_oneof![Just(Pull::Up), Just(Pull::Down)].prop_map(|pull| Request::LendTx { pull }),
        any_port().prop_map(|wake| Request::SystemOff { wake }),
        any::<(u16, u16)>().prop_map(|(vendor, product)| Request::StartUsb { vendor, product }),
        Just(Request::StopUsb),
        any::<u32>().prop_map(|address| Request::Flash(FlashRequest::KeepSector { address })),
        Just(Request::Flash(FlashRequest::PutBackSector)),
        any_spi_bytes().prop_map(|bytes| Request::Echo { bytes }),
        any_spi_master().prop_map(Request::SpiMaster),
        any_i2c_master().prop_map(Request::I2cMaster),
        (any_port(), any_port(), any::<u16>(), any::<u16>()).prop_map(|(rts, cts, pause_ms, for_ms)| {
            Request::FlowControl(FlowControlRequest { rts, cts, pause_ms, for_ms })
        }),
        any_pwm().prop_map(Request::StartPwm),
        Just(Request::StopPwm),
        any_port().prop_map(|port| Request::LeadCrystal { port }),
        Just(Request::LeaveCrystal),
        any_port_set().prop_map(|ports| Request::HoldPorts { ports }),
        (any::<[bool; 1]>(), [any_port(), any_port(), any_port(), any_port()], any::<u32>()).prop_map(
            |([flow], [tx, rx, rts, cts], baud)| {
                Request::OpenModem(ModemUart { tx, rx, flow: flow.then_some(ModemFlow { rts, cts }), baud })
            }
        ),
        Just(Request::CloseModem),
        any_spi_bytes().prop_map(|bytes| Request::WriteModem { bytes }),
        Just(Request::ReadModem),
        any_ble().prop_map(Request::Ble),
        any::<u64>().prop_map(|nonce| Request::StartNfc { nonce }),
        Just(Request::StopNfc),
        Just(Request::ReadNfc),
    ]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::HelloFirst),
        (any::<u16>(), any::<u64>()).prop_map(|(version, schema)| Refusal::OtherProtocol { version, schema }),
        any_port().prop_map(Refusal::LinkPort),
        any_port().prop_map(Refusal::ReservedPort),
        any::<u8>().prop_map(Refusal::NoSuchPort),
        any_port().prop_map(Refusal::Overlap),
        Just(Refusal::OutOfRange),
        Just(Refusal::Busy),
        Just(Refusal::NotUnderstood),
        Just(Refusal::NfcPadsArePorts),
    ]
}

fn any_identity() -> impl Strategy<Value = Identity> {
    ("[ -~]{0,16}", "[ -~]{0,24}", any::<u64>(), any::<[u32; 6]>()).prop_map(
        |(firmware_version, git_hash, device_id, [part, variant, ram_kib, flash_kib, reset_reason, uptime_ms])| {
            Identity {
                firmware_version: heapless::String::try_from(&*firmware_version).unwrap(),
                git_hash: heapless::String::try_from(&*git_hash).unwrap(),
                device_id,
                part,
                variant,
                ram_kib,
                flash_kib,
                reset_reason,
                uptime_ms,
            }
        },
    )
}

pub fn any_reply() -> impl Strategy<Value = Reply> {
    let state =
        prop_oneof![Just(JobState::Unknown), Just(JobState::Running), any_job_result().prop_map(JobState::Done)];
    prop_oneof![
        (any::<u16>(), any::<u64>()).prop_map(|(version, schema)| Reply::Hello { version, schema }),
        any_identity().prop_map(Reply::Identity),
        Just(Reply::Done),
        any_port_set().prop_map(Reply::Levels),
        vec(any::<i16>(), 0..=ADC_MAX_SAMPLES)
            .prop_map(|samples| Reply::Samples(heapless::Vec::from_slice(&samples).unwrap())),
        any_spi_bytes().prop_map(Reply::Bytes),
        any::<u8>().prop_map(|job| Reply::JobAccepted { job }),
        (any::<u8>(), state).prop_map(|(job, state)| Reply::JobState { job, state }),
        (any::<u8>(), any_job_result()).prop_map(|(job, result)| Reply::JobDone { job, result }),
        any_refusal().prop_map(Reply::Refused),
        any_i2c_outcome().prop_map(Reply::I2c),
        (any_spi_bytes(), any::<bool>(), any::<bool>()).prop_map(|(bytes, more, lost)| Reply::Modem(ModemBytes {
            bytes,
            more,
            lost
        })),
        any_ble_report().prop_map(Reply::Ble),
        any::<(bool, u16, u16)>().prop_map(|(field, selected, commands)| Reply::Nfc(NfcStatus {
            field,
            selected,
            commands
        })),
    ]
}
