//! The firmware's requests to the external flash, through the emulated QSPI peripheral.

use crate::hands::{Hands, run, setup};
use dut_protocol::{Checksum, FlashRequest, Refusal, Reply, Request, SpiRequest};

const LAST: u32 = 0x3F_F000;

async fn ask(hands: &mut Hands, seq: &mut u16, request: FlashRequest) -> Reply {
    *seq += 1;
    hands.ask(*seq, &Request::Flash(request)).await.unwrap()
}

async fn bytes(hands: &mut Hands, seq: &mut u16, address: u32) -> Vec<u8> {
    match ask(hands, seq, FlashRequest::Read { address, length: 64 }).await {
        Reply::Bytes(bytes) => bytes.to_vec(),
        other => panic!("no bytes but {other:?}"),
    }
}

const TEXT: [u8; 64] = *b"what is written to the flash over four lines comes back from it!";

#[test]
fn erased_written_read_and_summed() {
    for (model, id) in [("b404x", [0xC2, 0x20, 0x16]), ("b524", [0xC2, 0x28, 0x17])] {
        let setup = setup(model, &[], 4);
        let mut hands = setup.hands.clone();
        run(&setup, async {
            let seq = &mut 10;
            hands.power_up().await;
            hands.hello().await.unwrap();
            hands.set_baud(1_000_000).await;
            let identify = ask(&mut hands, seq, FlashRequest::Identify).await;
            assert_eq!(identify, Reply::Bytes(id.into_iter().collect()), "{model}");
            let used = bytes(&mut hands, seq, LAST).await;
            let neighbour = bytes(&mut hands, seq, LAST - 64).await;

            let nothing_kept = ask(&mut hands, seq, FlashRequest::PutBackSector).await;
            assert_eq!(nothing_kept, Reply::Refused(Refusal::OutOfRange), "{model}");
            let held = ask(&mut hands, seq, FlashRequest::KeepSector { address: LAST }).await;

            let begin = hands.clock.now();
            assert_eq!(ask(&mut hands, seq, FlashRequest::EraseSector { address: LAST }).await, Reply::Done);
            let took_ms = (hands.clock.now().as_micros() - begin.as_micros()) / 1000;
            assert!((25..=75).contains(&took_ms), "{model}: erased in {took_ms} ms");
            let erased = bytes(&mut hands, seq, LAST).await;
            // The last sector of the 4 MB part is in use, in the middle of the 8 MB part it is blank from the start.
            assert_eq!((used == erased, erased), (model == "b524", vec![0xFF; 64]), "{model}");

            let write = FlashRequest::Write { address: LAST + 0xC0, bytes: TEXT.into_iter().collect() };
            assert_eq!(ask(&mut hands, seq, write).await, Reply::Done);
            assert_eq!(bytes(&mut hands, seq, LAST + 0xC0).await, TEXT);
            let sum = FlashRequest::Checksum { address: LAST, length: 0x400 };
            let mut expected = vec![0xFF; 0x400];
            expected[0xC0..0x100].copy_from_slice(&TEXT);
            let written = Reply::Checksum { sum: Checksum::of(&expected) };
            assert_eq!(ask(&mut hands, seq, sum).await, written, "{model}");
            assert_eq!(bytes(&mut hands, seq, LAST - 64).await, neighbour);

            // Software SPI still finds its chip, and the same bytes.
            let port = |index| dut_protocol::Port::new(index).unwrap();
            let (sck, mosi, miso, chip_select) = (port(19), port(20), port(21), port(17));
            let write = [0x03, 0x3F, 0xF0, 0xC0].into_iter().collect();
            let plain = Request::SpiTransfer(SpiRequest { sck, mosi, miso, chip_select, write, read: 64 });
            *seq += 1;
            let reply = hands.ask(*seq, &plain).await;
            assert_eq!(reply, Some(Reply::Bytes(TEXT.into_iter().collect())));

            assert_eq!(ask(&mut hands, seq, FlashRequest::PutBackSector).await, held, "{model}");
            assert_eq!(bytes(&mut hands, seq, LAST).await, used, "{model}");
        });
        assert_eq!(setup.bench.diagnostics(), Vec::<String>::new());
    }
}

#[test]
fn an_absent_flash_is_refused_and_the_firmware_lives() {
    let setup = setup("b404x", &["flash-absent"], 4);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        let seq = &mut 10;
        hands.power_up().await;
        hands.hello().await.unwrap();
        for request in [FlashRequest::Identify, FlashRequest::EraseSector { address: LAST }] {
            assert_eq!(ask(&mut hands, seq, request).await, Reply::Refused(Refusal::NotRunning));
        }
        *seq += 1;
        assert!(matches!(hands.ask(*seq, &Request::Identify).await, Some(Reply::Identity(_))));
    });
    assert_eq!(setup.bench.stats().resets, 1, "the reset that initialises UICR, and none by the watchdog");
}
