// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The probe: one object for x86_64 and arm64, kernels from 5.8 with BTF.
#include "exit.h"
#include "fork.h"
#include "scan.h"
#include "sys_exit.h"
#include "uring.h"

char LICENSE[] SEC("license") = "GPL";
