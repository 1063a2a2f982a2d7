//! `quotactl`: what its parameters mean depends on its command. No device has this name, so all of it is as given.

use crate::calls::{Is, check};

const NONE: i64 = -libc::ENOENT as i64;
const USERS: i32 = 0;
const GROUPS: i32 = 1;

/// Calls it with that command, kind, id and what it points to, and compares the parameters.
#[track_caller]
fn check_quota(command: i32, kind: i32, id: i32, to: &[u8], expected: &[(&str, Is)]) {
    let act = || {
        // As the kernel would: after a fork the probe cannot read on every processor what nobody has looked at.
        std::hint::black_box(to.to_vec());
        call!(SYS_quotactl, command << 8 | kind, c"/no/such/device".as_ptr(), id, to.as_ptr())
    };
    let given = [("res", Is::Number(NONE)), ("special", Is::Text("/no/such/device"))];
    check("quotactl", act, &[&given, expected].concat());
}

#[test]
fn limits_are_those_that_count() {
    let members: [u64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1 | 4 | 32];
    check_quota(
        libc::Q_SETQUOTA,
        GROUPS,
        1000,
        &members.map(u64::to_le_bytes).concat(),
        &[
            ("cmd", Is::Number(64)),
            ("type", Is::Number(2)),
            ("id", Is::Number(1000)),
            ("dqb_bhardlimit", Is::Number(1)),
            ("dqb_bsoftlimit", Is::Number(2)),
            ("dqb_curspace", Is::Number(0)),
            ("dqb_ihardlimit", Is::Number(4)),
            ("dqb_isoftlimit", Is::Number(5)),
            ("dqb_btime", Is::Number(0)),
            ("dqb_itime", Is::Number(8)),
            ("dqi_bgrace", Is::Number(0)),
            ("quota_fmt", Is::Number(1)),
            ("quotafilepath", Is::Text("")),
        ],
    );
}

#[test]
fn times_of_grace_are_those_that_count() {
    let members =
        [[&60_u64.to_le_bytes()[..], &70_u64.to_le_bytes(), &1_u32.to_le_bytes()].concat(), vec![6, 0, 0, 0]];
    check_quota(
        libc::Q_SETINFO,
        USERS,
        5,
        &members.concat(),
        &[
            ("cmd", Is::Number(16)),
            ("type", Is::Number(1)),
            ("id", Is::Number(0)),
            ("dqi_bgrace", Is::Number(0)),
            ("dqi_igrace", Is::Number(70)),
            ("dqi_flags", Is::Number(2)),
            ("dqb_bhardlimit", Is::Number(0)),
        ],
    );
}

#[test]
fn what_turns_quotas_on_has_a_format_and_a_file() {
    check_quota(
        libc::Q_QUOTAON,
        USERS,
        4,
        b"/aquota.user\0",
        &[
            ("cmd", Is::Number(1)),
            ("quotafilepath", Is::Text("/aquota.user")),
            ("quota_fmt", Is::Number(8)),
            ("quota_fmt_out", Is::Number(1)),
            ("id", Is::Number(0)),
        ],
    );
    let format = [("cmd", Is::Number(4)), ("quota_fmt_out", Is::Number(4)), ("quota_fmt", Is::Number(1))];
    check_quota(libc::Q_GETFMT, USERS, 4, &2_u32.to_le_bytes(), &format);
}
