//! Frames on a line that loses, flips, doubles and invents bytes.

use crate::any::{any_reply, any_request};
use dut_protocol::frame::{Decoder, FrameError, encode_reply, encode_request};
use dut_protocol::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn request_frame(seq: u16, request: &Request) -> Vec<u8> {
    encode_request(seq, request, &mut [0; MAX_FRAME]).unwrap().to_vec()
}

fn reply_frame(seq: u16, reply: &Reply) -> Vec<u8> {
    encode_reply(seq, reply, &mut [0; MAX_FRAME]).unwrap().to_vec()
}

/// What a reader makes of `bytes`, as requests.
fn read_requests(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Result<(u16, Request), FrameError>> {
    let mut frames = Vec::new();
    decoder.feed(bytes, |frame| frames.push(frame.and_then(|frame| Ok((frame.seq, frame.request()?)))));
    frames
}

proptest! {
    #[test]
    fn every_request_comes_back(seq in 1..=u16::MAX, request in any_request()) {
        prop_assert_eq!(read_requests(&mut Decoder::new(), &request_frame(seq, &request)), [Ok((seq, request))]);
    }

    #[test]
    fn every_reply_comes_back(seq in any::<u16>(), reply in any_reply()) {
        let mut frames = Vec::new();
        let mut decoder: Decoder = Decoder::new();
        decoder.feed(&reply_frame(seq, &reply), |frame| frames.push(frame.and_then(|frame| Ok((frame.seq, frame.reply()?)))));
        prop_assert_eq!(frames, [Ok((seq, reply))]);
    }

    #[test]
    fn after_any_noise_a_good_frame_is_read(
        noise in vec(any::<u8>(), 0..400),
        seq in 1..=u16::MAX,
        request in any_request(),
    ) {
        let mut decoder = Decoder::new();
        read_requests(&mut decoder, &noise);
        let frames = read_requests(&mut decoder, &request_frame(seq, &request));
        prop_assert_eq!(frames.last(), Some(&Ok((seq, request))), "the leading delimiter cuts the noise off");
    }

    #[test]
    fn a_flipped_bit_is_never_another_message(
        seq in 1..=u16::MAX,
        request in any_request(),
        place in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let good = request_frame(seq, &request);
        let mut bad = good.clone();
        let place = place.index(bad.len());
        bad[place] ^= 1 << bit;
        // The delimiters may be hit: then two frames run into one or the leading one is merely gone.
        let frames = read_requests(&mut Decoder::new(), &bad);
        for read in frames.iter().flatten() {
            prop_assert_eq!(read, &(seq, request.clone()));
        }
    }

    #[test]
    fn a_lost_byte_is_never_another_message(
        seq in 1..=u16::MAX,
        request in any_request(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut bad = request_frame(seq, &request);
        bad.remove(place.index(bad.len()));
        for read in read_requests(&mut Decoder::new(), &bad).iter().flatten() {
            prop_assert_eq!(read, &(seq, request.clone()));
        }
    }

    #[test]
    fn a_truncated_frame_costs_only_itself(
        request in any_request(),
        next in any_request(),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request_frame(1, &request);
        // At least the first byte is kept and the last real one is gone.
        bytes.truncate(1 + kept.index(bytes.len() - 3));
        bytes.extend(request_frame(2, &next));
        let good: Vec<_> = read_requests(&mut Decoder::new(), &bytes).into_iter().flatten().collect();
        prop_assert_eq!(good, [(2, next)]);
    }

    #[test]
    fn frames_in_a_row_and_doubled_frames(requests in vec(any_request(), 1..5), cut in 1..9usize) {
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for (request, seq) in requests.into_iter().zip(1..) {
            for _ in 0..2 {
                bytes.extend(request_frame(seq, &request));
                sent.push(Ok((seq, request.clone())));
            }
        }
        let mut decoder = Decoder::new();
        let frames: Vec<_> = bytes.chunks(cut).flat_map(|chunk| read_requests(&mut decoder, chunk)).collect();
        prop_assert_eq!(frames, sent, "however the bytes are cut into pieces");
    }

    #[test]
    fn a_whole_frame_with_any_content_is_read_or_refused(seq in 1..=u16::MAX, body in vec(any::<u8>(), 0..100)) {
        let mut decoder: Decoder = Decoder::new();
        decoder.feed(&raw_frame(seq, &body), |frame| {
            let frame = frame.unwrap();
            assert_eq!((frame.seq, frame.body), (seq, &*body));
            for error in [frame.request().err(), frame.reply().err()].into_iter().flatten() {
                assert_eq!(error, FrameError::NotUnderstood { seq });
            }
        });
    }
}

/// A frame with any content, made without the crate's own encoder, after the description in `frame`.
fn raw_frame(seq: u16, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut rest = seq;
    while rest >= 0x80 {
        payload.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    payload.push(rest as u8);
    payload.extend(body);
    let mut crc = u32::MAX;
    for byte in &payload {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    payload.extend((!crc).to_le_bytes());

    let mut wire = vec![0];
    for block in payload.split(|byte| *byte == 0) {
        assert!(block.len() < 254, "longer blocks need another code");
        wire.push(block.len() as u8 + 1);
        wire.extend(block);
    }
    wire.push(0);
    wire
}

#[test]
fn bytes_on_the_wire() {
    // Written down once, so that a bench in another language can be written from the description alone.
    let rows: &[(u16, Request, &[u8])] = &[
        (1, Request::Identify, &raw_frame(1, &[1])),
        (0x1234, Request::PollJob { job: 0 }, &raw_frame(0x1234, &[9, 0])),
        (
            u16::MAX,
            Request::StartJob(Job::CountEdges { port: "P1.15".parse().unwrap(), window_ms: 300 }),
            &raw_frame(u16::MAX, &[8, 0, 47, 0xAC, 0x02]),
        ),
    ];
    for (seq, request, wire) in rows {
        assert_eq!(request_frame(*seq, request), *wire, "{request:?}");
    }
}

#[test]
fn what_is_no_message() {
    let rows: &[(&str, Vec<u8>, FrameError)] = &[
        ("no body", raw_frame(5, &[]), FrameError::NotUnderstood { seq: 5 }),
        ("no such request", raw_frame(5, &[99]), FrameError::NotUnderstood { seq: 5 }),
        ("a request and a byte too many", raw_frame(5, &[1, 0]), FrameError::NotUnderstood { seq: 5 }),
        ("port 48", raw_frame(5, &[8, 0, 48, 1]), FrameError::NotUnderstood { seq: 5 }),
        ("port 255", raw_frame(5, &[8, 0, 255, 1]), FrameError::NotUnderstood { seq: 5 }),
        (
            "65 bytes for SPI",
            raw_frame(5, &[&[7, 1, 2, 3, 4, 65][..], &[0; 66]].concat()),
            FrameError::NotUnderstood { seq: 5 },
        ),
        ("unasked request", raw_frame(UNASKED, &[1]), FrameError::NotUnderstood { seq: UNASKED }),
        ("too long", raw_frame(5, &[1; MAX_PAYLOAD - 4]), FrameError::TooLong),
        ("far too long", vec![0x01; 5000].into_iter().chain([0]).collect(), FrameError::TooLong),
        ("too short for a CRC", vec![0, 4, 1, 2, 3, 0], FrameError::BadCrc),
        ("a run that ends early", vec![0, 9, 1, 2, 0], FrameError::BadCobs),
    ];
    for (what, wire, error) in rows {
        assert_eq!(read_requests(&mut Decoder::new(), wire), [Err(*error)], "{what}");
    }
}

#[test]
fn delimiters_alone_are_nothing() {
    assert_eq!(read_requests(&mut Decoder::new(), &[0; 50]), []);
}

#[test]
fn a_forgotten_beginning_does_not_spoil_the_next_frame() {
    let mut decoder = Decoder::new();
    read_requests(&mut decoder, &[0, 9, 1, 2]);
    decoder.reset();
    assert_eq!(read_requests(&mut decoder, &raw_frame(5, &[1])), [Ok((5, Request::Identify))]);
}

#[test]
fn the_longest_messages_fit() {
    let longest = [
        Reply::Samples(heapless::Vec::from_slice(&[i16::MIN; ADC_MAX_SAMPLES]).unwrap()),
        Reply::Bytes(heapless::Vec::from_slice(&[0xFF; SPI_MAX_BYTES]).unwrap()),
        Reply::Identity(Identity {
            firmware_version: "0123456789abcdef".try_into().unwrap(),
            git_hash: "0123456789abcdef-dirty--".try_into().unwrap(),
            device_id: u64::MAX,
            part: u32::MAX,
            variant: u32::MAX,
            ram_kib: u32::MAX,
            flash_kib: u32::MAX,
            reset_reason: u32::MAX,
            uptime_ms: u32::MAX,
        }),
    ];
    for reply in &longest {
        assert!(reply_frame(u16::MAX, reply).len() <= MAX_FRAME);
    }
    assert_eq!(reply_frame(u16::MAX, &longest[0]).len() - 3, 105, "the figure in the text of MAX_PAYLOAD");
}

#[test]
fn a_buffer_too_small_is_an_error() {
    let needed = request_frame(1, &Request::Identify).len();
    for size in 0..needed {
        let mut buffer = vec![0; size];
        assert_eq!(encode_request(1, &Request::Identify, &mut buffer), Err(FrameError::TooLong), "{size} bytes");
    }
    assert!(encode_request(1, &Request::Identify, &mut vec![0; needed]).is_ok());
}
