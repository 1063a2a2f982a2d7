//! Rule sets mean what the plain interpreter of their trees says, on random rules and random events.

#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/small.rs"]
mod small;

use std::{collections::HashMap, sync::Arc};

use oracle::Oracle;
use proptest::prelude::*;
use saker_rules::{
    ast::Expr,
    compile::Condition,
    limits::MAX_DEPTH,
    parse::parse,
    ruleset::{Matching, RuleInfo, RuleSet, RuleSetBuilder, Scratch},
    schema::{
        EventTypeId, FieldArg, FieldId, ProcessState, Quantifier, Record, Schema, SourceId, field_flags,
    },
    template::Template,
    value::{FieldType, Value},
};

const SOURCE: SourceId = SourceId(0);
/// Pairs of a rule and an event: the product is more than a million.
const SETS: u32 = 100;
const RULES: usize = 32;
const EVENTS: usize = 320;

const TEXT: &[&str] = &["=", "!=", "contains", "icontains", "startswith", "endswith"];
const GLOB: &[&str] = &["glob", "iglob", "pmatch", "in", "exists", "= anyof", "contains allof", "= oneof"];
const NUMBER: &[&str] = &["=", "!=", "<", "<=", ">", ">=", "in", "exists"];
const ADDRESS: &[&str] = &["=", "!=", "in", "exists"];
const LIST: &[&str] = &["in", "intersects", "exists"];
const NAMES: &[&str] = &[
    "bash", "Bash", "sh", "b", "x*", "b?sh*", "/usr", "/usr/lib", "", "YmFzaA==", "-ax", "-abx", "-b", "--b",
    "--",
];
const PATTERNS: &[&str] = &["bash", "b.*", ".*sh", "x?.+", "B*a+s.|sh", "b?sh*", "/usr.*|", "."];
const SMALL: &[&str] = &["0", "1", "2", "7"];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.9.0.1", "192.168.0.1", "::1"];
const NETS: &[&str] = &["10.0.0.0/8", "10.0.0.0/16", "0.0.0.0/0", "::/64"];

/// Left side, operators, literals.
const CHECKS: &[(&str, &[&str], &[&str])] = &[
    ("evt.type", ADDRESS, &["open", "openat", "close"]),
    ("evt.cpu", NUMBER, SMALL),
    ("evt.is_io", &["=", "!=", "exists"], &["true", "false"]),
    ("evt.reltime", NUMBER, SMALL),
    ("evt.buffer", &["=", "contains", "startswith", "exists"], &["a", "ab", "b"]),
    ("evt.buffer", &["bcontains", "bstartswith"], &["61", "6162", "62", "63"]),
    ("evt.rawarg[flags]", &["=", "!=", ">", "in"], SMALL),
    ("evt.arg[name]", TEXT, NAMES),
    ("proc.name", TEXT, NAMES),
    ("proc.name", GLOB, NAMES),
    ("proc.name", NUMBER, SMALL),
    ("proc.name", &["=", "!=", "contains", "startswith"], &["val(proc.pname)", "tolower(proc.pname)"]),
    ("proc.name", &["regex", "regex anyof"], PATTERNS),
    ("tolower(proc.name)", TEXT, NAMES),
    ("basename(proc.name)", TEXT, NAMES),
    ("b64(proc.name)", &["=", "!=", "contains", "exists"], NAMES),
    ("len(b64(proc.name))", NUMBER, SMALL),
    ("join(\"\", (proc.name, proc.pid, \"sh\", 1))", TEXT, &["bash1sh1", "7sh", "sh"]),
    ("join(\"/\", fd.types)", TEXT, &["bash/sh", "/usr/", "sh/b"]),
    ("concat(proc.name, \"s\", tolower(proc.pname))", TEXT, &["bsh", "bashsbash", "/usrs", "b"]),
    ("getopt((proc.name, proc.pname, proc.args), \"ab:\")[b]", TEXT, NAMES),
    ("getopt((proc.name, proc.pname, proc.args), \"ab:\")[a]", TEXT, &["a", "b"]),
    ("getopt((proc.name, proc.pname, proc.args), \"b:\")", LIST, &["a", "b", "?", "x", "sh"]),
    ("toupper(proc.pname)", GLOB, NAMES),
    ("len(proc.args)", NUMBER, SMALL),
    ("proc.pid", NUMBER, SMALL),
    ("proc.usage", NUMBER, SMALL),
    ("proc.aname", TEXT, NAMES),
    ("proc.aname", GLOB, NAMES),
    ("fd.dev", NUMBER, SMALL),
    ("fd.sip", ADDRESS, ADDRESSES),
    ("fd.sport", NUMBER, SMALL),
    ("fd.snet", ADDRESS, NETS),
    ("fd.ip", ADDRESS, ADDRESSES),
    ("fd.net", ADDRESS, NETS),
    ("fd.sip.name", TEXT, NAMES),
    ("fd.sip.name", GLOB, NAMES),
    ("fd.types", LIST, NAMES),
    ("fd.nums", LIST, SMALL),
];

