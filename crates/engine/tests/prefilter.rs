//! What the filter of opens leaves out matches no rule; and it leaves out what is worth it.

use proptest::{collection::vec, prelude::*, sample::select};
use saker_capture::Entry;
use saker_engine::{
    CaptureEngine, Matching, Options, RulesHandle, SyscallEngine,
    prefilter::{Open, PathTable, families},
};
use saker_events::{Event, Origin, SYSCALL_SOURCE, load_options, schema, write};
use saker_rules::{
    ast::Expr,
    compile::Condition,
    limits::MAX_DEPTH,
    load::{Mode, SourceFile, load},
    parse::parse,
    ruleset::{RuleInfo, RuleSetBuilder},
    template::Template,
};
use serde_json::json;

fn condition(text: &str) -> Expr {
    parse(text, MAX_DEPTH).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn table(conditions: &[&str]) -> PathTable {
    let conditions: Vec<_> = conditions.iter().map(|text| condition(text)).collect();
    PathTable::new(conditions.iter()).expect("a small table")
}

/// Kinds of opens by letters: read, write, directory, success.
fn open(letters: &str) -> Open {
    let has = |letter| letters.contains(letter);
    Open { read: has('r'), write: has('w'), directory: has('d'), success: has('s') }
}

/// A condition, opens that pass and opens that do not, as `KIND PATH`.
#[track_caller]
fn check(text: &str, passing: &[&str], rejected: &[&str]) {
    let table = table(&[text]);
    let expected = passing.iter().map(|open| (open, true)).chain(rejected.iter().map(|open| (open, false)));
    for (given, passes) in expected {
        let (kind, path) = given.split_once(' ').expect("KIND PATH");
        assert_eq!(table.passes(open(kind), path.as_bytes()), passes, "{text}: {given}");
    }
}

#[test]
fn paths_and_flags_decide() {
    let shadow = "evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.num >= 0 and fd.name = /etc/shadow";
    check(
        shadow,
        &["rs /etc/shadow", "rws /etc/shadow"],
        &["rs /etc/shadow-", "rs /etc/hostname", "ws /etc/shadow", "r /etc/shadow"],
    );
    check("evt.type = creat and fd.directory = /", &["ws /x"], &["rs /x", "ws /x/y", "rws /x"]);
    check(
        "evt.type = openat and evt.failed = true and fd.name startswith /root/.ssh",
        &["r /root/.ssh/id"],
        &["rs /root/.ssh/id", "r /root/.s"],
    );
    check(
        "fd.filename in (authorized_keys, a) and evt.type = open",
        &["rs /h/authorized_keys", "rs /a"],
        &["rs /aa", "rs /a/b", "rds /h/a", "r /h/a"],
    );
    check(
        "evt.type=open and fd.directory in (/var/log, /dev/log)",
        &["rs /var/log/x", "rds /var/log"],
        &["rs /var/log/x/y", "rds /var/log/x", "rs /var/log"],
    );
    check("evt.type=open and fd.name glob /proc/*/environ", &["rs /proc/1/environ"], &["rs /proc/1/maps"]);
    check("evt.type=open and not fd.name startswith /usr/", &["rs /etc/x"], &["rs /usr/x"]);
    check("evt.type=open and not (fd.name startswith /usr/ and proc.name = x)", &["rs /usr/x"], &[]);
}

#[test]
fn what_the_kernel_cannot_decide_passes() {
    check("evt.type = open and proc.name = cat", &["rs /x", "w /x"], &[]);
    check("evt.type = open and not fd.name regex /x.*", &["rs /x", "rs /y"], &[]);
    check("evt.type = open and tolower(fd.name) = /x", &["rs /y"], &[]);
    check("evt.type = open and fd.name exists", &["rs /y"], &[]);
    check("evt.type = open and fd.name != fd.nameraw", &["rs /y"], &[]);
    check("evt.num > 0", &["r /y"], &[]);
}

#[test]
fn paths_that_normalising_changes_pass() {
    let paths = ["rs /a/../b", "rs /a//b", "rs /a/./b", "rs /a/.", "rs /a/", "rs /a..b"];
    check("evt.type = open and fd.name = /x", &paths, &["rs /.a/b", "r /a.b/.c"]);
}

#[test]
fn conditions_without_opens_need_none() {
    let table = table(&["evt.type = execve and proc.name = cat", "evt.type = open and evt.num = 0"]);
    assert_eq!(table.kinds, [0; Open::KINDS]);
}

/// The default rules keep the filter worth having.
#[test]
fn common_opens_do_not_pass_the_default_rules() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../rulesets/saker_syscall_rules.yaml"
    ));
    let file = SourceFile::new("rules", text.expect("the default rules"));
    let loaded = load(&[file], &saker_rules::load::LoadOptions { mode: Mode::Strict, ..load_options() });
    let table = PathTable::new(loaded.conditions(SYSCALL_SOURCE)).expect("a table");
    for path in
        ["/etc/hostname", "/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/proc/stat", "/tmp/a"]
    {
        assert!(!table.passes(open("rs"), path.as_bytes()), "{path}");
    }
    assert!(table.passes(open("rs"), b"/etc/shadow") && table.passes(open("ws"), b"/etc/x"));
}

