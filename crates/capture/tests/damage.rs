//! Captures that are cut off or changed give what comes before the damage, then say what is wrong.

mod common;

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use proptest::prelude::*;
use saker_capture::{FdKind, ListedFd, ListedProcess, UserList, Writer};
use saker_events::{Event, descriptor::FdType, table::code, write};

/// A small capture, and where each of its blocks ends.
fn capture() -> (Vec<u8>, Vec<usize>) {
    let mut writer = Writer::new(Vec::new());
    let mut ends = Vec::new();
    let mut end = |writer: &Writer<Vec<u8>>| ends.push(writer.get_ref().len());
    writer.section().unwrap();
    end(&writer);
    writer.users(&UserList::default()).unwrap();
    end(&writer);
    writer.processes(&[ListedProcess { tid: 7, comm: b"sh".to_vec(), ..ListedProcess::default() }]).unwrap();
    end(&writer);
    let kind = FdKind::Named { kind: FdType::Pipe, name: b"pipe:[1]".to_vec() };
    writer.fds(7, &[ListedFd { fd: 0, ino: 1, kind }]).unwrap();
    end(&writer);
    for ts in 0..5 {
        let bytes = write::event(ts, 7, code::SYSCALL_CLOSE_X, &[vec![0; 8], vec![3; 8]]);
        assert!(writer.event(&Event::parse(&bytes).unwrap(), false).unwrap());
        end(&writer);
    }
    (writer.into_inner(), ends)
}

/// Every byte that can be decompressed, one after the other.
fn gunzip(packed: &[u8]) -> Vec<u8> {
    let (mut packed, mut byte, mut bytes) = (MultiGzDecoder::new(packed), [0], Vec::new());
    while matches!(packed.read(&mut byte), Ok(1)) {
        bytes.extend(byte);
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_cut_file_gives_its_whole_blocks() {
    let (bytes, ends) = capture();
    let (whole, error) = common::read(&bytes);
    assert!(error.is_none() && whole.len() == ends.len());
    for cut in 1..bytes.len() {
        let blocks = ends.iter().filter(|end| **end <= cut).count();
        let (read, error) = common::read(&bytes[..cut]);
        assert_eq!(read, whole[..blocks], "cut at {cut}");
        let error = error.map(|e| e.to_string()).unwrap_or_default();
        let expected = match blocks {
            0 => "this is no capture file",
            1..=4 if ends.contains(&cut) => "holds no events",
            _ if ends.contains(&cut) => "",
            _ => "damaged at byte",
        };
        assert!(
            error.contains(expected) && error.is_empty() == expected.is_empty() || blocks == 0,
            "cut at {cut}: {error}"
        );
    }
}

#[test]
fn a_cut_compressed_file_gives_what_can_be_decompressed() {
    let (bytes, _) = capture();
    let (whole, packed) = (common::read(&bytes).0, gzip(&bytes));
    let (read, error) = common::read(&packed);
    assert!(read == whole && error.is_none());
    for cut in 2..packed.len() - 1 {
        let (read, error) = common::read(&packed[..cut]);
        assert_eq!(read, whole[..read.len()], "cut at {cut}");
        assert_eq!(read, common::read(&gunzip(&packed[..cut])).0, "cut at {cut}");
        assert!(error.is_some() || read.len() == whole.len(), "cut at {cut}");
    }
}

#[test]
fn a_damaged_compressed_file_gives_what_comes_before() {
    let mut writer = Writer::new(Vec::new());
    writer.section().unwrap();
    let mut noise = 1_u64;
    for ts in 0..3000 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let data = noise.to_le_bytes().repeat(25);
        let params = [vec![0; 8], data, vec![3; 8], vec![0; 4]];
        let bytes = write::event(ts, 7, code::SYSCALL_WRITE_X, &params);
        assert!(writer.event(&Event::parse(&bytes).unwrap(), false).unwrap());
    }
    let bytes = writer.into_inner();
    let whole = common::read(&bytes).0;
    let mut packed = gzip(&bytes);
    let half = packed.len() / 2;
    packed[half..half + 64].fill(0xff);
    let (read, error) = common::read(&packed);
    assert!(error.is_some());
    assert_eq!(read, common::read(&gunzip(&packed)).0);
    let same = read.iter().zip(&whole).take_while(|(read, whole)| read == whole).count();
    assert!(same > whole.len() * 2 / 5, "{same} of {}", whole.len());
}

#[test]
fn several_compressed_parts_are_one_stream() {
    let (bytes, _) = capture();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let packed = [gzip(first), gzip(second)].concat();
    assert_eq!(common::read(&packed).0, common::read(&bytes).0);
}

#[test]
fn what_is_no_capture_is_named() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "the capture holds no events: record it again, for longer"),
        (
            b"#!/bin/sh\necho a script, not a capture\n",
            "this is no capture file: give a .scap file, plain or compressed with gzip",
        ),
        (
            &common::block(0x0A0D_0D0A, &common::bytes("u32:439041101 u16:2 u16:0 u64:0")),
            "the capture has format version 2.0, this program reads 1.x: update it",
        ),
        (
            &common::block(0x0A0D_0D0A, &common::bytes("u32:1295788826 u16:256 u16:512 u64:0")),
            "the capture was written on a big-endian machine: replay it there",
        ),
        (
            &[common::section(), b"\x16\x02\0\0\xff\xff\xff\xff".to_vec()].concat(),
            "the capture is damaged at byte 28: expected a block with a length between 12 bytes and 128 MiB; what comes before is good, the rest is lost",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(common::read(bytes).1.map(|e| e.to_string()).as_deref(), Some(expected));
    }
}

proptest! {
    #[test]
    fn changed_bytes_change_nothing_before_them(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let (mut bytes, ends) = capture();
        let whole = common::read(&bytes).0;
        let mut first = bytes.len();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
            first = first.min(at);
        }
        let untouched = ends.iter().filter(|end| **end <= first).count();
        let (read, error) = common::read(&bytes);
        prop_assert_eq!(&read[..untouched], &whole[..untouched]);
        let message = error.map(|e| e.to_string()).unwrap_or_default();
        prop_assert!(message.len() < 300);
    }

    #[test]
    fn any_bytes_behind_a_header_are_survived(bytes: Vec<u8>, kind in 0x201_u32..0x223) {
        let capture = [common::section(), common::block(kind, &bytes)].concat();
        let (read, _) = common::read(&capture);
        prop_assert!(!read.is_empty());
    }
}
