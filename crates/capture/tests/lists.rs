//! Lists of every version, from bytes made by hand.

mod common;

use std::collections::BTreeMap;

use saker_capture::{Entry, ListedProcess, Reader};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessCase {
    name: String,
    block: u32,
    body: String,
    process: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListCase {
    name: String,
    blocks: Vec<(u32, String)>,
    entries: Vec<String>,
    error: Option<String>,
}

/// Fields that are not as they are by default.
fn facts(process: &ListedProcess) -> BTreeMap<String, String> {
    let (all, default) = (all_facts(process), all_facts(&ListedProcess::default()));
    let other = all.into_iter().zip(default).filter(|(a, b)| a != b);
    other.map(|((name, value), _)| (name.to_owned(), value)).collect()
}

fn all_facts(p: &ListedProcess) -> Vec<(&'static str, String)> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    vec![
        ("tid", p.tid.to_string()),
        ("pid", p.pid.to_string()),
        ("ptid", p.ptid.to_string()),
        ("sid", p.sid.to_string()),
        ("vpgid", p.vpgid.to_string()),
        ("comm", text(&p.comm)),
        ("exe", text(&p.exe)),
        ("exepath", text(&p.exepath)),
        ("args", text(&p.args)),
        ("cwd", text(&p.cwd)),
        ("fdlimit", p.fdlimit.to_string()),
        ("flags", p.flags.to_string()),
        ("uid", p.uid.to_string()),
        ("gid", p.gid.to_string()),
        ("vmsize_kb", p.vmsize_kb.to_string()),
        ("vmrss_kb", p.vmrss_kb.to_string()),
        ("vmswap_kb", p.vmswap_kb.to_string()),
        ("pfmajor", p.pfmajor.to_string()),
        ("pfminor", p.pfminor.to_string()),
        ("env", text(&p.env)),
        ("vtid", p.vtid.to_string()),
        ("vpid", p.vpid.to_string()),
        ("cgroups", text(&p.cgroups)),
        ("root", text(&p.root)),
        ("pidns_init_start_ts", p.pidns_init_start_ts.to_string()),
        ("tty", p.tty.to_string()),
        ("loginuid", p.loginuid.to_string()),
        ("exe_writable", p.exe_writable.to_string()),
        ("cap_inheritable", p.cap_inheritable.to_string()),
        ("cap_permitted", p.cap_permitted.to_string()),
        ("cap_effective", p.cap_effective.to_string()),
        ("exe_upper_layer", p.exe_upper_layer.to_string()),
        ("exe_ino", p.exe_ino.to_string()),
        ("exe_ino_ctime", p.exe_ino_ctime.to_string()),
        ("exe_ino_mtime", p.exe_ino_mtime.to_string()),
        ("exe_from_memfd", p.exe_from_memfd.to_string()),
        ("exe_lower_layer", p.exe_lower_layer.to_string()),
        ("pgid", p.pgid.to_string()),
    ]
}

#[test]
fn threads_in_every_version() {
    let cases: Vec<ProcessCase> =
        serde_saphyr::from_str(include_str!("cases/processes.yaml")).expect("the cases");
    for case in cases {
        let body = common::bytes(&case.body);
        let twice = [body.as_slice(), &body].concat();
        let capture = [common::section(), common::block(case.block, &twice)].concat();
        let mut reader = Reader::new(capture.as_slice()).unwrap();
        assert!(matches!(reader.next().unwrap(), Some(Entry::Section)));
        let Some(Entry::Processes(list)) = reader.next().unwrap() else { panic!("{}", case.name) };
        assert_eq!(list.iter().map(facts).collect::<Vec<_>>(), [case.process.clone(), case.process]);
    }
}

/// The entries of a capture made of these blocks; texts in quotes, not as numbers.
#[test]
fn blocks_of_every_kind() {
    let cases: Vec<ListCase> = serde_saphyr::from_str(include_str!("cases/blocks.yaml")).expect("the cases");
    for case in cases {
        let blocks = case.blocks.iter().flat_map(|(kind, body)| common::block(*kind, &common::bytes(body)));
        let capture: Vec<u8> = common::section().into_iter().chain(blocks).collect();
        let (entries, error) = common::read(&capture);
        let entries: Vec<_> = entries.iter().skip(1).map(|entry| readable(entry)).collect();
        assert_eq!(entries, case.entries, "{}", case.name);
        assert_eq!(error.map(|e| e.to_string()), case.error, "{}", case.name);
    }
}

/// Lists of numbers, which are texts here, as texts.
fn readable(debug: &str) -> String {
    let mut out = String::new();
    for (at, part) in debug.split('[').enumerate() {
        let list = part.split_once(']').filter(|_| at > 0);
        let text = list.and_then(|(list, rest)| {
            let bytes: Option<Vec<u8>> = list.split(", ").map(|n| n.parse().ok()).collect();
            Some(format!("{:?}{rest}", String::from_utf8(bytes?).ok()?))
        });
        match text {
            Some(text) => out.push_str(&text),
            None if at > 0 => out.extend(["[", part]),
            None => out.push_str(part),
        }
    }
    out
}