/// A small generator (xorshift), because proptest's trees would take most of the time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn check(&mut self) -> String {
        let (left, ops, literals) = CHECKS[self.below(CHECKS.len())];
        let (op, one) = (self.of(ops), self.of(literals));
        let bare = one.contains('(') || op.starts_with(['<', '>']);
        let quoted = if bare { one.to_owned() } else { format!("'{one}'") };
        match op {
            "exists" => format!("{left} exists"),
            "in" | "intersects" | "pmatch" | "= anyof" | "contains allof" | "= oneof" | "regex anyof" => {
                format!("{left} {op} ('{one}', '{}')", self.of(literals))
            }
            _ => format!("{left} {op} {quoted}"),
        }
    }

    /// A condition over a few checks, which the rules of a set share.
    fn condition(&mut self, checks: &[String], depth: usize) -> String {
        if depth == 0 || self.below(4) == 0 {
            return checks[self.below(checks.len())].clone();
        }
        let mut part = || self.condition(checks, depth - 1);
        let (first, second) = (part(), part());
        match self.below(5) {
            0 => format!("not ({first})"),
            1 | 2 => format!("({first} and {second})"),
            _ => format!("({first} or {second})"),
        }
    }

    fn value(&mut self, ty: FieldType) -> Value<'static> {
        let number = self.of(SMALL);
        match ty {
            FieldType::Bool => Value::Bool(number == "1"),
            FieldType::Double => Value::Double(number.parse().unwrap()),
            FieldType::CharBuf | FieldType::FsPath => Value::text(self.of(NAMES)),
            FieldType::ByteBuf => Value::Bytes(self.of(&["a", "ab", "cab"]).as_bytes().into()),
            FieldType::IpAddr | FieldType::IpNet => Value::Ip(self.of(ADDRESSES).parse().unwrap()),
            FieldType::Int8 | FieldType::Int16 | FieldType::Int32 | FieldType::Int64 => {
                Value::Int(number.parse().unwrap())
            }
            _ => Value::Uint(number.parse().unwrap()),
        }
    }

    /// A process as it is for a while: states come in any order, and come again.
    fn process(&mut self) -> Option<ProcessState> {
        let mut below = |bound| self.below(bound) as u64;
        let state = ProcessState { who: below(3), version: below(3), changes: below(2) };
        (below(8) > 0).then_some(state)
    }

    /// Every field has a value, several or none; those of a process have the same in the same state.
    fn event(&mut self, schema: &Schema, known: &mut States) -> TestEvent {
        let process = self.process();
        let mut event = self.values(schema);
        let Some(state) = process else { return event };
        let first =
            known.entry([state.who, state.version, state.changes]).or_insert_with(|| event.values.clone());
        for ((field, value), first) in schema.fields().iter().zip(&mut event.values).zip(first) {
            if field.has(field_flags::OF_PROCESS) {
                value.clone_from(first);
            }
        }
        TestEvent { process, ..event }
    }

    fn values(&mut self, schema: &Schema) -> TestEvent {
        let ty = self.below(schema.event_types().len());
        let has = |name| schema.event_types()[ty].parameters.contains(&name);
        let mut values = Vec::new();
        for field in schema.fields() {
            let many = field.list || field.quantifier != Quantifier::One;
            values.push(match field.name {
                "evt.type" => Some(Value::text(schema.event_types()[ty].name)),
                "evt.arg" if !has("name") => None,
                "evt.rawarg" if !has("flags") => None,
                _ if self.below(4) == 0 => None,
                _ if many => {
                    let count = self.below(3);
                    Some(Value::List((0..count).map(|_| self.value(field.ty)).collect()))
                }
                _ => Some(self.value(field.ty)),
            });
        }
        TestEvent { ty: EventTypeId(u16::try_from(ty).unwrap()), process: None, values }
    }
}

