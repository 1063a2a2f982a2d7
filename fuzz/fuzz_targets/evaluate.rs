//! A condition (the first line) on an event whose fields are made from the rest: the tree and the indexed rule
//! set must say the same.
#![no_main]

#[path = "../../crates/rules/tests/support/small.rs"]
mod small;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, LazyLock},
};

use libfuzzer_sys::fuzz_target;
use saker_rules::{
    compile::Condition,
    limits::MAX_DEPTH,
    parse::parse,
    ruleset::{Matching, RuleInfo, RuleSet, RuleSetBuilder, Scratch},
    schema::{EventTypeId, FieldArg, FieldId, FieldSpec, Quantifier, Record, Schema, SourceId},
    template::Template,
    value::{FieldType, Value},
};

const SYSCALL: SourceId = SourceId(0);
static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(small::schema()));

/// What is left of the fuzzer's bytes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; zero when there is none.
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte() % 16).min(self.0.len());
        self.0.split_off(..length).unwrap_or_default()
    }

    fn address(&mut self) -> IpAddr {
        if self.byte().is_multiple_of(2) {
            Ipv4Addr::from(self.array()).into()
        } else {
            Ipv6Addr::from(self.array()).into()
        }
    }

    fn value(&mut self, ty: FieldType) -> Value<'a> {
        match ty {
            FieldType::Bool => Value::Bool(self.byte().is_multiple_of(2)),
            FieldType::Double => Value::Double(f64::from_bits(u64::from_le_bytes(self.array()))),
            FieldType::Int16 | FieldType::Int32 | FieldType::Int64 => {
                Value::Int(i64::from_le_bytes(self.array()))
            }
            FieldType::Uint64 | FieldType::RelTime | FieldType::Port => {
                Value::Uint(u64::from_le_bytes(self.array()))
            }
            FieldType::IpAddr => Value::Ip(self.address()),
            FieldType::IpNet => Value::Net(self.address(), self.byte()),
            FieldType::ByteBuf => Value::Bytes(self.bytes().into()),
            _ => Value::text(self.bytes()),
        }
    }

    /// One value in four is absent.
    fn field(&mut self, spec: &FieldSpec) -> Option<Value<'a>> {
        let many = spec.list || spec.quantifier != Quantifier::One;
        match self.byte() % 4 {
            0 => None,
            _ if many => Some(Value::List((0..self.byte() % 4).map(|_| self.value(spec.ty)).collect())),
            _ => Some(self.value(spec.ty)),
        }
    }
}

/// An event of one of the schema's types.
struct Event<'a> {
    ty: EventTypeId,
    fields: Vec<Option<Value<'a>>>,
}

impl Record for Event<'_> {
    fn event_type(&self) -> EventTypeId {
        self.ty
    }

    fn field<'a>(&'a self, field: FieldId, arg: Option<&FieldArg>) -> Option<Value<'a>> {
        let value = self.fields.get(usize::from(field.0))?.clone()?;
        match (value, arg.and_then(|arg| arg.index)) {
            (Value::List(values), Some(index)) => values.into_iter().nth(usize::try_from(index).ok()?),
            (value, _) => Some(value),
        }
    }
}

fn event<'a>(input: &mut Input<'a>) -> Event<'a> {
    let ty = EventTypeId(u16::from(input.byte() % 3));
    let specs = (0..).map_while(|id| SCHEMA.field(FieldId(id)));
    let mut fields: Vec<_> = specs.map(|spec| input.field(spec)).collect();
    // The rule set is indexed by the type, so that the field has to agree with it.
    if let Some(id) = SCHEMA.find_field(SYSCALL, "evt.type") {
        fields[usize::from(id.0)] =
            SCHEMA.event_types().get(usize::from(ty.0)).map(|spec| Value::text(spec.name));
    }
    Event { ty, fields }
}

fn rule_set(condition: &Condition) -> RuleSet {
    let (name, desc) = (String::from("rule"), String::new());
    let info = RuleInfo {
        name,
        desc,
        priority: 0,
        source: SYSCALL,
        tags: Vec::new(),
        enabled: true,
        ..RuleInfo::default()
    };
    let output = Template::compile("", &SCHEMA, SYSCALL).expect("an empty output");
    let mut builder = RuleSetBuilder::new(Arc::clone(&SCHEMA));
    builder.add(info, condition, output, Vec::new());
    builder.build()
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let Ok(text) = str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let Ok(tree) = parse(text, MAX_DEPTH) else { return };
    let Ok(condition) = Condition::compile(&tree, &SCHEMA, SYSCALL) else { return };
    let rules = rule_set(&condition);
    let mut input = Input(parts.next().unwrap_or_default());
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        let event = event(&mut input);
        let mut matched = false;
        rules.evaluate(SYSCALL, &event, Matching::All, &mut scratch, |_| matched = true);
        assert_eq!(matched, condition.matches(&event), "{text}");
    }
});
