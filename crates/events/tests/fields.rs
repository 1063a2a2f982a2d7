//! Fields of syscall events: `cases/syscall/*.yaml` say which values a record of given parameters has.

use std::{collections::BTreeMap, fs, sync::Arc};

use proptest::prelude::*;
use saker_events::{
    Event, SYSCALL_SOURCE,
    container::{Container, Engine, Metadata, Mount, Pod},
    host_names::HostNames,
    process::{Image, Process, ProcessKey, Processes},
    record::{Header, SyscallRecord},
    schema,
    table::{EVENTS, EventRow},
    users::Users,
    write,
};
use saker_rules::{
    schema::{FieldArg, FieldId, Record, field_flags},
    value::Value,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

const TS: u64 = 1_795_399_057_224_573_770;

#[derive(Deserialize)]
struct Suite {
    processes: Vec<ProcessCase>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    event: String,
    #[serde(default)]
    params: serde_json::Map<String, Json>,
    fields: BTreeMap<String, Json>,
    /// Fields of the view with the path that the kernel resolved; absent if there is no such view.
    resolved: Option<BTreeMap<String, Json>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ProcessCase {
    pid: u32,
    ppid: u32,
    comm: String,
    exe: String,
    exepath: String,
    args: Vec<String>,
    env: Vec<String>,
    cwd: String,
    cgroups: Vec<String>,
    uid: u32,
    sid: i64,
    flags: u64,
    started: u64,
    caps: u64,
    /// Whether the container's runtime has told [`metadata`].
    told: bool,
}

fn list(items: &[String]) -> Vec<u8> {
    items.iter().flat_map(|i| [i.as_bytes(), b"\0"].concat()).collect()
}

impl ProcessCase {
    fn process(&self) -> Process {
        let image = Image {
            exe: self.exe.as_bytes().into(),
            exepath: self.exepath.as_bytes().into(),
            args: list(&self.args).into(),
            env: list(&self.env).into(),
            flags: self.flags,
            ..Image::default()
        };
        let cgroups = list(&self.cgroups);
        let mut process = Process::unknown(ProcessKey { pid: self.pid, start: self.pid.into() });
        process.ptid = self.ppid.into();
        process.started = if self.started == 0 { 0 } else { TS - self.started };
        process.image = Arc::new(image);
        process.comm = self.comm.as_bytes().into();
        process.cwd = self.cwd.as_bytes().into();
        process.container = Container::of(&cgroups).map(Arc::new);
        if let Some(container) = process.container.as_ref().filter(|_| self.told) {
            container.set_metadata(metadata());
        }
        process.cgroups = cgroups.into();
        process.uid = self.uid;
        process.gid = self.uid;
        process.sid = self.sid;
        process.vpid = self.pid.into();
        process.vtid = self.pid.into();
        process.caps.effective = self.caps;
        process
    }
}

/// All that a runtime can tell.
fn metadata() -> Metadata {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mount = |source: &str, dest: &str, writable| Mount {
        source: source.to_owned(),
        dest: dest.to_owned(),
        writable,
        propagation: "rslave".to_owned(),
        ..Mount::default()
    };
    Metadata {
        full_id: "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e".to_owned(),
        engine: Some(Engine::Docker),
        name: "web".to_owned(),
        image: "docker.io/library/nginx:1.27".to_owned(),
        image_id: "6f7e2741b66b".to_owned(),
        image_digest: "sha256:00ff".to_owned(),
        privileged: Some(true),
        mounts: vec![mount("/etc/web", "/config", false), mount("/var/log", "/log", true)],
        labels: [label("app", "web"), label("a.b/c", "d")].into_iter().collect(),
        host_pid: Some(false),
        host_network: Some(true),
        host_ipc: None,
        healthcheck: "/bin/true".to_owned(),
        ip: "10.244.0.7".to_owned(),
        cni_json: r#"{"a":1}"#.to_owned(),
        pod: Some(Pod {
            name: "web-0".to_owned(),
            namespace: "shop".to_owned(),
            uid: "3e41dc6b-08a8-44db-bc2a-3724b18ab19a".to_owned(),
            sandbox_id: "63060edc2d3aa803ab559f2393776b151f99fc5b05035b21db66b3b62246ad6a".to_owned(),
            labels: [label("tier", "front")].into_iter().collect(),
        }),
    }
}

#[derive(Debug)]
struct Table(Vec<Process>);

impl Processes for Table {
    fn at(&self, pid: u32, time: u64) -> Option<&Process> {
        self.0.iter().find(|p| p.key.pid == pid && p.key.start <= time)
    }
}

fn users() -> Users {
    Users::parse("root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/zsh\n", "root:x:0:\n")
}

fn header() -> Header {
    Header {
        num: 7,
        ts: TS,
        source: "syscall",
        hostname: "node-1".into(),
        machine: None,
        first_ts: TS - 5,
        previous_ts: TS - 2,
        async_type: None,
        host_names: host_names(),
    }
}

/// Those that rules compare with, as somebody looked them up.
fn host_names() -> HostNames {
    let known = [("10.0.0.2", &["api.example", "b.example"][..]), ("2001:4860:4860::8888", &["dns.example"])];
    let row = |(address, names): (&str, &[&str])| {
        (address.parse().expect("an address"), names.iter().map(|name| Arc::from(*name)).collect())
    };
    let host_names = HostNames::looked_up();
    host_names.swap(known.map(row).into_iter().collect());
    host_names
}

/// The field and argument of `name`, `name[arg]` or `name.arg`.
fn field(text: &str) -> (FieldId, Option<FieldArg>) {
    let arg = |text: &str| FieldArg { text: text.to_owned(), index: text.parse().ok() };
    let schema = schema();
    if let Some(id) = schema.find_field(SYSCALL_SOURCE, text) {
        return (id, None);
    }
    if let Some((name, rest)) = text.split_once('[') {
        let id = schema.find_field(SYSCALL_SOURCE, name).expect("a field");
        return (id, Some(arg(rest.trim_end_matches(']'))));
    }
    let dots = text.match_indices('.').rev();
    let dotted = |(at, _)| Some((schema.find_field(SYSCALL_SOURCE, &text[..at])?, &text[at + 1..]));
    let (id, rest) = dots.into_iter().find_map(dotted).unwrap_or_else(|| panic!("no field {text}"));
    assert!(schema.field(id).expect("a row").has(field_flags::DOTTED_ARG), "{text}");
    (id, Some(arg(rest)))
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::Uint(n) => json!(n),
        Value::Double(n) => json!(n),
        Value::Text(text) | Value::Bytes(text) => json!(String::from_utf8_lossy(text)),
        Value::Ip(ip) => json!(ip.to_string()),
        Value::Net(ip, bits) => json!(format!("{ip}/{bits}")),
        Value::List(values) => values.iter().map(to_json).collect(),
    }
}

fn compare(case: &str, record: &SyscallRecord, fields: &BTreeMap<String, Json>) {
    for (name, expected) in fields {
        let (id, arg) = field(name);
        let actual = record.field(id, arg.as_ref()).map_or(Json::Null, |v| to_json(&v));
        assert_eq!(&actual, expected, "{case}: {name}");
    }
}

fn check(case: &Case, table: &Table) {
    let row = write::row(&case.event).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let params = write::params(row, &case.params).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let process = &table.0[0];
    let bytes = write::event(TS, process.pid, row.code, &params);
    let event = Event::parse(&bytes).expect("an event");
    let (header, users) = (header(), users());
    let record = SyscallRecord::new(&header, event, Some(process), table, &users).expect("a record");
    compare(&case.name, &record, &case.fields);
    let resolved = record.second_view();
    assert_eq!(resolved.is_some(), case.resolved.is_some(), "{}: a second view", case.name);
    if let (Some((view, _)), Some(fields)) = (resolved, &case.resolved) {
        compare(&case.name, &view, fields);
    }
}

#[test]
fn fields_of_syscall_events() {
    for file in fs::read_dir("tests/cases/syscall").expect("the cases") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("a text");
        let suite: Suite = serde_saphyr::from_str(&text).expect("a suite");
        let table = Table(suite.processes.iter().map(ProcessCase::process).collect());
        suite.cases.iter().for_each(|case| check(case, &table));
    }
}

