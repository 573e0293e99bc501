//! The NFC tag: a reader in range finds the record that the bench requested. It exists only between the start and stop
//! requests; otherwise the peripheral is off.

use crate::{Irqs, chip};
use core::sync::atomic::{AtomicU16, Ordering};
use dut_protocol::{NfcStatus, Refusal, TAG_ID_BYTES, Tag, TagAnswer};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_nrf::nfct::{Config, NfcId, NfcT, SddPat, SelResProtocol};
use embassy_nrf::peripherals::NFCT;
use embassy_nrf::{Peri, pac};
use embassy_sync::blocking_mutex::raw::ThreadModeRawMutex;
use embassy_sync::signal::Signal;

/// The last request: the number to carry, or none.
static ORDER: Signal<ThreadModeRawMutex, Option<u64>> = Signal::new();
static SELECTED: AtomicU16 = AtomicU16::new(0);
static COMMANDS: AtomicU16 = AtomicU16::new(0);

/// The driver's buffer must hold the longest frame of the peripheral.
const LONGEST_FRAME: usize = 256;

pub fn start(spawner: Spawner, nfct: Peri<'static, NFCT>) {
    if let Ok(task) = tag(nfct) {
        spawner.spawn(task);
    }
}

/// Starts a tag that carries this number, or stops it.
pub fn order(nonce: Option<u64>) -> Result<(), Refusal> {
    if nonce.is_some() && chip::nfc_pads_are_gpio() {
        return Err(Refusal::NfcPadsArePorts);
    }
    if nonce.is_some() {
        SELECTED.store(0, Ordering::Relaxed);
        COMMANDS.store(0, Ordering::Relaxed);
    }
    ORDER.signal(nonce);
    Ok(())
}

pub fn status() -> NfcStatus {
    NfcStatus {
        field: pac::NFCT.fieldpresent().read().fieldpresent(),
        selected: SELECTED.load(Ordering::Relaxed),
        commands: COMMANDS.load(Ordering::Relaxed),
    }
}

#[embassy_executor::task]
async fn tag(mut nfct: Peri<'static, NFCT>) {
    let mut order = None;
    loop {
        order = match order {
            None => ORDER.wait().await,
            Some(nonce) => match select(serve(nfct.reborrow(), nonce), ORDER.wait()).await {
                Either::First(never) => never,
                Either::Second(next) => next,
            },
        };
        // The driver leaves the peripheral as it is when it is dropped.
        pac::NFCT.inten().write(|enabled| enabled.0 = 0);
        pac::NFCT.tasks_disable().write_value(1);
    }
}

async fn serve(nfct: Peri<'_, NFCT>, nonce: u64) -> Option<u64> {
    let id = identifier();
    let config = Config {
        nfcid1: NfcId::DoubleSize(id),
        sdd_pat: SddPat::Sdd00100,
        plat_conf: 0,
        protocol: SelResProtocol::Type2,
    };
    let tag = Tag::new(id, nonce);
    let mut driver = NfcT::new(nfct, Irqs, &config);
    let mut frame = [0; LONGEST_FRAME];
    loop {
        driver.activate().await;
        count(&SELECTED);
        // Until the reader releases the tag or its field disappears.
        while let Ok(length) = driver.receive(&mut frame).await {
            count(&COMMANDS);
            let Some(command) = frame.get(..length) else { break };
            match tag.answer(command) {
                TagAnswer::Bytes(bytes) => {
                    if driver.transmit(&bytes).await.is_err() {
                        break;
                    }
                }
                TagAnswer::Halt => break,
                TagAnswer::Silence => {}
            }
        }
    }
}

fn count(counter: &AtomicU16) {
    counter.store(counter.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
}

/// The chip's own identifier: the maker's code and unique numbers.
fn identifier() -> [u8; TAG_ID_BYTES] {
    let nfc = pac::FICR.nfc();
    let [maker, a, b, c] = nfc.tagheader0().read().0.to_le_bytes();
    let [d, e, f, _] = nfc.tagheader1().read().0.to_le_bytes();
    [maker, a, b, c, d, e, f]
}