/// The values of processes in each of their states.
type States = HashMap<[u64; 3], Vec<Option<Value<'static>>>>;

#[derive(Debug)]
struct TestEvent {
    ty: EventTypeId,
    process: Option<ProcessState>,
    values: Vec<Option<Value<'static>>>,
}

impl Record for TestEvent {
    fn event_type(&self) -> EventTypeId {
        self.ty
    }

    fn field<'a>(&'a self, field: FieldId, _: Option<&FieldArg>) -> Option<Value<'a>> {
        self.values[usize::from(field.0)].clone()
    }

    fn process_state(&self) -> Option<ProcessState> {
        self.process
    }
}

fn rule_set(schema: &Arc<Schema>, trees: &[Expr]) -> RuleSet {
    let mut builder = RuleSetBuilder::new(Arc::clone(schema));
    for (at, tree) in trees.iter().enumerate() {
        let condition = Condition::compile(tree, schema, SOURCE).unwrap_or_else(|e| panic!("{tree}: {e}"));
        let info = RuleInfo {
            name: at.to_string(),
            desc: String::new(),
            priority: 0,
            source: SOURCE,
            tags: Vec::new(),
            enabled: true,
            ..RuleInfo::default()
        };
        builder.add(info, &condition, Template::compile("", schema, SOURCE).unwrap(), Vec::new());
    }
    builder.build()
}

fn check_set(schema: &Arc<Schema>, random: &mut Random) {
    let oracle = Oracle { schema, source: SOURCE };
    let checks: Vec<_> = (0..24).map(|_| random.check()).collect();
    let texts: Vec<_> = (0..RULES).map(|_| random.condition(&checks, 3)).collect();
    let trees: Vec<_> =
        texts.iter().map(|t| parse(t, MAX_DEPTH).unwrap_or_else(|e| panic!("{t}: {e}"))).collect();
    let (rules, mut scratch) = (rule_set(schema, &trees), Scratch::default());
    let mut states = States::new();
    for _ in 0..EVENTS {
        let event = random.event(schema, &mut states);
        let wanted: Vec<_> = (0..RULES).filter(|at| oracle.holds(&trees[*at], &event)).collect();
        for (matching, count) in [(Matching::All, RULES), (Matching::First, 1)] {
            let mut got = Vec::new();
            rules.evaluate(SOURCE, &event, matching, &mut scratch, |rule| {
                got.push(rule.info.name.parse::<usize>().unwrap());
            });
            let wanted = &wanted[..wanted.len().min(count)];
            let differs = (0..RULES).find(|at| got.contains(at) != wanted.contains(at));
            assert_eq!(got, wanted, "{matching:?}: {:?} on {event:?}", differs.map(|at| &texts[at]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: SETS, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rule_sets_mean_what_the_trees_say(seed in 1_u64..) {
        check_set(&Arc::new(small::schema()), &mut Random(seed));
    }
}