/// Asks every field, with arguments of every kind, of both views.
fn ask_everything(event: Event) {
    let process = ProcessCase { pid: 9, cwd: "/tmp/".into(), ..ProcessCase::default() }.process();
    let (header, users, table) = (header(), users(), Table(vec![process]));
    let Some(record) = SyscallRecord::new(&header, event, table.0.first(), &table, &users) else { return };
    let names = record.row.params.iter().map(|p| FieldArg { text: p.name.into(), index: None });
    let indices = (0..40).map(|i| FieldArg { text: i.to_string(), index: Some(i) });
    let mut args: Vec<Option<FieldArg>> = names.chain(indices).map(Some).collect();
    args.push(None);
    for view in std::iter::once(record.clone()).chain(record.second_view().map(|(view, _)| view)) {
        for id in (0..).take(schema().fields().len()).map(FieldId) {
            for arg in &args {
                view.field(id, arg.as_ref());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(event) = Event::parse(&bytes) {
            ask_everything(event);
        }
    }

    #[test]
    fn any_parameters_are_read(
        code in 0..EVENTS.len(),
        params in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40),
    ) {
        let code = u16::try_from(code).expect("few events");
        let bytes = write::event(TS, 9, code, &params);
        ask_everything(Event::parse(&bytes).expect("an event"));
    }

    #[test]
    fn written_numbers_read_back(code in 0..EVENTS.len(), seed in any::<u8>()) {
        let row = EventRow::of(u16::try_from(code).expect("few events")).expect("a row");
        for param in row.params {
            let value = json!(seed);
            let Ok(bytes) = write::param(param, &value) else { continue };
            let read = saker_events::param::number(param.ty, &bytes).expect("a number");
            prop_assert_eq!(read.bits(), u64::from(seed));
        }
    }
}