const PATHS: [&str; 14] = [
    "/etc/shadow",
    "/etc/passwd",
    "/etc",
    "/",
    "/etc/pam.d/x",
    "/root/.ssh/id_rsa",
    "/home/u/.ssh/id_rsa",
    "/tmp/x",
    "/x",
    "/etc/../x",
    "/a//b",
    "/usr/bin/etc",
    "/x.",
    "/etc/shadow.bak",
];
const VALUES: [&str; 14] = [
    "/etc/shadow",
    "/etc/",
    "/etc",
    "/",
    "x",
    "shadow",
    "id_rsa",
    ".ssh",
    "/.ssh/",
    "etc",
    "/x",
    "/home/*/.ssh/*",
    "'../'",
    "?etc*",
];

fn atom() -> impl Strategy<Value = String> {
    let field = select(vec!["fd.name", "fd.filename", "fd.directory", "fd.nameraw", "fs.path.name"]);
    let op =
        select(vec!["=", "!=", "startswith", "endswith", "contains", "glob", "in", "pmatch", "icontains"]);
    let path =
        (field, op, select(VALUES.to_vec()), select(VALUES.to_vec())).prop_map(
            |(field, op, a, b)| match op {
                "in" | "pmatch" => format!("{field} {op} ({a}, {b})"),
                op => format!("{field} {op} {a}"),
            },
        );
    let other = select(vec![
        "evt.type = creat",
        "evt.type in (open, openat)",
        "evt.type != openat2",
        "evt.is_open_read = true",
        "evt.is_open_write = false",
        "fd.num >= 0",
        "fd.num = -1",
        "fd.num < 3",
        "evt.res = SUCCESS",
        "evt.res startswith E",
        "evt.failed = true",
        "evt.rawres < 0",
        "evt.rawres = 3",
        "fd.typechar = 'f'",
        "fd.typechar = 'o'",
        "fd.type = directory",
        "fd.type in (file, directory)",
        "proc.name = cat",
        "fd.filename exists",
        "evt.num = 0",
        "evt.arg.name contains '..'",
    ]);
    prop_oneof![3 => path, 2 => other.prop_map(str::to_owned)]
}

fn any_condition() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 4, |inner| {
        let join = |word: &'static str| move |members: Vec<String>| format!("({})", members.join(word));
        let members = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            members().prop_map(join(" and ")),
            members().prop_map(join(" or ")),
            inner.clone().prop_map(|member| format!("not ({member})")),
        ]
    })
}

/// A call and what it may ask for; every open reads or writes.
fn any_open() -> impl Strategy<Value = (&'static str, Open)> {
    let call = select(vec!["open", "openat", "openat2", "creat"]);
    let access = select(vec!["r", "w", "rw", "rd", "rwd"]);
    (call, access, any::<bool>()).prop_map(|(call, access, success)| {
        let access = if call == "creat" { "w" } else { access };
        (call, Open { success, ..open(access) })
    })
}

/// A rule of this condition.
fn rules(text: &str) -> RulesHandle {
    let schema = schema();
    let condition = Condition::compile(&condition(text), &schema, SYSCALL_SOURCE).expect("a condition");
    let output = Template::compile("x", &schema, SYSCALL_SOURCE).expect("an output");
    let mut builder = RuleSetBuilder::new(schema);
    let info = RuleInfo {
        name: "r".to_owned(),
        desc: String::new(),
        priority: 4,
        source: SYSCALL_SOURCE,
        tags: Vec::new(),
        enabled: true,
        ..RuleInfo::default()
    };
    builder.add(info, &condition, output, Vec::new());
    RulesHandle::new(builder.build())
}

