//! `evt.*` of every source.

use super::prelude::*;

/// Bits of both sources.
const BOTH: SourceMask = SYSCALL | K8S_AUDIT;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("evt.num", Uint64, BOTH, H(|h, _| uint(h.num)), "Number of the event, counted from 1"),
    row("evt.time", CharBuf, BOTH, H(|h, _| time(h.ts, "%H:%M:%S.%9f")), "Local time of day with nanoseconds").flags(COSTLY),
    row("evt.time.s", CharBuf, BOTH, H(|h, _| time(h.ts, "%H:%M:%S")), "Local time of day in whole seconds").flags(COSTLY),
    row("evt.time.iso8601", CharBuf, BOTH, H(|h, _| iso8601(h.ts)), "Date and time in UTC as ISO 8601 writes them, with nanoseconds").flags(COSTLY),
    row("evt.datetime", CharBuf, BOTH, H(|h, _| time(h.ts, "%Y-%m-%d %H:%M:%S.%9f")), "Local date and time with nanoseconds").flags(COSTLY),
    row("evt.datetime.s", CharBuf, BOTH, H(|h, _| time(h.ts, "%Y-%m-%d %H:%M:%S")), "Local date and time in whole seconds").flags(COSTLY),
    row("evt.rawtime", AbsTime, BOTH, H(|h, _| uint(h.ts)), "Nanoseconds since the Unix epoch"),
    row("evt.rawtime.s", AbsTime, BOTH, H(|h, _| seconds(h.ts)), "Whole seconds since the Unix epoch"),
    row("evt.rawtime.ns", AbsTime, BOTH, H(|h, _| nanoseconds(h.ts)), "Nanoseconds beyond the whole second"),
    row("evt.reltime", RelTime, BOTH, H(|h, _| uint(h.since_first())), "Nanoseconds since the first event"),
    row("evt.reltime.s", RelTime, BOTH, H(|h, _| seconds(h.since_first())), "Whole seconds since the first event"),
    row("evt.reltime.ns", RelTime, BOTH, H(|h, _| nanoseconds(h.since_first())), "Nanoseconds since the first event, beyond the whole second"),
    row("evt.pluginname", CharBuf, BOTH, NONE, "Name of the plugin that made the event"),
    row("evt.plugininfo", CharBuf, BOTH, NONE, "The plugin's own summary of the event"),
    row("evt.source", CharBuf, BOTH, H(|h, _| text(h.source)), "Where the event comes from: `syscall` or `k8s_audit`"),
    row("evt.is_async", Bool, BOTH, H(|h, _| boolean(h.async_type.is_some())), "Whether the event was injected beside the regular ones"),
    row("evt.asynctype", CharBuf, BOTH, H(|h, _| text(h.async_type.as_deref()?)), "Kind of an injected event"),
    row("evt.hostname", CharBuf, BOTH, H(|h, _| text(&**h.machine.as_ref().unwrap_or(&h.hostname))), "Name of the machine, or of the node where it is set"),
];