/// An open as the probe tells it.
fn event(call: &str, open: Open, path: &str, resolved: &str) -> Vec<u8> {
    let flags = u32::from(open.read) | u32::from(open.write) << 1 | if open.directory { 1 << 10 } else { 0 };
    let fd = if open.success { 3 } else { -2 };
    let mut params = json!({"fd": fd, "name": path, "resolved": if open.success { resolved } else { "" }});
    if call != "creat" {
        params["flags"] = flags.into();
    }
    let row = write::row(call).expect("an event");
    let params = write::params(row, params.as_object().expect("an object")).expect("parameters");
    write::event(1, 9, row.code, &params)
}

fn parsed(bytes: &[u8]) -> Event<'_> {
    let mut event = Event::parse(bytes).expect("an event");
    event.num = 1;
    event
}

/// Whether the rule alerts on this open.
fn alerts(text: &str, call: &str, open: Open, path: &str, resolved: &str) -> bool {
    let options = Options { matching: Matching::All, ..Options::new("n") };
    let mut engine = SyscallEngine::new(&rules(text), &options);
    let bytes = event(call, open, path, resolved);
    let mut event = parsed(&bytes);
    event.origin = Some(Origin { tgid: 9, start: 7 });
    let mut count = 0;
    engine.event(&event, &mut |_| count += 1);
    count > 0
}

/// Alerts on each of these opens in a capture.
fn replayed(rules: &RulesHandle, filter: Option<PathTable>, opens: &[Vec<u8>]) -> Vec<usize> {
    let options = Options { matching: Matching::All, ..Options::new("n") };
    let mut engine = CaptureEngine::new(rules, &options).with_filter(filter);
    let alerts = opens.iter().map(|bytes| {
        let mut count = 0;
        engine.entry(Entry::Event { event: parsed(bytes), state_only: false }, &mut |_| count += 1);
        count
    });
    alerts.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_out_matches_no_rule(
        text in any_condition(), (call, open) in any_open(),
        path in select(PATHS.to_vec()), resolved in select(PATHS.to_vec()),
    ) {
        let table = table(&[&text]);
        let passes = table.passes(open, path.as_bytes()) || open.success && table.passes(open, resolved.as_bytes());
        prop_assert!(passes || !alerts(&text, call, open, path, resolved), "{text}");
    }

    #[test]
    fn a_capture_is_told_the_same_with_the_filter(
        text in any_condition(),
        opens in vec((any_open(), select(PATHS.to_vec()), select(PATHS.to_vec())), 1..8),
    ) {
        let told = |((call, open), path, resolved)| event(call, open, path, resolved);
        let (rules, opens): (_, Vec<_>) = (rules(&text), opens.into_iter().map(told).collect());
        let filtered = replayed(&rules, Some(table(&[&text])), &opens);
        prop_assert_eq!(filtered, replayed(&rules, None, &opens), "{}", text);
    }
}

#[test]
fn families_of_sockets_are_those_that_rules_ask_for() {
    let bit = |family: u32| 1_u64 << family;
    let (unix, inet, netlink, packet, others) = (bit(1), bit(2), bit(16), bit(17), bit(63));
    let check = |text: &str, passing: u64, rejected: u64| {
        let families = families([&condition(text)].into_iter());
        assert_eq!((families & passing, families & rejected), (passing, 0), "{text}: {families:x}");
    };
    let usual = unix | inet | netlink;
    check("evt.type=socket and evt.arg.domain contains AF_PACKET", packet | others, usual);
    check("evt.type=socket and evt.arg[domain]=AF_PACKET and proc.name=x", packet | others, usual);
    check(
        "evt.type in (socket, bind) and evt.arg.domain in (AF_INET, AF_PACKET)",
        inet | packet | others,
        unix | netlink,
    );
    check(
        "evt.type=socket and not evt.arg.domain in (AF_INET, AF_PACKET)",
        usual & !inet | others,
        inet | packet,
    );
    check("evt.type=socket and evt.arg.domain contains AF_UNIX", unix | others, inet | packet);
    check("evt.type=socket and (evt.arg.domain=AF_PACKET or proc.name=x)", u64::MAX, 0);
    check("evt.type=socket and evt.arg[1]=AF_PACKET", u64::MAX, 0);
    check("evt.type=socket and toupper(evt.arg.domain)=AF_PACKET", u64::MAX, 0);
    check("evt.type=openat and proc.name=x", 0, u64::MAX);
    check("proc.name=x", u64::MAX, 0);
}
